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
