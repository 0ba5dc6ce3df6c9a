"""Which sites can pass layers on among their nodes, under what `image check` says of each node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.protocol.site import SiteStatus
from console.cli.output import say
from console.fleet.inventory import NodeEntry
from console.images.sites import LABEL


def tell_sites(entries: Sequence[NodeEntry], statuses: Mapping[str, SiteStatus]) -> None:
    """One line for each site: who of it can be the seed of `image push --via-site`, or why not.

    `statuses` are by node; of a node that is not there nobody knows.
    """
    for site in dict.fromkeys(entry.labels.get(LABEL, "") for entry in entries):
        names = [entry.name for entry in entries if site and entry.labels.get(LABEL) == site]
        if len(names) < 2:
            continue
        able = [name for name in names if name in statuses and statuses[name].listening]
        if able:
            say(f"site {site}: --via-site can send once, to {' or '.join(able)}")
            continue
        why = dict.fromkeys(
            status.reason or "" for name, status in statuses.items() if name in names
        )
        said = "; ".join(reason for reason in why if reason) or "none of its nodes answered"
        say(f"site {site}: --via-site would send to each of its {len(names)} nodes: {said}")
