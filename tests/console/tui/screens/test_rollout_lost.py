"""Lost nodes on the screen of a rollout."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.rollouts.locks import steering_lock
from console.rollouts.record import Stage
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fake_desk import FakeDesk, keep, make_rollout
from tests.console.tui.screens.test_rollouts import rollout_app
from tests.console.tui.showing import settled

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
@pytest.mark.parametrize(
    ("lost_in", "back", "ended", "words"),
    [
        ("confirming", False, False, "it is asked on to confirm, until it answers"),
        ("canary", True, False, "it is asked on to go back, until it answers"),
        ("canary", True, True, "it is asked no more: undo asks it once more"),
        (None, False, False, "a newer rollout has this node, and asks it"),
    ],
)
async def test_of_a_lost_node_it_says_what_is_done_and_what_to_do(
    make_app: MakeApp,
    tmp_path: Path,
    size: tuple[int, int],
    lost_in: Stage | None,
    back: bool,
    ended: bool,
    words: str,
) -> None:
    rollout = make_rollout(waves=[["lost"], ["canary"]], state="failed" if ended else "running")
    node = rollout.nodes[0]
    node.lost_in, node.back = lost_in, back
    node.why = "not heard of for 16m, and it is not known whether it has confirmed: no route"
    desk = FakeDesk(tmp_path / "state")
    keep(desk, rollout)
    app = rollout_app(make_app, desk)
    with steering_lock(desk.journal().folder, rollout.id):
        async with app.run_test(size=size) as pilot:
            await settled(pilot)
            await pilot.press("n")
            shown = " ".join((await settled(pilot)).split())
            assert f"n1-0 lost for 1m; {words}" in shown
            assert ("see to its power and its link" in shown) == (lost_in is not None)
            assert "not heard of for 16m" in shown
            assert "no route" in shown
            await pilot.press("d")
            assert f"lost n1-0: {words}" in " ".join((await settled(pilot)).split())
