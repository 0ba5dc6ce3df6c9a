"""An agent that stops at a stage of a job: `python -m tests.agent.images.stopping_agent CONFIG AT
HOW`.

AT is a stage, which is on disk by then, or "halfway": half of an archive is in the runtime. HOW is
"kill" (it kills itself), "hang" (it makes a file `reached` beside CONFIG, and goes no further) or
"fill" (it fills the disk that its state is on, once, and goes on).

Where ROOST_TEST_FREE_BYTES is set, that is what loads find free, on one disk for all.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from agent.images import loading, node_images
from agent.images.space import SPARE_BYTES, DiskFree
from agent.jobs.work import Work
from agent.settings import load_settings

HALFWAY_BYTES = 200_000


def stop_at(at: str, stop: Callable[[], None], *, goes_on: bool) -> None:
    """Have `stop` called there, and nothing after it unless it `goes_on`."""
    begin = Work.stage

    async def stage(work: Work[Any], name: str, *args: Any, **named: Any) -> None:
        await begin(work, name, *args, **named)
        if name == at:
            stop()
            if not goes_on:
                await asyncio.Event().wait()

    def write(*args: Any, **named: Any) -> Generator[bytes, None, None]:
        done = 0
        for piece in write_docker_archive(*args, **named):
            yield piece
            done += len(piece)
            if done > HALFWAY_BYTES:
                stop()
                # Until the load is cut, which closes this.
                while not goes_on and not _OVER.wait(0.05):
                    yield b""

    setattr(Work, "stage", stage)  # noqa: B010 - mypy takes no assignment to a method
    if at == "halfway":
        setattr(loading, "write_docker_archive", write)  # noqa: B010


_OVER = threading.Event()


def fill(filler: Path) -> None:
    """Take what is free on its disk, to the last byte."""
    with contextlib.suppress(OSError), filler.open("xb", buffering=0) as file:
        for size in (1 << 20, 1 << 9):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def main() -> None:
    config, at, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    settings, reached = load_settings(config), config.with_name("reached")

    def stop() -> None:
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "fill" and not reached.exists():
            fill(settings.state / "filler")
        reached.touch()

    stop_at(at, stop, goes_on=how == "fill")
    if free := os.environ.get("ROOST_TEST_FREE_BYTES"):
        disk = DiskFree(1, SPARE_BYTES + int(free))
        setattr(node_images, "disk_free", lambda _: disk)  # noqa: B010
    asyncio.run(serve(settings, gpu_source()))


if __name__ == "__main__":
    main()
