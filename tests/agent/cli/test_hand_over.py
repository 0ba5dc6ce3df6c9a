"""An agent that hands over ends, whatever its threads are stuck in."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(60)

STUCK = """
import asyncio, threading
from agent.cli.serve import end_soon
from agent.http.server import Servers

async def serve():
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    end_soon(Servers(), seconds=0.1)

asyncio.run(serve())
"""


def test_a_thread_that_is_stuck_does_not_hold_it_up() -> None:
    """asyncio would wait for that thread; the supervisor is started anew by systemd."""
    assert subprocess.run([sys.executable, "-c", STUCK], timeout=50, check=False).returncode == 1
