"""A real agent that kills itself in the middle of a deployment.

`python -m tests.agent.workloads.dying_agent CONFIG`: a file `die` beside CONFIG says when, "before
probing" or "after probing": before or after a deployment is written down as being in that state.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from agent.cli.serve import serve
from agent.gpu.detect import gpu_source
from agent.settings import load_settings
from agent.workloads.records import DeploymentRecord, WorkloadStore


def die_by(order: Path) -> None:
    """Have the process end there, as by SIGKILL from elsewhere."""
    write = WorkloadStore._write

    def end(when: str, deployment: Any) -> None:
        if not isinstance(deployment, DeploymentRecord) or not order.exists():
            return
        if order.read_text(encoding="ascii") == f"{when} {deployment.shown.state}":
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(self: WorkloadStore, workloads: Any, deployment: Any, *more: Any) -> None:
        end("before", deployment)
        write(self, workloads, deployment, *more)
        end("after", deployment)

    setattr(WorkloadStore, "_write", dying)  # noqa: B010 - another signature


def main() -> None:
    config = Path(sys.argv[1])
    die_by(config.with_name("die"))
    asyncio.run(serve(load_settings(config), gpu_source()))


if __name__ == "__main__":
    main()
