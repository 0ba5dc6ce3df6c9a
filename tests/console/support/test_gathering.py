"""What is gathered over a link that breaks: no secret in it, and what lacks is said."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from typing import cast

from agent.protocol.jobs import JobLogLine
from agent.protocol.problems import ProblemError
from console.link.client import NodeClient
from console.support.gathering import Part, gather

FAILED = [{"id": "job-1", "state": "failed"}, {"id": "job-2", "state": "succeeded"}]


class FakeNode:
    """Answers `{}` to everything but jobs; the log of a job breaks off after its first lines."""

    def __init__(self, jobs: bytes, *, cut: bool = False) -> None:
        self._jobs, self._cut = jobs, cut

    async def read(
        self, target: str, *, timeout: float, limit: int, heard: Callable[[int], None]
    ) -> tuple[bytes, bool]:
        if target.startswith("/v1/jobs"):
            return self._jobs, self._cut
        return b"{}", False

    async def job_log(self, name: str, *, follow: bool) -> AsyncGenerator[list[JobLogLine], None]:
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
