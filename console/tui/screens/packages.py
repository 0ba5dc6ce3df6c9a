"""What is installed in an image of a node: read there, unless it was before."""

from __future__ import annotations

import secrets
from collections import Counter

from agent.protocol.packages import PackageList
from console.text import clean
from console.tui.ports import NodeClient
from console.tui.screens.image_actions import see_through
from console.tui.widgets.page import BLANK, Entry


async def read_packages(client: NodeClient, image: str) -> PackageList:
    """By the node; a job where nobody has read the image yet.

    Raises:
        ProblemError: the node's own, the job's; `link.*`.
    """
    packages = client.packages
    found = await packages.get(image)
    if found is None:
        await see_through(client, await packages.read(image, secrets.token_hex(16)))
        found = await packages.get(image)
    return found or PackageList(unknown=["the node has read it and kept nothing"])


def package_entries(found: PackageList) -> list[Entry]:
    """How many of which kind, what is not known, and then each."""
    kinds = Counter(package.kind for package in found.packages)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"
    system = f"{found.os_id} {found.os_version}".strip() or "no distribution known"
    entries = [Entry("packages  ", counts), Entry("system    ", clean(system))]
    entries += [Entry("", f"There may be more: {clean(each)}", "warn") for each in found.unknown]
    if found.packages:
        entries.append(BLANK)
    entries += [
        Entry(f"{each.kind:<8}", clean(f"{each.name} {each.version}")) for each in found.packages
    ]
    return entries
