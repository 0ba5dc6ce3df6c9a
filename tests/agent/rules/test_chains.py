"""Chain IDs."""

from __future__ import annotations

import hashlib

from agent.protocol.images import NodeImage
from agent.rules.chains import chain_ids, known_chains

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def image(*diff_ids: str) -> NodeImage:
    return NodeImage(id=A, diff_ids=list(diff_ids), size_bytes=1)


def test_as_the_specification_computes_them() -> None:
    two = "sha256:" + hashlib.sha256(f"{A} {B}".encode()).hexdigest()
    three = "sha256:" + hashlib.sha256(f"{two} {C}".encode()).hexdigest()
    assert chain_ids([]) == []
    assert chain_ids([A, B, C]) == [A, two, three]


def test_that_of_a_real_image() -> None:
    # Docker 20.10 names the chain ID of a layer that it deletes with an image of these two.
    diff_ids = [
        "sha256:fdc20b5258a30aee80eb53238122246578e809e523c00058d0a6d214b01ecbca",
        "sha256:7aa18fe2995e2828dab584fac3dd5f6ca3a9607d5b5d35e0a7bc63201a09b203",
    ]
    deleted = "sha256:cd261f05dbb333769af7f1f7d3b4f7fd83ad721dec4b7ae36a713bc395e02e44"
    assert chain_ids(diff_ids)[1] == deleted


def test_a_layer_is_known_with_all_that_is_below_it_only() -> None:
    known = known_chains([image(A, B), image(C), image()])
    assert known == {*chain_ids([A, B]), C}
    assert chain_ids([C, B])[1] not in known
    assert B not in known
