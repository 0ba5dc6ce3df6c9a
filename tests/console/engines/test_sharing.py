"""Who builds an engine, and who fetches it from whom."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.protocol.engines import BuildRequest, EngineRecipe
from agent.protocol.site import SiteStatus
from console.engines.node_build import NodeBuild
from console.engines.sharing import Look, share
from console.fleet.inventory import NodeEntry

SERVES = SiteStatus(listening=True)
NOT_SET = SiteStatus(listening=False, reason="site_listen is not set in its agent.yaml")
K, OTHER = Look(key="a" * 64), Look(key="b" * 64)
HAS = Look(key="a" * 64, there=True)
SIGNED = Look(key="a" * 64, alone="policy.require_signature is on there")
OLD = Look(alone="its agent is older than this")


def told(
    nodes: Mapping[str, tuple[str, Look, SiteStatus | None]], *, rebuild: bool = False
) -> dict[str, tuple[str, str]]:
    """By node what it does, and why. Given are its site, what it said, and whether it serves."""
    recipe = EngineRecipe(model="detector", onnx="detector.onnx")
    builds = [
        NodeBuild(
            NodeEntry(name=name, address="unix:///x", labels={"site": site} if site else {}),
            BuildRequest(recipe=recipe, rebuild=rebuild),
        )
        for name, (site, _, _) in nodes.items()
    ]
    sites = {name: status for name, (_, _, status) in nodes.items() if status is not None}
    found = share(builds, [seen for _, seen, _ in nodes.values()], sites)
    for build, each in zip(builds, found, strict=True):
        from_whom = build.source.entry.name if build.source is not None else None
        assert each.does.startswith("fetches") == (from_whom is not None)
        assert from_whom is None or each.does == f"fetches from {from_whom}"
    return {each.node: (each.does, each.why) for each in found}


def test_the_first_that_serves_its_site_builds() -> None:
    assert told({"a": ("x", K, NOT_SET), "b": ("x", K, SERVES), "c": ("x", K, SERVES)}) == {
        "a": ("fetches from b", ""),
        "b": ("builds", "for a, c"),
        "c": ("fetches from b", ""),
    }


def test_each_site_and_each_key_has_its_own() -> None:
    assert told(
        {
            "a": ("x", K, SERVES),
            "b": ("x", OTHER, SERVES),
            "c": ("y", K, SERVES),
            "d": ("y", K, None),
        }
    ) == {
        "a": ("builds", "no other node of x here has its key"),
        "b": ("builds", "no other node of x here has its key"),
        "c": ("builds", "for d"),
        "d": ("fetches from c", ""),
    }


def test_one_that_has_it_is_asked_before_one_that_would_build() -> None:
    nodes = {"a": ("x", K, SERVES), "b": ("x", HAS, SERVES), "c": ("x", HAS, SERVES)}
    assert told(nodes) == {
        "a": ("fetches from b", ""),
        "b": ("has it", "for a"),
        "c": ("has it", ""),
    }
    assert told(nodes, rebuild=True) == {
        "a": ("builds", "for b, c"),
        "b": ("fetches from a", ""),
        "c": ("fetches from a", ""),
    }


def test_one_that_takes_none_builds_for_others() -> None:
    assert told({"a": ("x", K, SERVES), "b": ("x", SIGNED, SERVES)}) == {
        "a": ("fetches from b", ""),
        "b": ("builds", "for a"),
    }


@pytest.mark.parametrize(
    ("site", "seen", "status", "why"),
    [
        ("", K, SERVES, "it has no label site"),
        ("x", OLD, SERVES, "its agent is older than this"),
        ("x", SIGNED, NOT_SET, "policy.require_signature is on there"),
    ],
)
def test_why_one_builds_by_itself(site: str, seen: Look, status: SiteStatus, why: str) -> None:
    found = told({"a": (site, seen, status), "b": ("x", K, SERVES), "c": ("x", K, None)})
    assert found == {"a": ("builds", why), "b": ("builds", "for c"), "c": ("fetches from b", "")}


def test_a_site_that_nobody_serves() -> None:
    why = "no node of x with its key serves its site: site_listen is not set in its agent.yaml"
    assert told({"a": ("x", K, NOT_SET), "b": ("x", HAS, NOT_SET), "c": ("x", K, None)}) == {
        "a": ("builds", why),
        "b": ("has it", ""),
        "c": ("builds", why),
    }


def test_only_a_few_names_are_told() -> None:
    found = told(dict.fromkeys("abcdef", ("x", K, SERVES)))
    assert found["a"] == ("builds", "for b, c, d and 2 more")
