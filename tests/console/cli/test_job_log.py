"""`roost job log --follow` over a link that drops."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from agent.protocol.jobs import Job, JobLogLine
from agent.protocol.problems import ProblemError
from console.cli import job_log
from console.cli.job_log import _Reader

DONE = Job(id="0", kind="k", subject="s", state="succeeded", owner="o", created_at=0.0)
LINES = [JobLogLine(number=number, at=0.0, text=f"line {number}") for number in (1, 2, 3)]


class DroppingClient:
    """Tells one line for each connection, then drops it; the last one tells the end."""

    def __init__(self, code: str = "link.unreachable") -> None:
        self.asked: list[int] = []
        self._code = code

    async def job_log(
        self, name: str, *, follow: bool = True, after: int = 0
    ) -> AsyncGenerator[list[JobLogLine] | Job, None]:
        self.asked.append(after)
        new = [line for line in LINES if line.number > after]
        if not new:
            yield DONE
            return
        yield new[:1]
        raise ProblemError(self._code, "the link is cut", hint="wait")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_log, "_FIRST_PAUSE_SECONDS", 0.0)


def reader_over(client: DroppingClient) -> _Reader:
    return _Reader("t4", client, "0", as_json=False)  # type: ignore[arg-type]  # a double


async def test_each_line_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    client = DroppingClient()
    assert await reader_over(client).follow() == DONE
    assert client.asked == [0, 1, 2, 3]
    told = capsys.readouterr()
    assert told.out == "line 1\nline 2\nline 3\n"
    assert told.err.count("the link is cut; trying again") == 3


async def test_what_the_agent_itself_refuses_is_not_tried_again() -> None:
    client = DroppingClient("job.not_found")
    with pytest.raises(ProblemError) as caught:
        await reader_over(client).follow()
    assert (caught.value.code, client.asked) == ("job.not_found", [0])
