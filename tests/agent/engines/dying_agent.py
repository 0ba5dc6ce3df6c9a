"""A real agent over one stub GPU that kills itself.

`python -m tests.agent.engines.dying_agent CONFIG FOLDER AT`: AT is a step of the store of engines;
it dies after it while there is a file `die` beside CONFIG. FOLDER is the stub driver's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.cli.serve import serve
from agent.engines.store import EngineStore
from agent.settings import load_settings
from tests.bench.agent_under_load import stub_gpus

# Methods of the store after which it dies.
STEPS = {"written": "_write", "kept": "keep", "used": "use", "amended": "amend"}


def die_after(method: str, may: Callable[[], bool]) -> None:
    """Have the process end there, as by SIGKILL from elsewhere."""
    does = getattr(EngineStore, method)

    def dying(store: EngineStore, *args: Any, **named: Any) -> Any:
        done = does(store, *args, **named)
        if may():
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(EngineStore, method, dying)


def main() -> None:
    config, folder, at = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    die_after(STEPS[at], config.with_name("die").exists)
    asyncio.run(serve(load_settings(config), stub_gpus(folder, 1)))


if __name__ == "__main__":
    main()
