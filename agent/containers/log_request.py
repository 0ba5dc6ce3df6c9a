"""What part of a log is wanted."""

from __future__ import annotations

import msgspec

from agent.containers.moments import parse_moment, rfc3339_text, unix_text
from agent.protocol.problems import ProblemError


class LogRequest(msgspec.Struct, kw_only=True, frozen=True):
    """What was asked for, checked. Moments are nanoseconds since 1970."""

    follow: bool
    since: int | None = None
    until: int | None = None
    tail: int | None = None

    @classmethod
    def parse(
        cls, *, follow: bool, since: str | None, until: str | None, tail: int | None, now: float
    ) -> LogRequest:
        """Check what a person wrote.

        Raises:
            ProblemError: `request.invalid`.
        """
        if tail is not None and tail < 0:
            raise ProblemError(
                "request.invalid",
                f"tail is {tail}, and cannot be less than 0",
                params={"value": tail},
                hint="Leave it out for the whole log.",
            )
        return cls(
            follow=follow,
            since=None if since is None else parse_moment(since, now=now),
            until=None if until is None else parse_moment(until, now=now),
            tail=tail,
        )

    def query(self, *, podman: bool) -> dict[str, str | int]:
        """As the runtime's API takes it."""
        moment = rfc3339_text if podman else unix_text
        query: dict[str, str | int] = {
            "stdout": 1,
            "stderr": 1,
            "timestamps": 1,
            "follow": int(self.follow),
            "tail": "all" if self.tail is None else self.tail,
        }
        if self.since is not None:
            query["since"] = moment(self.since)
        if self.until is not None:
            query["until"] = moment(self.until)
        return query
