"""Layers that go once to a site, and from one node to the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.images.pushing import archive_of, made, noise
from tests.console.images.site_parts import push_via_site, site_of

BASE, TOP = noise("base", 3_000_000), noise("top", 1_000_000)


@pytest.mark.timeout(60)
async def test_it_is_sent_once_and_spread(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "app.tar", made("app:1", BASE, TOP))
    async with site_of(tmp_path, "a", "b", "c", listening=["b", "c"]) as nodes:
        done = await push_via_site(nodes, archive)
    assert {name: each.state.problem for name, each in done.items()} == dict.fromkeys("abc")
    assert {name: each.account.way for name, each in done.items()} == {
        "a": "from b",
        "b": "seed",
        "c": "from b",
    }
    assert done["a"].account.sent_bytes == done["c"].account.sent_bytes == 0
    assert done["a"].account.fetched_bytes == done["b"].account.sent_bytes


async def test_without_a_seed_all_go_directly(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "app.tar", made("app:1", BASE, TOP))
    async with site_of(tmp_path, "a", "b", listening=[]) as nodes:
        done = await push_via_site(nodes, archive)
    assert {name: each.account.way for name, each in done.items()} == {"a": "direct", "b": "direct"}
    assert {each.state.stage for each in done.values()} == {"done"}


async def test_who_holds_the_most_is_the_seed(tmp_path: Path) -> None:
    base = archive_of(tmp_path / "base.tar", made("base:1", BASE))
    archive = archive_of(tmp_path / "app.tar", made("app:1", BASE, TOP))
    async with site_of(tmp_path, "a", "b", "c", listening=["a", "b", "c"]) as nodes:
        await push_via_site({"c": nodes["c"]}, base)
        top = made("app:1", BASE, TOP).diff_ids[1]
        done = await push_via_site(nodes, archive)
        stored = nodes["c"].agent.node.images.blobs.get(top).stored_bytes
    ways = {name: each.account.way for name, each in done.items()}
    assert ways == {"a": "from c", "b": "from c", "c": "seed"}
    assert done["c"].account.sent_bytes == stored


async def test_a_seed_that_needs_nothing_itself(tmp_path: Path) -> None:
    image = made("app:1", BASE, TOP)
    archive = archive_of(tmp_path / "app.tar", image)
    async with site_of(tmp_path, "a", "b", listening=["b"]) as nodes:
        first = await push_via_site({"b": nodes["b"]}, archive)
        for diff_id in image.diff_ids:
            nodes["b"].agent.node.images.blobs.remove(diff_id)
        done = await push_via_site(nodes, archive)
    assert first["b"].account.way == "direct"  # alone at its site
    assert done["b"].state.job is None
    assert {name: each.account.way for name, each in done.items()} == {"a": "from b", "b": "seed"}


async def test_what_all_have_is_not_sent_at_all(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "app.tar", made("app:1", BASE))
    async with site_of(tmp_path, "a", "b", listening=["b"]) as nodes:
        await push_via_site(nodes, archive)
        again = await push_via_site(nodes, archive)
    assert {each.account.way for each in again.values()} == {""}
    assert {each.account.sent_bytes for each in again.values()} == {0}
