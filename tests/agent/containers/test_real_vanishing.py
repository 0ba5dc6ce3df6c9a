"""A real runtime that is killed under the agent's hands, and comes back."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.protocol.containers import ExecExit, ExecRequest
from agent.protocol.problems import ProblemError
from tests.agent.containers.parts import PATIENCE, run, sh, until_reached, until_state
from tests.real.runtime import PrivateRuntime
from tests.waiting import until

FACTORIES = [
    # Without this, a dockerd that comes back kills what runs.
    pytest.param(
        "docker_engine_factory",
        {"config": {"live-restore": True}},
        marks=pytest.mark.real("docker"),
        id="docker",
    ),
    pytest.param("podman_service_factory", {}, marks=pytest.mark.real("podman"), id="podman"),
]


@pytest.fixture
def mortal(
    request: pytest.FixtureRequest, factory: str, settings: dict[str, Any]
) -> PrivateRuntime:
    """A runtime that a test may kill."""
    made: PrivateRuntime = request.getfixturevalue(factory)(**settings)
    return made


def commands(part: PrivateRuntime) -> list[str]:
    """What runs in the runtime's corner, its containers' processes too."""
    found = []
    for pid in part.enclosure.processes():
        with contextlib.suppress(OSError):  # it ended just now
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            found.append(" ".join(words).strip())
    return found


@pytest.mark.parametrize(("factory", "settings"), FACTORIES)
async def test_a_runtime_that_is_killed_and_comes_back(mortal: PrivateRuntime) -> None:
    runtime = DockerRuntime([mortal.url], patience=PATIENCE)
    await runtime.start()
    await sh(mortal, "talks", "echo before; while :; do sleep 0.1; done", options="-i")
    await run(mortal, "ended", "sh", "-c", "exit 3", options="--network none")
    await until_state(runtime, "talks", "running")
    await until_state(runtime, "ended", "exited")
    facts = await runtime.facts()
    pid = (await runtime.details("talks")).pid
    log = runtime.logs("talks", follow=True)
    assert await anext(log) == ()
    assert [line.text for line in await anext(log)] == ["before"]
    session = await runtime.exec("talks", ExecRequest(command=["sleep", "601"]))
    assert "sleep 601" in await asyncio.to_thread(commands, mortal)
    told = 0

    def changed() -> None:
        nonlocal told
        told += 1

    runtime.on_change(changed)
    await asyncio.to_thread(mortal.kill)

    # All that was open ends, and says why.
    with pytest.raises(ProblemError) as raised:
        await anext(log)
    assert raised.value.code == "runtime.unreachable"
    [end] = [part async for part in session.output() if isinstance(part, ExecExit)]
    assert (end.code, bool(end.reason)) == (None, True)
    # The command is ended without the runtime's help.
    await session.close()
    assert "sleep 601" not in await asyncio.to_thread(commands, mortal)
    await until(lambda: not runtime.containers())
    lost = await runtime.facts()
    assert (lost.state, lost.version) == ("unreachable", facts.version)
    assert mortal.url in str(lost.reason) or str(mortal.socket) in str(lost.reason)
    with pytest.raises(ProblemError) as raised:
        await runtime.act("talks", "stop")
    assert raised.value.code == "runtime.unreachable"
    assert await runtime.figures() == ()
    assert told >= 1

    await asyncio.to_thread(mortal.start)
    await until_state(runtime, "talks", "running")
    assert await until_reached(runtime) == facts
    assert (await runtime.details("talks")).pid == pid
    ended = await until_state(runtime, "ended", "exited")
    assert ended is not None
    assert ended.exit_code == 3
    change = await runtime.act("talks", "stop", timeout_seconds=0)
    assert change.container.state == "exited"
    await runtime.stop()
