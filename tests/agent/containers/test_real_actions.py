"""Start, stop and restart of real containers, and what is read back."""

from __future__ import annotations

import pytest

from agent.containers.actions import Action
from agent.containers.docker_runtime import DockerRuntime
from agent.protocol.problems import ProblemError
from tests.agent.containers.parts import by_name, docker, run, sh, until_state
from tests.real.busybox import IMAGE
from tests.real.runtime import PrivateRuntime

# Ends by itself when it is asked to. `sleep` as the first process does not.
SERVE = "trap 'exit 0' TERM; while :; do sleep 0.05; done"


async def problem_of(runtime: DockerRuntime, name: str, action: Action) -> ProblemError:
    with pytest.raises(ProblemError) as raised:
        await runtime.act(name, action)
    return raised.value


async def test_stop_start_and_restart(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await sh(part, "service", SERVE)
    first = await until_state(runtime, "service", "running")
    assert first is not None
    stopped = await runtime.act("service", "stop", timeout_seconds=60)
    assert (stopped.action, stopped.changed) == ("stop", True)
    assert (stopped.container.state, stopped.container.exit_code) == ("exited", 0)
    # The table knows it before the event comes, and the runtime says the same.
    assert by_name(runtime, "service") == stopped.container
    state = await docker(part, "inspect", "--format", "{{.State.Status}}", "service")
    assert state == "exited"
    again = await runtime.act("service", "stop")
    assert (again.changed, again.container.finished_at) == (False, stopped.container.finished_at)

    started = await runtime.act("service", "start")
    assert (started.changed, started.container.state) == (True, "running")
    assert str(started.container.started_at) > str(first.started_at)
    assert not (await runtime.act("service", "start")).changed
    before = (await runtime.details("service")).pid
    restarted = await runtime.act("service", "restart", timeout_seconds=60)
    assert (restarted.changed, restarted.container.state) == (True, "running")
    assert str(restarted.container.started_at) > str(started.container.started_at)
    assert (await runtime.details("service")).pid != before


@pytest.mark.parametrize("seconds", [0, 1])
async def test_one_that_does_not_stop_is_killed(
    runtime: DockerRuntime, part: PrivateRuntime, seconds: int
) -> None:
    await run(part, "stubborn", "sleep", "600", options="--network none")
    change = await runtime.act("stubborn", "stop", timeout_seconds=seconds)
    assert (change.changed, change.container.state) == (True, "exited")
    assert change.container.exit_code == 137


async def test_one_that_ends_at_once_is_told_as_ended(
    runtime: DockerRuntime, part: PrivateRuntime
) -> None:
    await docker(part, "create", "--name", "brief", IMAGE, "sh", "-c", "exit 4")
    change = await runtime.act("brief", "start")
    assert (change.changed, change.container.state) == (True, "exited")
    assert change.container.exit_code == 4


async def test_one_that_cannot_start(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await docker(part, "create", "--name", "broken", IMAGE, "nosuch")
    problem = await problem_of(runtime, "broken", "start")
    assert "nosuch" in problem.detail
    assert problem.params["container"] == "broken"
    assert problem.hint


async def test_one_that_is_paused(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await run(part, "paused", "sleep", "600", options="--network none")
    await docker(part, "pause", "paused")
    await until_state(runtime, "paused", "paused")
    problem = await problem_of(runtime, "paused", "start")
    assert (problem.code, problem.params["state"]) == ("container.conflict", "paused")
    assert "unpause" in str(problem.hint)
    await docker(part, "unpause", "paused")
    await until_state(runtime, "paused", "running")


async def test_one_that_is_not_there(runtime: DockerRuntime) -> None:
    actions: tuple[Action, ...] = ("start", "stop", "restart")
    for action in actions:
        assert (await problem_of(runtime, "nobody", action)).code == "container.not_found"


async def test_a_time_out_that_is_none(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await run(part, "kept", "sleep", "600", options="--network none")
    for seconds in (-1, 601):
        with pytest.raises(ProblemError) as raised:
            await runtime.act("kept", "stop", timeout_seconds=seconds)
        assert raised.value.code == "request.invalid"
    assert (await runtime.details("kept")).container.state == "running"
