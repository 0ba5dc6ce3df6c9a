"""A real agent that kills itself, or others, in the middle of a deployment.

`python -m tests.agent.workloads.dying_agent CONFIG`: a file `die` beside CONFIG says when, such as
"before probing" or "after probing": before or after a deployment is written down as being in that
state. Beside states there are these points: "told 30", that weight is written down and does not
hold yet; "weight 30", it holds; "telling 30", it is in the proxy's file, and HAProxy is told next;
"draining", what the old container has to answer is waited for. A second line names who is killed,
by process ids and "self"; without it that is the agent alone. "stop" has it stand still until it is
told to go on (SIGCONT). The file is gone, then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.cli.serve import serve
from agent.gpu.detect import gpu_source
from agent.settings import load_settings
from agent.traffic.node_traffic import NodeTraffic
from agent.traffic.proxy import Proxy
from agent.workloads.records import DeploymentRecord, WorkloadStore


class Order:
    """What the file says, as often as it is looked at."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def obey(self, when: str, points: Iterator[str]) -> None:
        """Kill, if it is one of these points."""
        if not self._file.exists():
            return
        point, _, who = self._file.read_text(encoding="ascii").partition("\n")
        if point not in [f"{when} {each}" for each in points]:
            return
        self._file.unlink()
        for each in who.split() or ["self"]:
            if each == "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(os.getpid() if each == "self" else int(each), signal.SIGKILL)


def die_by(order: Order) -> None:
    """Have the process end there, as by SIGKILL from elsewhere."""
    write, drain, have_it_so = WorkloadStore._write, NodeTraffic.drain, Proxy._have_it_so

    def writing(self: WorkloadStore, workloads: Any, deployment: Any, *more: Any) -> None:
        order.obey("before", _points(deployment))
        write(self, workloads, deployment, *more)
        order.obey("after", _points(deployment))

    async def draining(self: NodeTraffic, *of: Any) -> bool:
        order.obey("before", iter(["draining"]))
        done = await drain(self, *of)
        order.obey("after", iter(["draining"]))
        return done

    async def telling(self: Proxy, state: Any, **more: Any) -> None:
        given = state.slots.get("candidate")
        order.obey("before", iter([] if given is None else [f"telling {given.weight}"]))
        await have_it_so(self, state, **more)

    setattr(WorkloadStore, "_write", writing)  # noqa: B010 - another signature
    setattr(NodeTraffic, "drain", draining)  # noqa: B010
    setattr(Proxy, "_have_it_so", telling)  # noqa: B010


def _points(deployment: Any) -> Iterator[str]:
    if not isinstance(deployment, DeploymentRecord):
        return
    shown, told = deployment.shown, deployment.weight_told
    yield shown.state
    if shown.state == "canary":
        if shown.weight is not None:
            yield f"weight {shown.weight}"
        if told is not None and shown.weight != told:
            yield f"told {told}"


def main() -> None:
    config = Path(sys.argv[1])
    die_by(Order(config.with_name("die")))
    asyncio.run(serve(load_settings(config), gpu_source()))


if __name__ == "__main__":
    main()
