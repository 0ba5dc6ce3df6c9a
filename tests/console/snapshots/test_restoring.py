"""A restore that is under way already."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from agent.protocol.jobs import Job, JobState
from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import RESTORE, RestoreRequest
from console.snapshots.planning import RestorePlan
from console.snapshots.restoring import under_way
from tests.console.snapshots.made import digest

if TYPE_CHECKING:
    from console.link.client import NodeClient


class Busy:
    """A node with one job."""

    def __init__(self, alike: str, state: JobState) -> None:
        self.job = Job(
            id="abc", kind=RESTORE, subject="x", alike=alike, state=state, owner="m", created_at=0.0
        )

    async def jobs(self, *, limit: int) -> list[Job]:
        assert limit
        return [self.job]


async def found(wish: str, there: str, state: JobState = "running") -> Job | None:
    client = cast("NodeClient", Busy(there, state))
    request = RestoreRequest(snapshot=digest(1), wish=wish)
    return await under_way(client, RestorePlan(node="cam", request=request))


async def test_the_same_wish_goes_on_with_it() -> None:
    for wish in ("", "--remove-others --set web.TOKEN"):
        job = await found(wish, f"{digest(1)} {wish}".rstrip())
        assert job is not None
        assert job.id == "abc"
    assert await found("", digest(2)) is None
    assert await found("--make-room", digest(1), "failed") is None


@pytest.mark.parametrize(
    ("wish", "there", "words"),
    [
        ("--remove-others", "", "as it was asked to: without options"),
        ("", "--remove-others", "as it was asked to: --remove-others"),
        ("--set web.A", "--set web.B", "now it is asked for --set web.A"),
    ],
)
async def test_another_wish_is_not_swallowed(wish: str, there: str, words: str) -> None:
    with pytest.raises(ProblemError, match=words) as refused:
        await found(wish, f"{digest(1)} {there}".rstrip())
    assert refused.value.code == "snapshot.under_way"
    assert "roost job cancel abc" in (refused.value.hint or "")
