"""What has to be sent, and what an archive may leave out."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.images import ImageContent, Layer, NodeImage
from agent.protocol.node import ImageStore
from agent.protocol.problems import ProblemError
from agent.rules.chains import chain_ids, known_chains
from agent.rules.loading import (
    check_content,
    check_contents,
    config_digest,
    plan_load,
    same_image,
)


def digest(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def content(*layers: str, tags: tuple[str, ...] = ("app:1",), more: str = "") -> ImageContent:
    diff_ids = [digest(name) for name in layers]
    config = {"rootfs": {"type": "layers", "diff_ids": diff_ids}, "more": more}
    return ImageContent(
        config=json.dumps(config).encode(),
        layers=[Layer(diff_id=each, size_bytes=len(each)) for each in diff_ids],
        tags=list(tags),
    )


def on_node(made: ImageContent, *tags: str) -> NodeImage:
    return NodeImage(
        id=config_digest(made),
        config_digest=config_digest(made),
        diff_ids=[layer.diff_id for layer in made.layers],
        tags=list(tags),
        size_bytes=1,
    )


def names(layers: list[Layer]) -> list[str]:
    return [layer.diff_id for layer in layers]


def test_only_the_new_layer_goes_to_a_graphdriver_store() -> None:
    old, new = content("base", "libs", "app1"), content("base", "libs", "app2")
    plan = plan_load([new], images=[on_node(old, "app:1")], blobs=[], store="graphdriver")
    assert names(plan.wanted) == names(plan.needed) == [digest("app2")]
    assert plan.left_out == [{0, 1}]
    assert plan.images[0].state == "load"
    assert plan.images[0].replaces == {"app:1": config_digest(old)}


def test_the_same_layer_above_another_base_is_not_there() -> None:
    old, new = content("base", "libs"), content("newbase", "libs")
    plan = plan_load([new], images=[on_node(old)], blobs=[], store="graphdriver")
    assert names(plan.wanted) == [digest("newbase"), digest("libs")]


@pytest.mark.parametrize("store", ["containerd", "podman", None])
def test_other_stores_want_every_file_and_blobs_are_not_sent_again(
    store: ImageStore | None,
) -> None:
    old, new = content("base", "app1"), content("base", "app2")
    plan = plan_load([new], images=[on_node(old)], blobs=[digest("base")], store=store)
    assert names(plan.needed) == [digest("base"), digest("app2")]
    assert names(plan.wanted) == [digest("app2")]
    assert plan.left_out == [set()]


def test_an_image_that_is_there_needs_nothing() -> None:
    made = content("base", tags=("docker.io/library/app:1",))
    plan = plan_load([made], images=[on_node(made, "app:1")], blobs=[], store="containerd")
    assert (plan.images[0].state, plan.needed, plan.images[0].replaces) == ("present", [], {})
    plan = plan_load([made], images=[on_node(made, "old:1")], blobs=[], store="containerd")
    assert (plan.images[0].state, plan.needed) == ("retag", [])


def test_another_config_over_the_same_layers_is_another_image_without_bytes() -> None:
    old, new = content("base"), content("base", more="env")
    assert not same_image(new, on_node(old))
    plan = plan_load([new], images=[on_node(old)], blobs=[], store="graphdriver")
    assert (plan.images[0].state, plan.wanted, plan.left_out) == ("load", [], [{0}])


def test_an_image_whose_config_is_not_known_is_not_taken_for_it() -> None:
    made = content("base")
    there = on_node(made)
    there.config_digest = None
    assert plan_load([made], images=[there], blobs=[], store="containerd").wanted


def test_one_that_is_only_staged_is_not_there() -> None:
    made = content("base", "app")
    staged = on_node(made, "roost.local/staging:0123456789ab-0")
    plan = plan_load([made], images=[staged], blobs=[], store="graphdriver")
    assert plan.images[0].state == "load"
    assert names(plan.wanted) == [digest("base"), digest("app")]
    # With a name of its own it was verified; without any, it had one.
    for tags in (["app:1", staged.tags[0]], ["other:1"], []):
        plan = plan_load([made], images=[on_node(made, *tags)], blobs=[], store="graphdriver")
        assert plan.images[0].state == ("present" if "app:1" in tags else "retag")


def test_of_several_that_are_the_same_the_one_with_the_name_is_taken() -> None:
    """The containerd store has one for each manifest, over the same config."""
    made = content("base", tags=("app:1", "app:2"))
    one, two = on_node(made), on_node(made, "app:1", "app:2")
    two.id = digest("another manifest")
    plan = plan_load([made], images=[one, two], blobs=[], store="containerd")
    assert (plan.images[0].state, plan.images[0].replaces) == ("present", {})


def test_layers_of_several_images_are_sent_once() -> None:
    two = [content("base", "a", tags=("a:1",)), content("base", "b", tags=("b:1",))]
    plan = plan_load(two, images=[], blobs=[], store="podman")
    assert names(plan.wanted) == [digest("base"), digest("a"), digest("b")]


layer_names = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6)


@given(st.lists(layer_names, max_size=4), layer_names, st.sets(st.sampled_from("abcdef")))
def test_a_store_gets_every_layer_that_it_cannot_find(
    there: list[list[str]], wished: list[str], cached: set[str]
) -> None:
    images = [on_node(content(*layers)) for layers in there]
    blobs = {digest(name) for name in cached}
    made = content(*wished)
    plan = plan_load([made], images=images, blobs=blobs, store="graphdriver")
    if plan.images[0].state != "load":
        assert any(same_image(made, image) for image in images)
        return
    known = known_chains(images)
    chains = chain_ids([layer.diff_id for layer in made.layers])
    for place, (layer, chain) in enumerate(zip(made.layers, chains, strict=True)):
        assert (place in plan.left_out[0]) == (chain in known)
        assert chain in known or layer in plan.needed
    assert set(names(plan.wanted)) == set(names(plan.needed)) - blobs
    assert len(set(names(plan.needed))) == len(plan.needed)


@pytest.mark.parametrize(
    "config",
    [b"", b"[]", b"{}", b"\xff", b'{"rootfs": 1}', b'{"rootfs": {"diff_ids": []}}', b"[" * 5000],
)
def test_a_config_that_does_not_fit_is_refused(config: bytes) -> None:
    made = content("base")
    made.config = config
    with pytest.raises(ProblemError) as raised:
        check_content(made)
    assert raised.value.code == "image.config"
    assert raised.value.hint


@pytest.mark.parametrize("tag", ["", "A:1", "a:b:c", "roost.local/staging:1", "a" * 256])
def test_a_name_that_no_image_can_have_is_refused(tag: str) -> None:
    with pytest.raises(ProblemError) as raised:
        check_contents([content("base", tags=(tag,))])
    assert raised.value.code == "image.reference"


def test_two_images_under_one_name_are_refused() -> None:
    same = [content("a", tags=("x:1",)), content("a", tags=("docker.io/library/x:1",))]
    check_contents(same)
    with pytest.raises(ProblemError) as raised:
        check_contents([*same, content("b", tags=("x:1",))])
    assert raised.value.code == "image.reference"


def test_one_layer_has_one_size() -> None:
    made = content("base", "base")
    check_content(made)
    made.layers[1] = Layer(diff_id=digest("base"), size_bytes=1)
    with pytest.raises(ProblemError):
        check_content(made)
