"""`roost job` against served agents with jobs of a kind that only tests know."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from agent.jobs.work import Work
from agent.protocol.jobs import Job
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from console.cli.job_ls import COLUMNS, lines, rows
from console.cli.job_show import facts_of
from console.cli.job_words import progress
from console.cli.run import Answer
from console.cli.table import fit
from console.fleet.inventory import NodeEntry
from console.fleet.job_words import state, why
from tests.agent.jobs.kinds import Brush, Paint, Painting, ended
from tests.console.cli.commands import Done, roost_beside, write_fleet
from tests.console.serving import ServedAgent, serve_agent
from tests.console.tui.fakes import make_node
from tests.waiting import until


class Fleet:
    """Two agents that paint, a third node that is away, and `roost` in front of them."""

    def __init__(self, home: Path, agents: dict[str, ServedAgent], brush: Brush) -> None:
        self.home = home
        self.agents = agents
        self.brush = brush

    async def roost(self, *arguments: str) -> Done:
        return await roost_beside(self.home, "--fleet", self.home / "fleet.yaml", *arguments)

    async def submit(self, node: str, what: str, colour: str = "red") -> Job:
        jobs = self.agents[node].node.jobs
        return await jobs.submit("test.paint", Paint(what=what, colour=colour), owner="maria")

    async def ended(self, node: str, job: Job) -> Job:
        return await ended(self.agents[node].node.jobs, job)


@pytest.fixture
async def fleet(short_folder: Path, tmp_path: Path) -> AsyncIterator[Fleet]:
    brush = Brush()

    async def paint(work: Work[Paint]) -> dict[str, str]:
        work.log(f"painting the {work.request.what}")
        if work.request.colour == "none":
            raise ProblemError("runtime.refused", "there is no \x1bpaint", hint="buy some")
        work.progress(30, 100, "items")
        if work.request.colour == "slow":
            await work.stage("drying", 60)
            await brush.paint(work)
        return {"colour": work.request.colour}

    async with AsyncExitStack() as stack:
        agents = {}
        for name in ("left", "right"):
            folder = short_folder / name
            folder.mkdir()
            agents[name] = await stack.enter_async_context(serve_agent(folder, name))
            agents[name].node.jobs.register(Painting(paint))
        entries = [agents["left"].entry, agents["right"].entry]
        entries[1] = msgspec.structs.replace(entries[1], production=True)
        away = NodeEntry(name="away", address=f"unix://{short_folder}/away.sock")
        write_fleet(tmp_path / "fleet.yaml", [*entries, away])
        yield Fleet(tmp_path, agents, brush)
        brush.enough.set()


@pytest.mark.timeout(60)
async def test_jobs_of_all_nodes_are_listed(fleet: Fleet) -> None:
    first = await fleet.ended("left", await fleet.submit("left", "wall"))
    await fleet.ended("left", await fleet.submit("left", "door", "none"))
    slow = await fleet.submit("right", "roof", "slow")
    await fleet.brush.begun.wait()
    listed = await fleet.roost("job", "ls")
    assert listed.code == 1  # one node is away
    rows = [line.split("  ") for line in listed.out.splitlines()]
    lines = [" ".join(part.strip() for part in row if part) for row in rows]
    assert lines[0] == "NODE MARK JOB KIND SUBJECT STATE DONE BY SINCE WHY"
    assert "failed - maria" in lines[1]
    assert "there is no \\x1bpaint" in lines[1]
    assert f"left {first.id} test.paint wall succeeded - maria" in lines[2]
    assert "right PROD" in lines[3]
    assert "roof running, drying" in lines[3]
    assert lines[4].startswith("away - offline")
    only = await fleet.roost("job", "ls", "@right", "--state", "running", "--json")
    assert only.code == 0
    (record,) = only.json
    assert (record["node"], record["production"], record["job"]["id"]) == ("right", True, slow.id)


def at_night() -> Answer[tuple[NodeFacts, list[Job]]]:
    """A node with a long name and jobs of all kinds, as `job ls` has them."""
    half = Job(
        id="0123456789ab",
        kind="image.load",
        subject="registry.plant-7.example/vision/detector:1.4.12",
        state="running",
        stage="no sender",
        done=300 << 20,
        total=600 << 20,
        owner="maria@depot-console",
        created_at=0.0,
        started_at=1000.0,
        deadline_at=90_000.0,
        reason="nobody sends its layers now: the same push again goes on with it",
    )
    replace = msgspec.structs.replace
    jobs = [
        half,
        replace(half, stage="waiting for somebody else's load"),
        replace(half, state="cancelled", ended_at=2000.0),
        replace(half, state="succeeded", ended_at=2000.0),
    ]
    facts = make_node("plant-07-line-03-cam-1").facts()
    assert facts is not None
    facts.now = 4600.0
    entry = NodeEntry(name="plant-07-line-03-cam-1", address="unix:///x", production=True)
    return Answer(entry, (facts, jobs))


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = fit(COLUMNS, rows(at_night()), width)
    assert max(map(len, lines)) <= width
    for title in ("NODE", "JOB", "SUBJECT", "STATE", "BY"):
        assert title in lines[0].split()
    assert "no sender" in lines[1]
    assert "maria" in lines[1]


def test_sentences_are_folded_under_the_table_where_they_do_not_fit() -> None:
    digest = "sha256:" + "0123456789ab" + "f" * 52
    answer = at_night()
    assert answer.value is not None
    answer.value[1][3].reason = None
    answer.value[1][3].result = {"app:1": digest}
    for width in (60, 80, 100):
        shown = lines(rows(answer), width)
        assert max(map(len, shown)) <= width
        assert "WHY" not in shown[0]
        text = " ".join(line.strip() for line in shown[5:])
        assert "plant-07-line-03-cam-1 01234567: nobody sends its layers now: the same push" in text
        assert "app:1 0123456789ab" in text
        assert "ffff" not in text
    wide = lines(rows(answer), 400)
    assert len(wide) == 5
    assert wide[0].endswith("WHY")
    assert wide[4].endswith("app:1 0123456789ab")
    assert lines([], 80) == []


def test_how_long_it_still_waits_and_how_far_it_came() -> None:
    lines = [" ".join(line.split()) for line in fit(COLUMNS, rows(at_night()), 400)]
    assert "running, no sender 50% of 600 MiB maria@depot-console 1h 23h nobody sends" in lines[1]
    assert "cancelled ended at 50% of 600 MiB maria@depot-console 43m nobody" in lines[3]
    assert "succeeded - maria@depot-console 43m" in lines[4]


def test_one_job_says_until_when_it_waits_and_how_far_it_came() -> None:
    answer = at_night()
    assert answer.value is not None
    waiting, _, cancelled, _ = answer.value[1]
    facts = dict(facts_of(waiting))
    assert facts["state"] == "running, no sender"
    assert facts["waits"] == "until 1970-01-02 01:00:00Z, and keeps its space until then"
    assert "the same push again" in facts["reason"]
    facts = dict(facts_of(cancelled))
    assert facts["progress"] == "ended at 50% of 600 MiB, in stage no sender"
    assert not {"waits", "deadline"} & facts.keys()


@pytest.mark.timeout(60)
async def test_a_job_is_found_wherever_it_is_and_shown(fleet: Fleet) -> None:
    failed = await fleet.ended("left", await fleet.submit("left", "door", "none"))
    shown = await fleet.roost("job", "show", failed.id[:6])
    assert shown.code == 0
    facts = {line[:10].strip(): line[10:] for line in shown.out.splitlines()}
    assert (facts["node"], facts["job"], facts["state"]) == ("left", failed.id, "failed")
    assert facts["problem"] == "there is no \\x1bpaint (runtime.refused)"
    assert facts["hint"] == "buy some"
    as_json = await fleet.roost("job", "show", failed.id, "@left", "--json")
    assert msgspec.convert(as_json.json["job"], Job) == failed
    unknown = await fleet.roost("job", "show", "ffff00000000")
    assert unknown.code == 1
    assert "error: away:" in unknown.err
    assert "of 3 nodes, 2 answered, and none has a job 'ffff00000000'" in unknown.err
    elsewhere = await fleet.roost("job", "show", failed.id, "@right")
    assert elsewhere.code == 1
    assert f"this node knows no job '{failed.id}'" in elsewhere.err
    nobody = await fleet.roost("job", "show", failed.id, "@away")
    assert nobody.code == 3


@pytest.mark.timeout(60)
async def test_a_log_is_followed_until_the_job_ends(fleet: Fleet) -> None:
    slow = await fleet.submit("left", "roof", "slow")
    await fleet.brush.begun.wait()
    so_far = await fleet.roost("job", "log", slow.id, "@left")
    assert (so_far.code, so_far.out) == (0, "painting the roof\n")
    fleet.brush.enough.set()
    followed = await fleet.roost("job", "log", "--follow", slow.id, "@left")
    assert (followed.code, followed.out) == (0, "painting the roof\n")
    assert followed.err == f"left: job {slow.id}: succeeded: colour slow\n"
    failed = await fleet.submit("left", "door", "none")
    as_json = await fleet.roost("job", "log", "-f", failed.id, "@left", "--json")
    assert as_json.code == 1
    record = json.loads(as_json.out)
    assert (record["node"], record["job"], record["line"]["number"]) == ("left", failed.id, 1)
    assert "failed: there is no \\x1bpaint" in as_json.err


@pytest.mark.timeout(60)
async def test_a_job_is_cancelled_and_tried_again(fleet: Fleet) -> None:
    slow = await fleet.submit("right", "roof", "slow")
    await fleet.brush.begun.wait()
    refused = await fleet.roost("--read-only", "job", "cancel", slow.id, "@right")
    assert refused.code == 2
    cancelled = await fleet.roost("job", "cancel", slow.id, "@right")
    assert cancelled.code == 0
    assert cancelled.out.startswith(f"right  {slow.id}  test.paint of roof  ")
    job = await fleet.ended("right", slow)
    assert job.state == "cancelled"
    assert job.reason is not None
    assert job.reason.startswith("cancelled by ")
    fleet.brush.enough.set()
    again = await fleet.roost("job", "retry", slow.id, "@right", "--json")
    assert again.code == 0
    made = msgspec.convert(again.json["job"], Job)
    assert made.parent == slow.id
    assert (await fleet.ended("right", made)).state == "succeeded"
    too_late = await fleet.roost("job", "cancel", made.id, "@right")
    assert too_late.code == 1
    assert "has succeeded" in too_late.err
    refused = await fleet.roost("job", "retry", made.id, "@right")
    assert refused.code == 1
    await until(lambda: len(fleet.agents["right"].node.jobs.newest()) == 2)


def job(**fields: object) -> Job:
    base = {"id": "0", "kind": "k", "subject": "s", "state": "running", "owner": "o"}
    return msgspec.convert({**base, "created_at": 0.0, **fields}, Job)


def test_a_job_in_short_words() -> None:
    assert state(job()) == "running, starting"
    assert state(job(stage="loading")) == "running, loading"
    assert state(job(stage="loading", cancelling=True)) == "running, cancelling"
    assert state(job(state="failed", stage="loading")) == "failed"
    assert progress(job()) == "-"
    assert progress(job(done=300 * 2**20, total=600 * 2**20)) == "50% of 600 MiB"
    assert progress(job(done=1024)) == "1.0 KiB"
    assert progress(job(done=3, total=7, unit="items")) == "3 of 7"
    assert progress(job(done=3, unit="items")) == "3"
    assert progress(job(done=0, total=0)) == "0 B"
    assert why(job(result={"image": "a", "tag": "b"})) == "image a, tag b"
    assert why(job(state="cancelled", reason="cancelled by paul")) == "cancelled by paul"
