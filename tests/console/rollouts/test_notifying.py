"""Who is told of what: the file, what is owed in the journal, webhooks and commands."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import sys
import time
from pathlib import Path

import pytest

from console.compose.compose_file import read_compose
from console.rollouts.journal import Journal
from console.rollouts.ledger import RUNNER
from console.rollouts.notice_file import NoticeBook, kind_of, owing
from console.rollouts.notices import Target
from console.rollouts.notifier import Notifier
from console.rollouts.record import Event, Rollout, RolloutNode
from console.rollouts.strategy import Strategy
from console.rollouts.strategy_file import read_strategy
from tests.console.rollouts.hooks import hook

pytestmark = pytest.mark.timeout(60)


def read(folder: Path, notify: str) -> tuple[tuple[Target, ...], list[str]]:
    file = folder / "app.yaml"
    file.write_text(
        f"x-roost: {{rollout: {{notify: [{notify}]}}}}\nservices: {{web: {{image: 'app:1'}}}}\n"
    )
    strategy, problems = read_strategy(read_compose(file))
    return strategy.notify, [f"{problem.line}: {problem.what}" for problem in problems]


def begun(
    folder: Path, *targets: Target, node: RolloutNode | None = None
) -> tuple[Journal, Rollout]:
    journal = Journal(folder / "state")
    rollout = Rollout(
        id="r1",
        release="app",
        version="0" * 12,
        file="app.yaml",
        owner="maria",
        created_at=time.time(),
        strategy=Strategy(notify=targets),
        nodes=[RolloutNode(name="cam-1", wave=0)],
    )
    journal.plan(rollout, {})
    return journal, journal.begin(rollout.id, by="maria")


def ended(pid: int) -> bool:
    """Whether it is gone, or waits for somebody to ask for its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def event(what: str, *, node: str | None = None, by: str = RUNNER, why: str = "") -> Event:
    return Event(at=time.time(), by=by, what=what, node=node, why=why)


async def told(journal: Journal, *, until_owed: int = 0) -> None:
    """Deliver until no more than so many are owed."""
    notifier = Notifier(journal, "r1", {"SECRET": "shh"}, first_seconds=0.01)
    task = asyncio.create_task(notifier.run())
    book = NoticeBook(journal.folder, "r1")
    while len(await asyncio.to_thread(book.owed)) > until_owed:  # noqa: ASYNC110 - it is on disk
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_targets_of_a_release(tmp_path: Path) -> None:
    targets, problems = read(
        tmp_path,
        "{webhook: {url: 'https://ops.example.org/hook', secret_env: SECRET}, on: gate,"
        " timeout: 5s}, {webhook: {url_file: /etc/hook}}, {command: [/bin/tell, ops], on: [ended]}",
    )
    assert problems == []
    assert targets == (
        Target(url="https://ops.example.org/hook", secret_env="SECRET", on=("gate",), timeout=5),
        Target(url_file="/etc/hook"),
        Target(command=("/bin/tell", "ops"), on=("ended",)),
    )
    assert [str(each) for each in targets] == [
        "webhook ops.example.org",
        "webhook of /etc/hook",
        "command /bin/tell",
    ]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{webhook: {}}", "has no address"),
        ("{}", "is not one webhook, one"),
        ("{command: [/a], webhook: {url: 'http://x'}}", "is not one webhook, one"),
        ("{command: [tell]}", "begins with 'tell'"),
        ("{webhook: {url: 'https://x/?token=abc'}}", "has a secret in it"),
        ("{webhook: {url: 'https://me:pass@x/'}}", "has a secret in it"),
        ("{webhook: {url: 'ftp://x/'}}", "is no address of a webhook"),
        ("{webhook: {url: 'https://x', url_env: X}}", "has more than one address"),
        ("{webhook: {url: 'https://x', secret: abc}}", "unknown key 'secret'"),
        ("{webhook: {url_file: hook}}", "is 'hook'"),
        ("{webhook: {url_env: 'A-B'}}", "which no variable is called"),
        ("{command: [/a], on: [often]}", "is 'often'"),
        ("{command: [/a], timeout: 2h}", "is too long"),
    ],
)
def test_targets_that_do_not_fit(tmp_path: Path, said: str, words: str) -> None:
    _, problems = read(tmp_path, said)
    assert len(problems) == 1, problems
    assert words in problems[0]
    assert "abc" not in problems[0].replace("secret: abc", "")


def test_which_events_are_what() -> None:
    kinds = {
        "running": kind_of(event("running", by="maria", why="started"), failed=False),
        "resumed": kind_of(event("running", by="maria"), failed=False),
        "gate": kind_of(event("gate"), failed=False),
        "done": kind_of(event("done"), failed=False),
        "paused by a person": kind_of(event("paused", by="maria"), failed=False),
        "paused": kind_of(event("paused"), failed=False),
        "stuck": kind_of(event("stuck", node="cam-1"), failed=False),
        "undone there": kind_of(event("reverted", node="cam-1"), failed=False),
        "failed there": kind_of(event("reverted", node="cam-1"), failed=True),
        "canary": kind_of(event("canary", node="cam-1"), failed=True),
    }
    assert kinds == {
        "running": "started",
        "resumed": "progress",
        "gate": "gate",
        "done": "ended",
        "paused by a person": "progress",
        "paused": "trouble",
        "stuck": "trouble",
        "undone there": "progress",
        "failed there": "trouble",
        "canary": "progress",
    }


async def test_a_signed_webhook(tmp_path: Path) -> None:
    async with hook() as there:
        target = Target(url=there.url, secret_env="SECRET", on=("started", "gate"))
        journal, rollout = begun(tmp_path, target)
        journal.save(rollout, [event("canary", node="cam-1"), event("gate", why="wave 1 is well")])
        await told(journal)
    first, second = there.deliveries
    assert [first.notice["kind"], second.notice["kind"]] == ["started", "gate"]
    assert second.notice["why"] == "wave 1 is well"
    assert second.notice["nodes"] == {"planned": 1}
    assert second.headers["roost-delivery"] == second.notice["id"]
    at, mac = second.headers["roost-signature"].removeprefix("t=").split(",sha256=")
    assert mac == hmac.new(b"shh", f"{at}.".encode() + second.body, hashlib.sha256).hexdigest()
    assert owing(journal.folder) == set()
    # Who reads the journal does not read the secret.
    for file in journal.folder.iterdir():
        assert b"shh" not in file.read_bytes()


async def test_what_is_not_taken_is_sent_again_with_the_same_id(tmp_path: Path) -> None:
    async with hook() as there:
        there.statuses = [500, 0, 302, 204]
        journal, _ = begun(tmp_path, Target(url=there.url, on=("started",)))
        await told(journal)
    assert len({each.headers["roost-delivery"] for each in there.deliveries}) == 1
    assert len(there.deliveries) == 4
    said = [each.why for _, each in journal.events("r1") if each.what == "not told"]
    assert said == ["webhook 127.0.0.1: it answers 500; it is tried again"]


async def test_a_killed_runner_leaves_what_it_owes(tmp_path: Path) -> None:
    async with hook() as there:
        journal, rollout = begun(tmp_path, Target(url=there.url))
        journal.save(rollout, [event("done")])
        assert owing(journal.folder) == {"r1"}  # and then it was killed
        await told(Journal(journal.folder))
    assert [each.notice["what"] for each in there.deliveries] == ["done"]


async def test_one_that_hangs_keeps_no_other_one_up(tmp_path: Path) -> None:
    async with hook() as bad, hook() as good:
        bad.statuses = [-1]
        journal, _ = begun(
            tmp_path,
            Target(url=bad.url, on=("started",), timeout=30),
            Target(url=good.url, on=("started",)),
        )
        await told(journal, until_owed=1)
        assert len(good.deliveries) == 1
        await bad.until(1)


async def test_one_that_hangs_is_given_its_time_and_no_more(tmp_path: Path) -> None:
    async with hook() as there:
        there.statuses = [-1, 204]
        journal, _ = begun(tmp_path, Target(url=there.url, on=("started",), timeout=0.05))
        await told(journal)
    assert len(there.deliveries) == 2


async def test_a_secret_that_is_not_there_sends_nothing(tmp_path: Path) -> None:
    async with hook() as there:
        target = Target(url=there.url, secret_env="NOBODY_SET_IT", on=("started",))
        journal, _ = begun(tmp_path, target)
        notifier = Notifier(journal, "r1", {}, first_seconds=100)
        task = asyncio.create_task(notifier.run())
        await notifier.last(30)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert there.deliveries == []
    (said,) = [each.why for _, each in journal.events("r1") if each.what == "not told"]
    assert "$NOBODY_SET_IT is empty or not set" in said
    assert owing(journal.folder) == {"r1"}


async def test_an_address_from_a_file(tmp_path: Path) -> None:
    async with hook() as there:
        file = tmp_path / "hook"
        file.write_text(f"{there.url}?token=abc\n")
        journal, _ = begun(tmp_path, Target(url_file=str(file), on=("started",)))
        await told(journal)
        assert len(there.deliveries) == 1


async def test_a_command(tmp_path: Path) -> None:
    script, out = tmp_path / "tell.py", tmp_path / "told"
    script.write_text(
        "import sys, pathlib\n"
        f"out = pathlib.Path({str(out)!r})\n"
        "tries = len(out.read_text()) if out.exists() else 0\n"
        "out.write_text('x' * (tries + 1))\n"
        "if tries == 0:\n    print('not now', file=sys.stderr); sys.exit(3)\n"
        f"pathlib.Path({str(out)!r} + '.json').write_text(sys.stdin.read())\n"
    )
    target = Target(command=(sys.executable, str(script)), on=("started",))
    journal, _ = begun(tmp_path, target)
    await told(journal)
    assert out.read_text() == "xx"
    assert '"kind":"started"' in (tmp_path / "told.json").read_text()
    (said,) = [each.why for _, each in journal.events("r1") if each.what == "not told"]
    assert said.endswith("it ended with 3: not now; it is tried again")


async def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {marker}; wait"
    target = Target(command=("/bin/sh", "-c", script), on=("started",), timeout=0.3)
    journal, _ = begun(tmp_path, target)
    notifier = Notifier(journal, "r1", {}, first_seconds=1000)
    task = asyncio.create_task(notifier.run())
    await notifier.last(30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert ended(int(marker.read_text()))
    (said,) = [each.why for _, each in journal.events("r1") if each.what == "not told"]
    assert "no answer within 0.3 s" in said


def test_no_more_is_owed_than_somebody_would_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.rollouts.notice_file.OWED_LIMIT", 5)
    journal, rollout = begun(tmp_path, Target(command=("/bin/true",), on=("gate",)))
    journal.save(rollout, [event("gate", why=str(number)) for number in range(9)])
    owed = NoticeBook(journal.folder, "r1").owed()
    assert [f'"why":"{number}"' in each.body for number, (_, each) in enumerate(owed, 4)] == [
        True
    ] * 5
