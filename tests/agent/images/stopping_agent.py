"""An agent that stops at a stage of a job: `python -m tests.agent.images.stopping_agent CONFIG AT
HOW`.

AT is a stage, which is on disk by then, or "halfway": half of an archive is in the runtime. HOW is
"kill" (it kills itself) or "hang" (it makes a file `reached` beside CONFIG, and goes no further).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from agent.archives.writing import write_docker_archive
from agent.cli.serve import serve
from agent.gpu.detect import gpu_source
from agent.images import loading
from agent.jobs.work import Work
from agent.settings import load_settings

HALFWAY_BYTES = 200_000


def stop_at(at: str, stop: Callable[[], None]) -> None:
    """Have `stop` called there."""
    begin = Work.stage

    async def stage(work: Work[Any], name: str, *args: Any, **named: Any) -> None:
        await begin(work, name, *args, **named)
        if name == at:
            stop()
            await asyncio.Event().wait()

    def write(*args: Any, **named: Any) -> Generator[bytes, None, None]:
        done = 0
        for piece in write_docker_archive(*args, **named):
            yield piece
            done += len(piece)
            if done > HALFWAY_BYTES:
                stop()
                # Until the load is cut, which closes this.
                while not _OVER.wait(0.05):
                    yield b""

    setattr(Work, "stage", stage)  # noqa: B010 - mypy takes no assignment to a method
    if at == "halfway":
        setattr(loading, "write_docker_archive", write)  # noqa: B010


_OVER = threading.Event()


def main() -> None:
    config, at, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

    def stop() -> None:
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        config.with_name("reached").touch()

    stop_at(at, stop)
    asyncio.run(serve(load_settings(config), gpu_source()))


if __name__ == "__main__":
    main()
