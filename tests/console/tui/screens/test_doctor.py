"""Findings across the fleet."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from agent.protocol.problems import ProblemError
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import DISK, MISMATCH, XID, make_node
from tests.console.tui.showing import fleet_of, settled, table_of, type_command


async def test_the_worst_comes_first(make_app: MakeApp) -> None:
    app = make_app(first="doctor")
    async with app.run_test(size=(80, 24)) as pilot:
        lines = (await settled(pilot)).splitlines()
    assert [line.split()[0].lstrip(">") for line in lines[3:9]] == [
        "critical",
        "offline",
        "refused",
        "error",
        "warning",
        "warning",
    ]
    assert "The driver's module and its" in lines[3]
    assert "cam-mismatch" in lines[3]
    assert "GPU 0" in lines[6]


async def test_enter_shows_cause_mend_and_evidence(make_app: MakeApp) -> None:
    app = make_app([make_node("cam", findings=[MISMATCH])], first="doctor")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        text = await settled(pilot)
        assert "critical on cam, about node" in text
        assert "Cause  This is why" in text
        assert "Mend   Run `sudo nvidia-smi -pm 1`, then look again." in text
        assert "seen: in the kernel's log" in text
        assert "code gpu.driver_mismatch" in text
        await pilot.press("escape")
        assert "Cause" not in await settled(pilot)


async def test_evidence_has_times_that_people_read(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "localtime", time.gmtime)
    evidence = {"last_at": "1795253895", "count": "7", "first_at": "unknown"}
    app = make_app(
        [make_node("cam", findings=[msgspec.structs.replace(XID, evidence=evidence)])],
        first="doctor",
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        text = await settled(pilot)
        assert "last_at: 2026-11-21 09:38:15" in text
        assert "count: 7" in text
        assert "first_at: unknown" in text


async def test_an_old_finding_says_how_old_it_is(make_app: MakeApp) -> None:
    node = make_node("cam", state="offline", seen_ago=7500, findings=[DISK])
    app = make_app([node], first="doctor")
    async with app.run_test(size=(80, 24)) as pilot:
        assert (await settled(pilot)).splitlines()[3].endswith("2h")
        await pilot.press("enter")
        assert "The node is offline: this is 2h old." in await settled(pilot)


async def test_a_node_that_cannot_be_reached_has_a_row_with_its_mend(make_app: MakeApp) -> None:
    expired = ProblemError("auth.token_expired", "the token has expired", hint="Ask for another.")
    nodes = [
        make_node("cam", state="refused", seen_ago=None, problem=expired),
        make_node("well"),
    ]
    app = make_app(nodes, first="doctor")
    async with app.run_test(size=(80, 24)) as pilot:
        line = (await settled(pilot)).splitlines()[3]
        assert line.split()[:6] == [">refused", "cam", "the", "token", "has", "expired"]
        await pilot.press("enter")
        text = await settled(pilot)
        assert "cam is refused" in text
        assert "Do: Ask for another." in text
        assert "code auth.token_expired" in text
        await pilot.press("escape")
        nodes[0].state, nodes[0].problem = "live", None
        fleet_of(app).changed.add("cam")
        app.tick()
        assert "no findings" in await settled(pilot)


async def test_v_asks_the_node_and_shows_every_check(make_app: MakeApp) -> None:
    app = make_app([make_node("cam", findings=[DISK])], first="doctor")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("v")
        text = await settled(pilot)
        assert "Doctor on cam" in text
        assert "ok              driver" in text
        assert "could not tell  container gpus: no shell inside" in text
        assert "found           disk: /var/lib/docker is 97 % full" in text


async def test_asking_can_be_cancelled_and_can_fail(make_app: MakeApp) -> None:
    app = make_app([make_node("cam")])
    client = fleet_of(app).clients["cam"]
    client.hold = asyncio.Event()
    async with app.run_test(size=(80, 24)) as pilot:
        await type_command(pilot, "doctor @cam")
        await pilot.press("v")
        await pilot.pause()
        assert "asking the doctor on cam ..." in app.view.footer.text
        await pilot.press("escape")
        assert "Cancelled here" in await settled(pilot)
        client.hold = None
        client.fails = ProblemError("link.timeout", "cam did not answer", hint="Try again.")
        await pilot.press("v")
        text = await settled(pilot)
        assert "cam did not answer" in text
        assert "Do: Try again." in text


async def test_without_findings_it_says_so_and_how_to_ask(make_app: MakeApp) -> None:
    app = make_app([make_node("cam")], first="doctor")
    async with app.run_test(size=(80, 24)) as pilot:
        assert "no findings" in await settled(pilot)
        await pilot.press("v")
        assert "Name a node" in await settled(pilot)


async def test_a_finding_that_was_mended_goes(make_app: MakeApp) -> None:
    app = make_app([make_node("cam", findings=[XID, DISK])], first="doctor")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        fleet_of(app).nodes["cam"].sections["findings"].pop(XID.key)
        await pilot.press("enter")
        assert "That finding is gone." in await settled(pilot)
        fleet_of(app).changed.add("cam")
        app.tick()
        await settled(pilot)
        assert [row.key for row in table_of(app).model.shown] == [f"cam/{DISK.key}"]
