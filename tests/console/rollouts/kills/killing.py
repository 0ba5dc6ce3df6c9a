"""One case of the table, from a node at rest to a node at rest."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from console.rollouts.record import Rollout
from tests.agent.traffic.weighted import Load, Told
from tests.console.rollouts.kills.cases import Case
from tests.console.rollouts.kills.scene import PROXY, RATE, Running, Scene
from tests.real.commands import CommandFailedError
from tests.waiting import wait_until

STAGES = {"done": "done", "aborted": "reverted", "failed": "reverted"}


def kill_and_see(scene: Scene, case: Case) -> None:
    """Kill them there, have them started again as their supervisors do, and look at the end."""
    scene.settle()
    new = scene.next_version()
    made_before, begun_before = scene.created(), scene.deploys()
    gate = "manual" if case.point == "after is gate" else "auto"
    # What is to be aborted stays at its weight until it is.
    soak = 0.3 if case.back_at is None else 600.0
    running = scene.rollout(
        scene.workload(new, case.strategy),
        gate=gate,
        soak=soak,
        weights=(30, 100) if case.back_at is None else (case.back_at, 100),
    )
    load = Load(scene.engine, RATE)
    try:
        rollout = _killed_there(scene, case, running)
        wanted = new if case.end == "done" else scene.version
        wait_until(lambda: _at_rest(scene))
        asyncio.run(load.mark("after"))
        wait_until(lambda: _at_rest(scene))
        told = asyncio.run(load.end())
    finally:
        load.kill()
        running.kill()
    assert (rollout.state, rollout.nodes[0].stage) == (case.end, STAGES[case.end]), running.said()
    _nothing_ran_twice(scene, case, running, made_before, begun_before)
    _nothing_was_lost(case, told, {scene.version, new})
    _it_is_whole(scene, case)
    assert scene.answer() == wanted
    scene.version = wanted


def _killed_there(scene: Scene, case: Case, running: Running) -> Rollout:
    order = running.die if case.who[0] == "runner" else scene.die
    assert scene.agent.process is not None
    victims = {
        "proxy": scene.proxy(),
        "agent": scene.agent.process.pid,
        "dockerd": scene.engine.pid,
    }
    # The agent sees to it where the runner does not; whoever sees to it goes last.
    itself = "runner" if case.who[0] == "runner" else "agent"
    named = [str(victims[who]) for who in case.who if who != itself]
    named += ["self"] if itself in case.who else []
    order.write_text(f"{case.point}\n{' '.join(named)}", encoding="ascii")
    running.start()
    if case.back_at is not None:
        wait_until(lambda: _weighs(running, case))
        scene.see_containers()
        running.journal.wish(running.rollout, "abort", by="jo")
    if "dockerd" in case.who:
        while order.exists():  # a dockerd that ends forgets what it made
            with suppress(CommandFailedError):
                scene.see_containers()
        scene.engine.kill()
        scene.engine.start()
    wait_until(lambda: not order.exists())
    if "agent" in case.who:
        scene.agent.process.wait()
        scene.start_agent()
    if "runner" in case.who:
        running.kill()
        if case.point == "after is gate":
            running.journal.wish(running.rollout, "promote", by="jo")
        running.start()
    return running.ended()


def _weighs(running: Running, case: Case) -> bool:
    """The rollout is at the weight at which it is aborted."""
    [node] = running.now().nodes
    return (node.stage, node.weight) == ("canary", case.back_at)


def _at_rest(scene: Scene) -> bool:
    """Also what the agent sees to by itself is done."""
    shown = scene.status()
    return shown["deployment_state"] in ("done", "reverted") and (
        shown["state"],
        shown["drift"],
        shown["proxy_wrong"],
    ) == ("running", [], [])


def _nothing_ran_twice(
    scene: Scene, case: Case, running: Running, made: dict[str, str], deploys: list[str]
) -> None:
    new = {container: name for container, name in scene.created().items() if container not in made}
    assert len(new) == case.made, new
    assert len(set(scene.deploys()) - set(deploys)) == min(1, case.made)
    said = running.said()
    for once in ("preparing", "applying", "canary", "confirming", "done", case.end):
        wanted = 2 if once == "done" == case.end else 1
        assert said.count(once) <= wanted, said


def _nothing_was_lost(case: Case, told: Told, versions: set[str]) -> None:
    if case.loses:
        assert [each for each in told.failed if each.startswith("after:")] == []
    else:
        assert told.failed == []
        assert set().union(*told.answers.values()) <= versions
    assert sum(sum(each.values()) for each in told.answers.values()) == told.asked


def _it_is_whole(scene: Scene, case: Case) -> None:
    names = scene.names()
    assert names.pop("running") == [PROXY, "web"]
    assert len(names.pop("exited", [])) <= 1  # what is kept for an undo
    assert names == {}
    policy = "{{.HostConfig.RestartPolicy.Name}}"
    assert scene.engine.docker("inspect", "--format", policy, "web") == "always"
    shown = scene.deployment()
    weight = 100 if case.end == "done" else 0  # also of start-then-stop behind a proxy
    if case.made:
        assert (shown["state"], shown["weight"]) == (STAGES[case.end], weight), shown
        assert shown["lease_seconds_left"] is None
