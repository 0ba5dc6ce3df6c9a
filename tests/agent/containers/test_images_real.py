"""Images on real runtimes: what is there, load, check, tag, remove."""

from __future__ import annotations

import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.containers.images_temporary import TemporaryContainers
from agent.protocol.problems import ProblemError
from agent.rules.chains import known_chains
from tests.agent.containers.archives import (
    MadeArchive,
    digest,
    docker_archive,
    layer,
    oci_archive,
    two_platforms,
)
from tests.agent.containers.parts import docker, is_podman
from tests.real.busybox import IMAGE
from tests.real.runtime import PrivateRuntime

STAGING = "roost.local/staging:1"
BASE, OLD, NEW = layer("base"), layer("old"), layer("new")


def is_containerd(store: PrivateRuntime) -> bool:
    return type(store).__name__ == "ContainerdStoreDocker"


async def load(images: DockerRuntime, archive: MadeArchive) -> None:
    await images.load_image(archive.chunks(), size_bytes=len(archive.data))


async def problem(images: DockerRuntime, archive: MadeArchive) -> ProblemError:
    with pytest.raises(ProblemError) as raised:
        await load(images, archive)
    return raised.value


async def test_what_is_loaded_is_there(images: DockerRuntime, store: PrivateRuntime) -> None:
    archive = docker_archive(STAGING, [BASE, OLD])
    loaded = await images.load_image(archive.chunks(), size_bytes=len(archive.data))
    assert loaded.names == [STAGING]
    image = await images.image(STAGING)
    assert image.diff_ids == archive.diff_ids
    assert (image.os, image.architecture, image.tags) == ("linux", "amd64", [STAGING])
    assert image.size_bytes >= 5000 * len("base")
    assert image.containers == []
    if is_containerd(store):
        assert (image.config_digest, image.id == archive.config_digest) == (None, False)
    else:
        assert image.config_digest == image.id == archive.config_digest
    assert known_chains(await images.images()) >= {digest(BASE)}


async def test_the_containers_made_from_it(images: DockerRuntime, store: PrivateRuntime) -> None:
    await docker(store, "create", "--name", "one", IMAGE)
    assert (await images.image(IMAGE)).containers == ["one"]


async def test_names(images: DockerRuntime, store: PrivateRuntime) -> None:
    image = await images.image(IMAGE)
    assert image.tags == [IMAGE]  # Podman's own list has docker.io/ before it
    for name in (f"docker.io/{IMAGE}", image.id, image.id[7:], image.id[:20], image.id[7:13]):
        assert await images.image(name) == image
    for name in (image.id[7:12], "roost-test/busybox", "roost-test/busybox:2", "../x", ""):
        with pytest.raises(ProblemError) as raised:
            await images.image(name)
        assert raised.value.code == "image.not_found"
    assert (await images.images()) == [image]


async def test_a_tag_moves_and_the_image_before_stays(
    images: DockerRuntime, store: PrivateRuntime
) -> None:
    old, new = docker_archive("roost.local/app:1", [BASE, OLD]), docker_archive(STAGING, [NEW])
    await load(images, old)
    await load(images, new)
    before = await images.image("roost.local/app:1")
    moved = await images.tag_image(STAGING, "roost.local/app:1")
    assert moved.tags == ["roost.local/app:1", STAGING]
    assert moved.diff_ids == new.diff_ids
    assert (await images.image(before.id)).tags == []
    await images.untag_image(STAGING)
    assert (await images.image("roost.local/app:1")).tags == ["roost.local/app:1"]
    with pytest.raises(ProblemError) as raised:
        await images.untag_image("roost.local/app:1")
    assert raised.value.code == "image.last_tag"
    removed = await images.remove_image(before.id)
    assert before.id in removed.deleted
    assert [one.diff_ids for one in await images.images() if one.tags != [IMAGE]] == [new.diff_ids]


async def test_short_tags_read_the_same_everywhere(images: DockerRuntime) -> None:
    await load(images, docker_archive(STAGING, [BASE]))
    assert (await images.tag_image(STAGING, "app")).tags == ["app:latest", STAGING]
    assert (await images.image("app")).diff_ids == [digest(BASE)]
    assert (await images.remove_image("app:latest")).untagged == ["app:latest"]
    assert (await images.image(STAGING)).tags == [STAGING]


async def test_a_tag_that_can_be_none(images: DockerRuntime) -> None:
    with pytest.raises(ProblemError) as raised:
        await images.tag_image(IMAGE, "Upper/case:1")
    assert raised.value.code == "image.reference"


async def test_one_that_is_used_is_not_removed(
    images: DockerRuntime, store: PrivateRuntime
) -> None:
    await load(images, docker_archive("roost.local/app:1", [BASE]))
    await images.tag_image("roost.local/app:1", "roost.local/app:2")
    await docker(store, "create", "--name", "user", "roost.local/app:1")
    image = await images.image("roost.local/app:1")
    assert image.containers == ["user"]
    with pytest.raises(ProblemError) as raised:
        await images.remove_image(image.id)
    assert raised.value.code == "image.in_use"
    assert raised.value.params["containers"] == ["user"]
    assert (await images.image(image.id)).tags == ["roost.local/app:1", "roost.local/app:2"]
    assert (await images.remove_image("roost.local/app:2")).untagged == ["roost.local/app:2"]
    with pytest.raises(ProblemError):
        await images.remove_image("roost.local/app:1")
    await docker(store, "rm", "user")
    removed = await images.remove_image(image.id)
    assert removed.untagged == ["roost.local/app:1"]
    assert image.id in removed.deleted
    assert [one.tags for one in await images.images()] == [[IMAGE]]


async def test_a_whole_image_passes_the_check(images: DockerRuntime, store: PrivateRuntime) -> None:
    archive = docker_archive(STAGING, [BASE, OLD])
    await load(images, archive)
    checked = await images.check_image(STAGING, diff_ids=archive.diff_ids)
    assert checked.diff_ids == archive.diff_ids
    assert await docker(store, "ps", "--all", "--quiet") == ""
    with pytest.raises(ProblemError) as raised:
        await images.check_image(STAGING, diff_ids=[digest(BASE), digest(NEW)])
    assert raised.value.code == "image.broken"
    assert "layer 2" in raised.value.detail


async def test_a_check_removes_what_an_agent_before_left(
    images: DockerRuntime, store: PrivateRuntime
) -> None:
    await docker(store, "create", "--name", "left", "--label", "roost.check=killed", IMAGE)
    await images.check_image(IMAGE)
    assert await docker(store, "ps", "--all", "--quiet") == ""


async def test_a_check_removes_what_was_made_after_its_removal(
    images: DockerRuntime, store: PrivateRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the agent is asked to stop while a runtime makes one: it has none to remove yet."""

    async def not_yet(*_: object) -> None:
        pass

    with monkeypatch.context() as patched:
        patched.setattr(TemporaryContainers, "_remove", not_yet)
        await images.check_image(IMAGE)
    assert await docker(store, "ps", "--all", "--quiet") != ""
    await images.check_image(IMAGE)
    assert await docker(store, "ps", "--all", "--quiet") == ""


async def test_a_check_leaves_what_another_looks_at(
    images: DockerRuntime, store: PrivateRuntime
) -> None:
    connection = await images._keeper.ready()
    async with images._images._temporary.made_from(connection, IMAGE):
        await images.check_image(IMAGE)
        assert len((await docker(store, "ps", "--all", "--quiet")).split()) == 1
    assert await docker(store, "ps", "--all", "--quiet") == ""


async def test_a_layer_with_another_digest(images: DockerRuntime, store: PrivateRuntime) -> None:
    failed = await problem(images, docker_archive(STAGING, [BASE, OLD], wrong=[1]))
    assert failed.code == "image.load_failed"
    assert digest(layer("wrong")) in failed.detail
    if not is_containerd(store):
        assert [one.tags for one in await images.images()] == [[IMAGE]]
        return
    # It is listed as if all were well, under its tag.
    left = await images.image(STAGING)
    assert left.diff_ids == [digest(BASE), digest(OLD)]
    with pytest.raises(ProblemError) as raised:
        await images.check_image(STAGING)
    assert raised.value.code == "image.broken"
    assert await docker(store, "ps", "--all", "--quiet") == ""
    await images.remove_image(STAGING)


async def test_a_docker_archive_without_layers_that_are_there(
    images: DockerRuntime, store: PrivateRuntime
) -> None:
    await load(images, docker_archive("roost.local/app:1", [BASE, OLD]))
    partial = docker_archive(STAGING, [BASE, OLD, NEW], without=[0, 1])
    if is_podman(store) or is_containerd(store):
        failed = await problem(images, partial)
        said = "not found" if is_containerd(store) else "Some layer tarfiles are missing"
        assert (failed.code, said in failed.detail) == ("image.load_failed", True)
        return
    await load(images, partial)
    assert (await images.check_image(STAGING)).diff_ids == partial.diff_ids
    # The layer is there, but above another one: its chain is not.
    failed = await problem(images, docker_archive(STAGING, [BASE, NEW, OLD], without=[2]))
    assert failed.code == "image.load_failed"
    assert "no such file" in failed.detail
    assert (await images.image(STAGING)).diff_ids == partial.diff_ids


async def test_an_oci_layout_without_layers_that_are_there(
    images: DockerRuntime, store: PrivateRuntime
) -> None:
    """All three take it; Podman and the containerd store go by the blob, not by the chain."""
    await load(images, docker_archive("roost.local/app:1", [BASE, OLD]))
    partial = oci_archive(STAGING, [BASE, OLD, NEW], without=[0, 1])
    await load(images, partial)
    image = await images.check_image(STAGING, diff_ids=partial.diff_ids)
    assert image.id == (partial.manifest_digest if is_containerd(store) else partial.config_digest)
    other_chain = oci_archive("roost.local/staging:2", [NEW, OLD], without=[1])
    if is_podman(store) or is_containerd(store):
        await load(images, other_chain)
        await images.check_image("roost.local/staging:2", diff_ids=other_chain.diff_ids)
    else:
        assert (await problem(images, other_chain)).code == "image.load_failed"


@pytest.mark.parametrize("platform", [None, ("linux", "amd64", "")], ids=["plain", "strict"])
async def test_an_oci_layout_without_a_layer_that_is_nowhere(
    images: DockerRuntime, store: PrivateRuntime, platform: tuple[str, str, str] | None
) -> None:
    partial = oci_archive(STAGING, [layer("seen by nobody"), NEW], without=[0])
    with pytest.raises(ProblemError) as raised:
        await images.load_image(partial.chunks(), platform=platform)
    assert raised.value.code == "image.load_failed"
    if not is_containerd(store):
        assert [one.tags for one in await images.images()] == [[IMAGE]]
        return
    # Strict or not, the tag points at the broken image.
    said = "Error unpacking image" if platform is None else "doesn't provide the requested platform"
    assert said in raised.value.detail
    assert (await images.image(STAGING)).diff_ids == []  # not told
    for diff_ids in (partial.diff_ids, None):
        with pytest.raises(ProblemError) as raised:
            await images.check_image(STAGING, diff_ids=diff_ids)
        assert raised.value.code == "image.broken"
    await images.remove_image(STAGING)
    assert [one.tags for one in await images.images()] == [[IMAGE]]


async def test_a_layer_that_is_there_compressed_only(
    images: DockerRuntime, store: PrivateRuntime
) -> None:
    """The containerd store does not have the layer's own blob then, only what was unpacked."""
    await load(images, oci_archive("roost.local/app:1", [BASE, OLD], compressed=True))
    partial = oci_archive(STAGING, [BASE, OLD, NEW], without=[0, 1])
    await load(images, partial)
    if not is_containerd(store):
        await images.check_image(STAGING, diff_ids=partial.diff_ids)
        return
    # It says success, and containers run.
    await docker(store, "create", "--name", "user", STAGING)
    with pytest.raises(ProblemError) as raised:
        await images.check_image(STAGING)
    assert raised.value.code == "image.broken"
    other = oci_archive("roost.local/staging:2", [BASE, OLD, layer("other")], without=[0, 1])
    with pytest.raises(ProblemError) as raised:
        await images.load_image(other.chunks(), platform=("linux", "amd64", ""))
    assert "doesn't provide the requested platform" in raised.value.detail


async def test_an_image_of_two_platforms(images: DockerRuntime, store: PrivateRuntime) -> None:
    archive = two_platforms(STAGING, amd64=BASE, arm64=NEW)
    if not (is_podman(store) or is_containerd(store)):
        # Docker 20.10 knows no OCI layout without the manifest.json of a docker-archive.
        assert (await problem(images, archive)).code == "image.load_failed"
        return
    await load(images, archive)
    await docker(store, "create", "--name", "user", STAGING)
    image = await images.check_image(STAGING, diff_ids=archive.diff_ids)
    assert (image.architecture, image.containers) == ("amd64", ["user"])
    assert image.id == (archive.manifest_digest if is_containerd(store) else archive.config_digest)


async def test_strict_lets_a_whole_image_pass(images: DockerRuntime) -> None:
    archive = oci_archive(STAGING, [BASE, NEW])
    loaded = await images.load_image(archive.chunks(), platform=("linux", "amd64", ""))
    assert loaded.names == [STAGING]
    await images.check_image(STAGING, diff_ids=archive.diff_ids)


async def test_an_image_for_another_architecture(images: DockerRuntime) -> None:
    await load(images, docker_archive(STAGING, [BASE], architecture="arm64"))
    assert (await images.check_image(STAGING)).architecture == "arm64"


async def test_usage(images: DockerRuntime, store: PrivateRuntime) -> None:
    await load(images, docker_archive(STAGING, [BASE, layer("big", b"x" * 2_000_000)]))
    await load(images, docker_archive("roost.local/staging:2", [BASE, OLD]))
    usage = await images.image_usage()
    if is_podman(store):
        assert (usage.total_bytes, usage.alone_bytes) == (None, {})
        assert usage.reason
        return
    big, small = await images.image(STAGING), await images.image("roost.local/staging:2")
    assert usage.reason is None
    assert usage.total_bytes is not None
    assert usage.total_bytes >= 2_000_000
    assert big.size_bytes > usage.alone_bytes[big.id] >= 2_000_000
    assert usage.alone_bytes[small.id] < 1_000_000
