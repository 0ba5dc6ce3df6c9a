"""The API version, and which versions a console can talk to."""

from __future__ import annotations

from agent.protocol.problems import ProblemError

API_MAJOR = 1
API_MINOR = 0
API_VERSION = f"{API_MAJOR}.{API_MINOR}"

# Every answer of an agent carries its API version here, so that one request tells.
API_VERSION_HEADER = "Roost-Api-Version"


def check_api_version(agent_api: str, *, node: str) -> None:
    """Raise `link.api_too_new` unless this console can talk to an agent of `agent_api` ("1.4").

    Older minors are fine, and so are newer ones: fields are only ever added within a major.
    """
    major = agent_api.partition(".")[0]
    if not major.isdecimal():
        raise ProblemError(
            "link.garbage",
            f"{node} states its API version as {agent_api[:40]!r}, which is not a version",
            params={"node": node},
            hint="Check that the address is a Roost agent's.",
        )
    if int(major) != API_MAJOR:
        raise ProblemError(
            "link.api_unknown",
            f"{node} speaks API {agent_api}, this console speaks API {API_VERSION}",
            params={"node": node, "agent_api": agent_api, "console_api": API_VERSION},
            hint=(
                "Upgrade this console." if int(major) > API_MAJOR else "Upgrade the agent there."
            ),
        )
