"""What may be wrong with fetching from a seed, in words."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol.problems import ProblemError
from agent.protocol.site import SiteGrant

DIRECT = "The layers go to this node directly; nothing else is affected."


def unreachable(grant: SiteGrant, why: Sequence[str]) -> ProblemError:
    return ProblemError(
        "site.unreachable",
        f"{grant.node} cannot be reached from here: {'; '.join(why)[:500]}",
        params={"seed": grant.node, "addresses": list(grant.addresses)},
        hint="Check site_listen in its agent.yaml, and that the nodes' network lets it through."
        f" {DIRECT}",
    )


def other_certificate(grant: SiteGrant, address: str, shown: str) -> ProblemError:
    return ProblemError(
        "site.fingerprint",
        f"{address} shows {shown}, the grant of {grant.node} says {grant.fingerprint}",
        params={"seed": grant.node, "found": shown, "granted": grant.fingerprint},
        hint="Something else answers under that address, and was sent nothing. If no node of"
        f" yours has it, somebody may be in between. {DIRECT}",
    )


def refused(grant: SiteGrant) -> ProblemError:
    return ProblemError(
        "site.refused",
        f"{grant.node} does not know the grant, or its time is over",
        params={"seed": grant.node},
        hint="A grant ends with its time and with the seed's agent. Push again.",
    )


def lacks(grant: SiteGrant, diff_id: str) -> ProblemError:
    return ProblemError(
        "site.lacks",
        f"{grant.node} does not have layer {diff_id}, or did not grant it",
        params={"seed": grant.node, "diff_id": diff_id},
        hint="It may have made room for others. Push again.",
    )


def cut(grant: SiteGrant, why: str) -> ProblemError:
    return ProblemError(
        "site.cut",
        f"{grant.node}: {why}",
        params={"seed": grant.node},
        hint="What came is kept; fetching goes on from there.",
    )


def off(reason: str) -> ProblemError:
    return ProblemError(
        "site.off",
        reason,
        params={"reason": reason},
        hint="site_listen: ADDRESS:PORT in agent.yaml lets a real node serve its site.",
    )
