"""What `image check` says of sites."""

from __future__ import annotations

import pytest

from agent.protocol.site import SiteStatus
from console.cli.check_sites import tell_sites
from console.fleet.inventory import NodeEntry

OFF = SiteStatus(listening=False, reason="site_listen is not set in its agent.yaml")
ON = SiteStatus(listening=True, addresses=["10.0.0.5:7444"], fingerprint="sha256:" + "1" * 64)


def node(name: str, site: str | None) -> NodeEntry:
    labels = {} if site is None else {"site": site}
    return NodeEntry(name=name, address=f"unix:///{name}", labels=labels)


def said(capsys: pytest.CaptureFixture[str], *nodes: NodeEntry, **statuses: SiteStatus) -> str:
    tell_sites(nodes, statuses)
    return capsys.readouterr().err


def test_who_can_be_the_seed(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [node("a", "plant"), node("b", "plant"), node("c", "plant")]
    text = said(capsys, *nodes, a=OFF, b=ON, c=ON)
    assert "site plant: --via-site works: sent once, to b or c" in text


def test_why_nobody_can(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [node("a", "plant"), node("b", "plant")]
    text = said(capsys, *nodes, a=OFF, b=OFF)
    assert "does not help: sent to each of its 2 nodes: site_listen is not set" in text
    assert "none of its nodes answered" in said(capsys, *nodes)


def test_nothing_of_nodes_that_are_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, node("a", "plant"), node("b", None), node("c", None), a=ON) == ""
