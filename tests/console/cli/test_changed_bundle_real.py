"""Bundles that were changed after signing, on a node that takes only what is signed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.archives.bundle_manifest import SIGNATURE
from agent.archives.bundle_reading import Bundle, read_bundle
from tests.archives_made import Entry, Made, layer, sha256
from tests.bundles_made import entries_of, manifest_of, packed
from tests.console.cli.signing_bench import BASE, ONE, Bench

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

SIGNED = Made([BASE, ONE], tags=["app:1"])
EVIL = layer("evil", 100_000)
Change = Callable[[Bundle], bytes]


def other_image(bundle: Bundle) -> bytes:
    """Another image under the signed name, all of it fitting, and the seal that was there."""
    other = Made([BASE, EVIL], tags=["app:1"])
    return packed(manifest_of([other]), [Entry(SIGNATURE, bundle.head[1]), *entries_of([other])])


def other_name(bundle: Bundle) -> bytes:
    """What was signed, under a name that was not."""
    other = Made(SIGNED.layers, tags=["other:1"])
    return packed(manifest_of([other]), [Entry(SIGNATURE, bundle.head[1]), *entries_of([SIGNED])])


def other_layer(bundle: Bundle) -> bytes:
    """The signed manifest and its seal as they were, before another layer of the same name."""
    entries = entries_of([SIGNED])
    evil = [
        Entry(each.name, EVIL if sha256(ONE)[7:] in each.name else each.content) for each in entries
    ]
    return packed(bundle.head[0], [Entry(SIGNATURE, bundle.head[1]), *evil])


def no_seal(bundle: Bundle) -> bytes:
    """The manifest as it was signed, and the signature cut out."""
    return packed(bundle.head[0], entries_of([SIGNED]))


CHANGES: dict[Change, tuple[str, str]] = {
    other_image: ("signature.wrong", "it was changed"),
    other_name: ("signature.wrong", "it was changed"),
    other_layer: ("archive.", "hint: "),
    no_seal: ("signature.missing", "no signature came with it"),
}


@pytest.mark.parametrize("bench", [True], indirect=True)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_it_is_taken_by_no_way(bench: Bench, change: Change) -> None:
    """Neither pushed nor imported on the node: the tag stays what it was, no layer is kept."""
    key = bench.key("maria")
    bench.good("key", "trust", "dock", f"{key}.pub")
    first = bench.folder / "first.bundle"
    bench.good("bundle", "make", "-o", first, bench.archive("app:1", BASE), "--key", key)
    assert bench.push(first).code == 0
    before = bench.engine.docker("inspect", "--format", "{{.Id}}", "app:1")
    state = bench.agent.folder / "state"
    blobs = kept(state)

    bundle = bench.folder / "out.bundle"
    bench.good("bundle", "make", "-o", bundle, bench.archive("app:1", BASE, ONE), "--key", key)
    bundle.write_bytes(change(read_bundle(bundle)))
    code, said = CHANGES[change]
    pushed = bench.push(bundle)
    assert pushed.code == 1, pushed
    assert pushed.json[0]["problem"]["code"].startswith(code)
    assert pushed.json[0]["problem"]["hint"]
    imported = bench.import_on_node(bundle)
    assert imported.returncode == 1, imported
    assert said in imported.stderr
    assert "hint: " in imported.stderr

    assert bench.tags() == {"app:1"}
    assert bench.engine.docker("inspect", "--format", "{{.Id}}", "app:1") == before
    assert kept(state) == blobs
    assert not any(EVIL[:200] in file.read_bytes() for file in state.rglob("*") if file.is_file())


def kept(state: Path) -> set[str]:
    return {file.name for file in (state / "blobs").iterdir()}
