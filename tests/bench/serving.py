"""A real agent on a private socket, and a fleet.yaml that names it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

READY_SECONDS = 30


@contextlib.contextmanager
def serve_this_machine() -> Iterator[Path]:
    """Runs `roost-agent serve` and gives the fleet file."""
    with tempfile.TemporaryDirectory(prefix="rb") as name:
        folder = Path(name)
        sock = folder / "agent.sock"
        config, fleet = folder / "agent.yaml", folder / "fleet.yaml"
        config.write_text(
            f"name: bench\nstate: {folder}/state\noperator_socket: {sock}\n"
            "admin_socket: null\nviewer_socket: null\n",
            encoding="utf-8",
        )
        fleet.write_text(f"nodes:\n  - name: bench\n    address: unix://{sock}\n", encoding="utf-8")
        agent = Path(sys.executable).parent / "roost-agent"
        command: list[str | Path] = [agent, "serve", "--config", config]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not sock.exists():
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError("the agent did not start")
                time.sleep(0.05)
            time.sleep(2)  # past its first sample
            yield fleet
        finally:
            process.terminate()
            process.wait(10)
