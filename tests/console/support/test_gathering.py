"""What is gathered over a link that breaks: no secret in it, and what lacks is said."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import cast

import pytest

from agent.protocol.jobs import JobLogLine
from agent.protocol.problems import ProblemError
from console.link.client import NodeClient
from console.support import gathering
from console.support.gathering import Part, gather

FAILED = [{"id": "job-1", "state": "failed"}, {"id": "job-2", "state": "succeeded"}]


class FakeNode:
    """Answers `{}` to everything but jobs; the log of a job breaks off after its first lines."""

    def __init__(self, jobs: bytes, *, cut: bool = False, log: Sequence[str] = ()) -> None:
        self._jobs, self._cut, self._log = jobs, cut, log

    async def read(
        self, target: str, *, timeout: float, limit: int, heard: Callable[[int], None]
    ) -> tuple[bytes, bool]:
        if target.startswith("/v1/jobs"):
            return self._jobs, self._cut
        return b"{}", False

    async def job_log(self, name: str, *, follow: bool) -> AsyncGenerator[list[JobLogLine], None]:
        if self._log:
            yield [JobLogLine(number=n, at=1.0, text=text) for n, text in enumerate(self._log)]
            return
        yield [
            JobLogLine(number=1, at=1.0, text="cloning with DB_PASSWORD=hunter2"),
            JobLogLine(number=2, at=2.0, text="still at it"),
        ]
        raise ProblemError("link.unreachable", "it was cut", hint="Try again.")


async def gathered(node: FakeNode) -> dict[str, Part]:
    parts = [part async for part in gather(cast("NodeClient", node), lambda *_: None)]
    return {part.name: part for part in parts}


async def test_a_job_log_that_breaks_off_tells_no_secret_either() -> None:
    part = (await gathered(FakeNode(json.dumps(FAILED).encode())))["jobs/job-1.log"]
    assert part.text is not None
    assert "hunter2" not in part.text
    assert part.text.splitlines()[1] == "2.000 still at it"
    assert part.why == "link.unreachable: it was cut"


async def test_which_job_logs_lack_is_said_where_the_jobs_could_not_be_read() -> None:
    found = await gathered(FakeNode(json.dumps(FAILED).encode()[:-5], cut=True))
    assert found["jobs.json"].why == "cut after 4 MiB"
    assert found["jobs/"].text is None
    assert "jobs.json" in found["jobs/"].why
    assert "jobs/" not in await gathered(FakeNode(b"[]"))


async def job_log(log: Sequence[str]) -> Part:
    return (await gathered(FakeNode(json.dumps(FAILED).encode(), log=log)))["jobs/job-1.log"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "HEAD_BYTES", 200)
    monkeypatch.setattr(gathering, "TAIL_BYTES", 400)


@pytest.mark.usefixtures("small")
async def test_of_a_long_log_the_begin_and_the_end_are_kept() -> None:
    log = [f"step {number:03}" for number in range(500)]
    part = await job_log([*log, "it failed: no such file"])
    assert part.text is not None
    lines = part.text.splitlines()
    assert (lines[0], lines[-1]) == ("1.000 step 000", "1.000 it failed: no such file")
    told = next(line for line in lines if line.startswith("---"))
    left_out = 501 - (len(lines) - 1)
    assert told == f"--- {left_out} lines in the middle left out ---"
    assert part.why == f"{left_out} lines in the middle left out"
    assert len(part.text) < 700
    short = await job_log(log[:30])
    assert (short.why, len((short.text or "").splitlines())) == ("", 30)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("before", range(30))
async def test_a_secret_that_is_cut_in_two_is_in_neither_end(before: int) -> None:
    """Wherever the cuts fall."""
    key = ["-----BEGIN PRIVATE KEY-----", *["hunter2" * 9] * 9, "-----END PRIVATE KEY-----"]
    said = ["a line of words"] * before
    part = await job_log([*said, *key, *said, *said, *key, "it failed"])
    assert part.text is not None
    assert "hunter2" not in part.text
    assert f"--- {part.why} ---\n" in part.text
    assert part.text.endswith("it failed\n")


async def test_no_more_than_so_much_of_a_log_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "READ_BYTES", 1 << 20)
    part = await job_log(["x" * 1023] * 1100)
    assert part.why.endswith("left out; cut after 1 MiB")
