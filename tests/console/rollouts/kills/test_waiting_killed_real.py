"""Killed (SIGKILL) while a rollout waits: for its window, for a person, for a node that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from console.rollouts.record import Rollout, Wish
from console.rollouts.windows import Window
from tests.console.rollouts.kills.scene import Running, Scene
from tests.waiting import wait_until

pytestmark = [pytest.mark.real("docker", "haproxy"), pytest.mark.timeout(180)]


@contextmanager
def let_out(scene: Scene, **strategy: Any) -> Iterator[tuple[Running, str]]:
    """A new version of the workload, without a runner yet; what ran twice is seen at the end."""
    scene.settle()
    new = scene.next_version()
    made, deploys = scene.created(), scene.deploys()
    running = scene.rollout(scene.workload(new), weights=(100,), margin=1.0, **strategy)
    try:
        yield running, new
    finally:
        running.kill()
    begun = scene.version == new
    assert len(scene.created().keys() - made.keys()) == begun
    assert len(set(scene.deploys()) - set(deploys)) == begun


def killed(running: Running) -> None:
    """The runner has ended as it was told to."""
    assert running.process is not None
    running.process.wait()
    assert not running.die.exists()


def wish(running: Running, what: Wish) -> None:
    running.journal.wish(running.rollout, what, by="jo")


def runs(scene: Scene, rollout: Rollout, new: str) -> None:
    """It is done, and answers."""
    assert (rollout.state, rollout.counts()) == ("done", {"done": 1})
    assert scene.answer() == new
    scene.version = new


def test_the_runner_while_the_node_waits_for_its_window(scene: Scene) -> None:
    """The next one waits, too, and nothing has changed when it is called off."""
    far = time.gmtime(time.time() + 12 * 3600)
    window = Window(cron=f"{far.tm_min} {far.tm_hour} * * *", duration=60.0, zone="UTC")
    with let_out(scene, window=window) as (running, _):
        running.die.write_text("after held", encoding="ascii")
        running.start()
        killed(running)
        assert running.now().counts() == {"held": 1}
        running.start()
        wish(running, "abort")
        rollout = running.ended()
        assert (rollout.state, rollout.counts()) == ("aborted", {"skipped": 1})
        assert "applying" not in running.said()
        assert scene.answer() == scene.version


def test_the_runner_while_it_is_paused(scene: Scene) -> None:
    with let_out(scene, gate="manual") as (running, new):
        running.die.write_text("after is paused", encoding="ascii")
        running.start()
        wait_until(lambda: running.now().state == "gate")
        wish(running, "pause")
        killed(running)
        assert running.now().state == "paused"
        wish(running, "promote")
        running.start()
        runs(scene, running.ended(), new)
        assert [running.said().count(each) for each in ("paused", "applying", "canary")] == [1] * 3


def test_dockerd_while_somebody_is_to_promote_it(scene: Scene) -> None:
    """Its containers end with it; the agent has both run again, and the gate is still there."""
    with let_out(scene, gate="manual") as (running, new):
        running.start()
        wait_until(lambda: running.now().state == "gate")
        scene.see_containers()
        scene.engine.kill()
        scene.engine.start()
        wait_until(lambda: scene.answer() == new)
        assert running.now().state == "gate"
        wish(running, "promote")
        runs(scene, running.ended(), new)


def test_the_runner_while_a_node_catches_up(scene: Scene) -> None:
    with let_out(scene) as (running, new):
        assert scene.agent.process is not None
        scene.agent.process.kill()
        scene.agent.process.wait()
        running.start("stands")
        wait_until(lambda: running.now().state == "done")
        assert running.now().counts() == {"offline": 1}
        running.die.write_text("after applying", encoding="ascii")
        scene.start_agent()
        killed(running)
        running.start("stands")
        runs(scene, running.ended(), new)
        assert running.said().count("applying") == 1
