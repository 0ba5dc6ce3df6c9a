"""Which sites can pass layers on among their nodes, under what `image check` says of each node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.protocol.site import SiteStatus
from console.cli.output import say
from console.fleet.inventory import NodeEntry
from console.images.sites import site_outlooks


def tell_sites(entries: Sequence[NodeEntry], statuses: Mapping[str, SiteStatus]) -> None:
    """One line for each site: who of it can be the seed of `image push --via-site`, or why not.

    `statuses` are by node; of a node that is not there nobody knows.
    """
    for outlook in site_outlooks(entries, statuses):
        word = "works" if outlook.able else "does not help"
        say(f"site {outlook.site}: --via-site {word}: {outlook.text}")
