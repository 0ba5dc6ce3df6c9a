"""How a push is to go: limit, budget, via site; checked while typed, and told while it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from agent.protocol.site import SiteStatus
from console.tui.app import RoostApp
from console.tui.terms import Terms
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fake_carrier import MIB, FakeCarrier, make_archive
from tests.console.tui.screens.test_push import begin, push_app
from tests.console.tui.showing import settled

# Many keys are pressed, and each waits until the machine is idle.
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_archive(tmp_path)
    return tmp_path


def site_app(make_app: MakeApp, folder: Path, *listening: str) -> tuple[RoostApp, FakeCarrier]:
    """As `push_app`; these nodes can pass layers on."""
    app, carrier = push_app(make_app, folder)
    carrier.sites = {name: SiteStatus(listening=True) for name in listening}
    return app, carrier


async def test_cancel_has_the_focus_and_tab_goes_round(make_app: MakeApp, folder: Path) -> None:
    app, _ = site_app(make_app, folder)
    async with app.run_test(size=(80, 24)) as pilot:
        assert ">[ Cancel ]" in await begin(pilot, "@a")
        await pilot.press("tab")
        assert ">[ Push ]" in await settled(pilot)
        for field in ("limit", "budget", "quiet"):
            await pilot.press("tab")
            text = await settled(pilot)
            assert f">{field}" in text
            assert ">[" not in text
        await pilot.press("tab")
        assert ">[ Cancel ]" in await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert app.context.pushes.nodes == {}


@pytest.mark.parametrize("size", [(60, 14), (80, 24), (200, 50)])
async def test_each_is_checked_as_it_is_typed(
    make_app: MakeApp, folder: Path, size: tuple[int, int]
) -> None:
    app, carrier = site_app(make_app, folder)
    async with app.run_test(size=size) as pilot:
        text = await begin(pilot, "site=lab", "tab", *"2MB")
        assert "2M/s: 20s before compression" in text
        await pilot.press(*"x")
        assert "not that: Write it as 2MB/s" in await settled(pilot)
        await pilot.press("enter", *"many")
        assert "not that: Write it as 800KB" in await settled(pilot)
        await pilot.press("enter", *"06:00")
        assert "not that: Write them as 06:00" in await settled(pilot)
        await pilot.press("enter", *"push", "space", "2", "enter")
        text = await settled(pilot)
        assert "'2MBx' is not a rate" in text
        assert app.context.pushes.nodes == {}
        await pilot.press(*"2MB/s", "enter", *"5m", "enter", *"22:00-6:00, 7:00-8:30")
        assert "nothing is sent then" in await settled(pilot)
        await pilot.press("enter", "enter")
        await settled(pilot)
        assert carrier.convoys[-1].terms == Terms(
            bytes_per_second=2_000_000, budget_bytes=5 * 10**6, quiet=("22:00-6:00", "7:00-8:30")
        )


async def test_via_site_is_offered_only_where_a_site_can(make_app: MakeApp, folder: Path) -> None:
    app, carrier = site_app(make_app, folder)
    async with app.run_test(size=(80, 24)) as pilot:
        text = await begin(pilot, "site=lab")
        assert "site lab cannot pass it on: sent to each of its 2 nodes: site_listen" in text
        assert "via site" not in text
        await pilot.press("escape")
        carrier.sites["b"] = SiteStatus(listening=True)
        text = await begin(pilot, "@a")  # alone there
        assert "site lab" not in text
        await pilot.press("escape")
        text = await begin(pilot, "site=lab")
        assert "site lab can pass it on: sent once, to b" in text
        assert "via site  [ ] send once to lab; nodes there pass it on" in text


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_the_progress_says_the_terms(
    make_app: MakeApp, folder: Path, size: tuple[int, int]
) -> None:
    app, carrier = site_app(make_app, folder, "b")
    async with app.run_test(size=size) as pilot:
        await begin(
            pilot, "site=lab", "tab", *"1MB/s", "enter", *"9MB", "enter", "tab", "space", "tab"
        )
        await pilot.press(*"push", "space", "2", "enter")
        await settled(pilot)
        convoy = carrier.convoys[-1]
        assert convoy.terms == Terms(
            bytes_per_second=1_000_000, budget_bytes=9_000_000, via_site=True
        )
        carrier.pushers["a"].set(sent_bytes=3 * MIB, done_bytes=5 * MIB)
        app.tick()
        text = await settled(pilot)
        line = next(each for each in text.splitlines() if "pushing app.tar" in each)
        if size[0] > 80:
            assert "at most 977K/s, 9M to each node, via site" in line
            row = next(each for each in text.splitlines() if each.startswith(">a"))
            assert "3M of 9M seed" in row
            assert "from a" in text
        else:
            assert "977K/s" in line
        # What was chosen is suggested the next time.
        assert app.context.pushes.terms == convoy.terms
        for pusher in carrier.pushers.values():
            pusher.go_on.set()
        await settled(pilot)
        assert convoy.told == ["begin", "a ended", "b ended", "end"]


async def test_a_budget_that_is_used_up_is_no_failure(make_app: MakeApp, folder: Path) -> None:
    app, carrier = site_app(make_app, folder)
    carrier.ends["a"] = ProblemError("push.budget", "5 MB were sent, which is all that may be")
    async with app.run_test(size=(200, 24)) as pilot:
        await begin(pilot, "@a", "tab", "enter")
        carrier.pushers["a"].go_on.set()
        await settled(pilot)
        app.tick()
        text = await settled(pilot)
        assert "all have ended: 1 stopped: a" in text
        assert "5 MB were sent, which is all that may be" in text
        carrier.ends.clear()
        await pilot.press("a")
        assert "a send 20M" in await settled(pilot)
        await pilot.press("tab", "enter")
        assert "what the nodes have is not sent again" in await settled(pilot)
        assert app.context.pushes.nodes["a"].going_on


async def test_again_suggests_the_same_terms_and_those_that_have_it_help(
    make_app: MakeApp, folder: Path
) -> None:
    app, carrier = site_app(make_app, folder, "a")
    carrier.ends["b"] = ProblemError("link.timeout", "b did not answer")
    async with app.run_test(size=(100, 24)) as pilot:
        await begin(pilot, "site=lab", "tab", *"1MB/s", "enter", "enter", "enter", "space", "tab")
        await pilot.press(*"push", "space", "2", "enter")
        await settled(pilot)
        for pusher in carrier.pushers.values():
            pusher.go_on.set()
        await settled(pilot)
        app.tick()
        await settled(pilot)
        await pilot.press("down", "a")
        text = await settled(pilot)
        assert "977K/s: 20s before compression" in text
        assert "via site  [x] send once to lab" in text
        await pilot.press("tab", "tab", "enter", *"5MB", "enter", "tab", "tab", "tab", "enter")
        await settled(pilot)
        last = carrier.convoys[-1]
        assert (last.nodes, last.helpers) == (["b"], ["a"])
        assert last.terms == Terms(
            bytes_per_second=1_000_000, budget_bytes=5_000_000, via_site=True
        )


async def test_a_stopped_node_gets_nothing_for_others_either(
    make_app: MakeApp, folder: Path
) -> None:
    app, carrier = site_app(make_app, folder, "a")
    async with app.run_test(size=(100, 24)) as pilot:
        await begin(pilot, "site=lab", "tab", "tab", "tab", "tab", "space", "tab")
        await pilot.press(*"push", "space", "2", "enter")
        await settled(pilot)
        await pilot.press("x", "tab", "enter")
        await settled(pilot)
        assert carrier.convoys[-1].told == ["begin", "a stopped"]
        assert app.context.pushes.nodes["b"].going_on


async def test_leaving_names_the_options_for_the_command_line(
    make_app: MakeApp, folder: Path
) -> None:
    app, _ = site_app(make_app, folder)
    async with app.run_test(size=(200, 24)) as pilot:
        await begin(
            pilot, "@a", "tab", "tab", *"1MB/s", "enter", *"9MB", "enter", "tab", "tab", "enter"
        )
        await pilot.press("ctrl+c")
        text = " ".join((await settled(pilot)).split())
        assert "--to @a --limit" in text
        assert "1000000B/s" in text
        assert "--budget 9000000B" in text


def test_what_terms_say() -> None:
    assert Terms().text == Terms().options == ""
    assert Terms(via_site=True).options == " --via-site"
    hours = Terms(quiet=("06:00-12:00", "13:00-22:00"))
    assert hours.text == "not at 06:00-12:00, 13:00-22:00"
    assert hours.options == " --quiet 06:00-12:00 --quiet 13:00-22:00"


async def test_a_mistake_of_ours_ends_the_push(make_app: MakeApp, folder: Path) -> None:
    app, carrier = site_app(make_app, folder)
    carrier.ends["a"] = KeyError("state")
    async with app.run_test(size=(100, 24)) as pilot:
        await begin(pilot, "@a", "tab", "enter")
        carrier.pushers["a"].go_on.set()
        await settled(pilot)
        app.tick()
        text = await settled(pilot)
        assert "all have ended: 1 failed: a" in text
        assert "KeyError" in text
