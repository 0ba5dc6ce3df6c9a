"""The Snapshots screen and the tree of changes. The files are real, the nodes are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import NodeSnapshot
from agent.protocol.workloads import GpuRequest
from console.snapshots.comparing import Difference, difference
from console.snapshots.planning import Wish, plan_restore
from console.snapshots.restoring import Restore, Restored
from console.snapshots.snapshot_file import read_snapshot, write_snapshot
from console.snapshots.taking import Wanted
from console.tui.app import RoostApp
from console.tui.snapshots import LinkSnapshots, Listed
from tests.console.snapshots.made import applied, facts, gpu, image, snapshot
from tests.console.tui import fakes
from tests.console.tui.conftest import MakeApp
from tests.console.tui.showing import settled, table_of, type_command

pytestmark = pytest.mark.timeout(60)

THEN = snapshot(
    facts("cam-7", gpus=[gpu()]), images=[image("app:1", 1)], workloads=[applied(number=1)]
)
NOW = snapshot(
    facts("cam-7", driver="580.65.06", gpus=[gpu()]),
    images=[image("app:1", 1), image("app:2", 2)],
    workloads=[applied(number=2, image="app:2", gpu=GpuRequest(select="0"))],
)


class FakeDesk:
    """A folder of real files; the node is always as `now` says."""

    def __init__(self, folder: Path, now: NodeSnapshot = NOW) -> None:
        self.folder, self.now = folder, now
        self.restored: list[str] = []
        self.differs: list[str] = []  # what a restore leaves
        self.taken: list[tuple[str, Wanted]] = []

    async def listed(self) -> Sequence[Listed]:
        def nobody(node: str) -> object:
            raise AssertionError(node)

        return await LinkSnapshots(self.folder, nobody).listed()  # type: ignore[arg-type]

    async def take(self, node: str, file: Path, wanted: Wanted) -> None:
        self.taken.append((node, wanted))
        write_snapshot(file, self.now)

    async def changes(self, file: Path, node: str) -> Difference:
        return difference(read_snapshot(file).snapshot, self.now)

    async def prepare(self, file: Path, node: str) -> Restore:
        found = read_snapshot(file)
        wish = Wish(snapshot=found.snapshot, id=found.id, name=file.name)
        return Restore(file=found, plan=plan_restore(wish, self.now), before=self.now)

    async def restore(self, node: str, restore: Restore, seen: Callable[[Job], None]) -> Restored:
        self.restored.append(node)
        restore.plan.undo = "/somewhere/before.snapshot"
        job = Job(
            id="abc123",
            kind="snapshot.restore",
            subject="friday",
            state="succeeded",
            owner="maria",
            created_at=fakes.NOW,
        )
        return Restored(job=job, differs=self.differs)


@pytest.fixture
def desk(tmp_path: Path) -> FakeDesk:
    write_snapshot(tmp_path / "friday.snapshot", THEN)
    return FakeDesk(tmp_path)


def app_of(make_app: MakeApp, desk: FakeDesk, *, production: bool = False) -> RoostApp:
    nodes = [fakes.make_node("cam-7", production=production), fakes.make_node("cam-8")]
    app: RoostApp = make_app(nodes, first="snapshots", snapshots=desk)
    return app


@pytest.mark.parametrize("size", [(60, 14), (80, 24), (200, 50)])
async def test_the_files_of_the_folder(
    make_app: MakeApp, desk: FakeDesk, size: tuple[int, int]
) -> None:
    (desk.folder / "broken.snapshot").write_bytes(b"garbage")
    (desk.folder / "notes.txt").write_text("no snapshot")
    app = app_of(make_app, desk)
    async with app.run_test(size=size) as pilot:
        text = await settled(pilot)
        rows = {Path(row.key).name for row in table_of(app).model.shown}
        assert rows == {"friday.snapshot", "broken.snapshot"}
        assert "cam-7" in text
        if size[0] > 60:
            assert "535.183.01" in text
            assert "t take" in text
        await pilot.press("home")
        names = [Path(row.key).name for row in table_of(app).model.shown]
        await pilot.press(*(["down"] * names.index("broken.snapshot")), "d")
        assert "is no snapshot" in await settled(pilot)


async def test_without_a_file_it_says_how_to_take_one(make_app: MakeApp, tmp_path: Path) -> None:
    desk = FakeDesk(tmp_path / "none")
    app = app_of(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "no snapshot yet: t takes one" in await settled(pilot)
    assert not desk.folder.exists()


async def test_one_is_taken(make_app: MakeApp, desk: FakeDesk) -> None:
    app = app_of(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("t", *"cam-9".replace("-", "~"), "enter")
        assert "There is no node" in await settled(pilot)
        await pilot.press("t", "c", "a", "m", "minus", "8", "enter")
        await settled(pilot)
        assert len(table_of(app).model.shown) == 2
    assert desk.taken == [("cam-8", Wanted())]


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_what_changed_is_a_tree_that_folds(
    make_app: MakeApp, desk: FakeDesk, size: tuple[int, int]
) -> None:
    app = app_of(make_app, desk)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        lines = [line.strip() for line in (await settled(pilot)).splitlines()]
        driver = next(n for n, line in enumerate(lines) if "[-] driver and GPUs (1)" in line)
        assert lines[driver + 1] == "~ driver: 535.183.01 becomes 580.65.06"
        assert "[-] workloads (1)" in lines[driver + 2]
        assert "image: app:1 becomes app:2" in lines
        assert "friday.snapshot -> cam-7" in lines[1]
        await pilot.press("home", "enter")
        text = await settled(pilot)
        assert "[+] driver and GPUs (1)" in text
        assert "580.65.06" not in text
        assert "image: app:1 becomes app:2" in text
        await pilot.press("f")
        assert "580.65.06" in await settled(pilot)
        await pilot.press("f")
        await settled(pilot)
        shown = [row.key for row in table_of(app).model.shown]
        assert shown == ["driver", "workloads", "images"]


async def test_nothing_differs(make_app: MakeApp, desk: FakeDesk) -> None:
    desk.now = THEN
    app = app_of(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await type_command(pilot, "changes @cam-7 friday.snapshot")
        assert "nothing differs" in await settled(pilot)
        assert "Type :changes @NODE FILE" in await type_command(pilot, "changes @nobody x")


async def test_a_restore_shows_its_plan_and_asks(make_app: MakeApp, desk: FakeDesk) -> None:
    app = app_of(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("o", "enter")  # its own node is offered
        text = await settled(pilot)
        assert "Restore friday.snapshot on cam-7?" in text
        assert "driver 580.65.06" not in text  # newer is no trouble
        await pilot.press("enter")  # Cancel has the focus
        await settled(pilot)
        assert desk.restored == []
        await pilot.press("o", "enter")
        await settled(pilot)
        await pilot.press("tab", "enter")
        assert "friday.snapshot is restored (job abc123)" in await settled(pilot)
    assert desk.restored == ["cam-7"]


async def test_a_restore_that_leaves_a_difference_says_so(
    make_app: MakeApp, desk: FakeDesk
) -> None:
    desk.differs = ["web", "container: running becomes exited"]
    app = app_of(make_app, desk)
    async with app.run_test(size=(160, 24)) as pilot:
        await settled(pilot)
        await pilot.press("o", "enter")
        await settled(pilot)
        await pilot.press("tab", "enter")
        assert "(job abc123), but not all is as it says" in await settled(pilot)


async def test_on_production_its_name_is_typed(make_app: MakeApp, desk: FakeDesk) -> None:
    app = app_of(make_app, desk, production=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("o", "enter")
        assert "Type cam-7 to go on" in await settled(pilot)
        await pilot.press("tab", "enter")
        await settled(pilot)
    assert desk.restored == []


async def test_what_stands_in_the_way_is_told_and_nothing_is_asked(
    make_app: MakeApp, desk: FakeDesk
) -> None:
    desk.now = snapshot(facts("cam-7", gpus=[gpu()]))
    app = app_of(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("o", "enter")
        text = await settled(pilot)
        assert "cannot be restored" in text
        assert "CANNOT web: app:1 is not there" in text
        await pilot.press("enter")
        await settled(pilot)
    assert desk.restored == []


async def test_a_read_only_console_restores_nothing(make_app: MakeApp, desk: FakeDesk) -> None:
    app: RoostApp = make_app(
        [fakes.make_node("cam-7")], first="snapshots", snapshots=desk, read_only=True
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("o")
        assert "read-only" in await settled(pilot)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_what_is_not_known_stands_below(
    make_app: MakeApp, desk: FakeDesk, size: tuple[int, int]
) -> None:
    desk.now = msgspec.structs.replace(THEN, unknown={"workloads": "the store is broken"})
    app = app_of(make_app, desk)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await type_command(pilot, "changes @cam-7 friday.snapshot")
        text = await settled(pilot)
        assert "nothing of what is known differs" in text
        assert "not known: workloads: the store is broken" in text


async def test_a_node_that_does_not_answer(make_app: MakeApp, desk: FakeDesk) -> None:
    async def silent(file: Path, node: str) -> Difference:
        raise ProblemError("link.unreachable", f"{node} does not answer", hint="Try again.")

    desk.changes = silent  # type: ignore[method-assign]
    app = app_of(make_app, desk)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        assert "cam-7 does not answer" in await settled(pilot)
        await pilot.press("escape")
        assert "not known" in await settled(pilot)
