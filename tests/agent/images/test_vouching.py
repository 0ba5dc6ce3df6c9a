"""What a node that wants signatures takes, and how it says no."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.archives.bundle_manifest import FORMAT, Manifest
from agent.images.vouching import Vouching
from agent.protocol.images import ImageContent, Layer
from agent.protocol.signatures import SignedManifest
from agent.signatures.signing_keys import SigningKey, make_key
from agent.store.trusted_keys import TrustedKeys
from tests.archives_made import Made, layer, sha256
from tests.bundles_made import manifest_of

APP = Made([layer("base"), layer("app")], tags=["app:1", "app:latest"])
OTHER = Made([layer("base"), layer("other")], tags=["other:1"])


def content_of(image: Made, *tags: str) -> ImageContent:
    return ImageContent(
        config=image.config,
        layers=[Layer(diff_id=sha256(data), size_bytes=len(data)) for data in image.layers],
        tags=list(tags or image.tags),
    )


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return make_key(tmp_path / "key", name="maria")


@pytest.fixture
def keys(key: SigningKey) -> TrustedKeys:
    keys = TrustedKeys(None)
    keys.trust(key.public.line)
    return keys


def codes(
    keys: TrustedKeys, contents: list[ImageContent], *signed: SignedManifest, required: bool = True
) -> list[str]:
    problems = Vouching(keys, required=required).problems(contents, signed)
    for problem in problems:
        assert problem.hint
        assert problem.params["image"]
    return [problem.code for problem in problems]


def signed_by(key: SigningKey, *images: Made) -> SignedManifest:
    return key.sign(msgspec.json.encode(manifest_of(images)))


def test_what_a_trusted_key_names(key: SigningKey, keys: TrustedKeys) -> None:
    signed = signed_by(key, APP, OTHER)
    assert codes(keys, [content_of(APP), content_of(OTHER)], signed) == []
    assert codes(keys, [content_of(APP, "docker.io/library/app:1")], signed) == []
    assert codes(keys, [content_of(APP)]) == ["signature.missing"]
    assert codes(keys, [content_of(APP)], required=False) == []


def test_content_that_was_not_signed(key: SigningKey, keys: TrustedKeys) -> None:
    signed = signed_by(key, APP)
    assert codes(keys, [content_of(APP), content_of(OTHER)], signed) == ["signature.wrong"]
    swapped = content_of(APP)
    swapped.layers = content_of(OTHER).layers
    assert codes(keys, [swapped], signed) == ["signature.wrong"]


def test_a_name_that_was_not_signed(key: SigningKey, keys: TrustedKeys) -> None:
    """An old image that was signed must not come as the newest."""
    signed = signed_by(key, APP)
    assert codes(keys, [content_of(APP, "app:2")], signed) == ["signature.wrong"]
    again = signed_by(key, Made(APP.layers, tags=["app:2"]))
    assert codes(keys, [content_of(APP, "app:1", "app:2")], signed, again) == []


def test_a_manifest_that_was_changed(key: SigningKey, keys: TrustedKeys) -> None:
    signed = signed_by(key, OTHER)
    made_up = msgspec.json.encode(manifest_of([APP]))
    changed = msgspec.structs.replace(signed, manifest=made_up)
    assert codes(keys, [content_of(APP)], changed) == ["signature.wrong"]
    cut = msgspec.structs.replace(signed_by(key, APP), signature=b"")
    assert codes(keys, [content_of(APP)], cut) == ["signature.wrong"]


def test_keys_that_do_not_count(key: SigningKey, keys: TrustedKeys, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "other", name="stranger")
    assert codes(keys, [content_of(APP)], signed_by(stranger, APP)) == ["signature.unknown_key"]
    # A stranger's signature under a trusted key's name is not that key's.
    posing = msgspec.structs.replace(signed_by(stranger, APP), key=key.public.line)
    assert codes(keys, [content_of(APP)], posing) == ["signature.wrong"]
    garbled = msgspec.structs.replace(signed_by(key, APP), key="no key")
    assert codes(keys, [content_of(APP)], garbled) == ["signature.wrong"]
    keys.revoke(key.public.fingerprint)
    assert codes(keys, [content_of(APP)], signed_by(key, APP)) == ["signature.revoked"]


def test_one_good_signature_is_enough(key: SigningKey, keys: TrustedKeys, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "other", name="stranger")
    both = (signed_by(stranger, APP), signed_by(key, APP))
    assert codes(keys, [content_of(APP)], *both) == []


def test_a_manifest_of_a_later_roost(key: SigningKey, keys: TrustedKeys) -> None:
    later = msgspec.to_builtins(manifest_of([APP])) | {"format": FORMAT + 1}
    signed = key.sign(msgspec.json.encode(later))
    assert codes(keys, [content_of(APP)], signed) == ["signature.wrong"]


def test_a_detached_signature_has_no_entries(key: SigningKey, keys: TrustedKeys) -> None:
    images = manifest_of([APP]).images
    signed = key.sign(msgspec.json.encode(Manifest(created_at=1.0, images=images)))
    assert codes(keys, [content_of(APP)], signed) == []
