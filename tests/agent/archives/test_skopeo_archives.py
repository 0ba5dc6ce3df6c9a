"""Archives that a real `skopeo copy` wrote, from a real Docker Engine's image and from a layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.archives.indexing import index_archive
from tests.agent.archives.test_real_archives import (
    MADE,
    TAG,
    check_layers,
    layers_of,
    make_image,
    write,
)
from tests.archives_made import Made, OciLayout, layer
from tests.real.docker_engine import DockerEngine
from tests.real.skopeo import Skopeo

pytestmark = pytest.mark.real

# How it compresses the layers of an OCI layout; in a docker-archive they are plain.
FORMS = {
    "docker-archive": ("docker-archive", "none", ()),
    "oci-archive": ("oci-archive", "gzip", ()),
    "oci-archive-zstd": ("oci-archive", "zstd", ("--dest-compress-format=zstd",)),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_image_of_the_daemon(
    docker_engine: DockerEngine, skopeo: Skopeo, tmp_path: Path, form: str
) -> None:
    transport, compression, options = FORMS[form]
    make_image(docker_engine, tmp_path)
    try:
        layers = layers_of(docker_engine, MADE)
        image_id = docker_engine.docker("image", "inspect", "--format", "{{.Id}}", MADE)
        path = tmp_path / "copied.tar"
        skopeo.save(MADE, f"{transport}:{path}:{MADE}", *options)
        docker_engine.docker("rmi", MADE)

        index = index_archive(path)
        [image] = index.images
        assert (image.diff_ids, image.tags, image.os) == (layers, [MADE], "linux")
        if transport == "docker-archive":
            assert image.config_digest == image_id
        assert {found.compression for found in index.layers} == {compression}
        check_layers(index)
        docker_engine.docker("load", "-i", str(write(index, tmp_path / "whole.tar", set())))
        assert layers_of(docker_engine, TAG) == layers
    finally:
        docker_engine.clear_images()


def test_an_image_of_two_platforms(skopeo: Skopeo, tmp_path: Path) -> None:
    """`--all` keeps the index."""
    layout = OciLayout("gzip")
    base = layer("base", 20_000)
    made = {
        name: Made([base, layer(name, 30_000)], architecture=name) for name in ("amd64", "arm64")
    }
    descriptor = layout.index([layout.image(image) for image in made.values()])
    notes = {"org.opencontainers.image.ref.name": "both"}
    layout.manifests.append(descriptor | {"annotations": notes})
    folder = tmp_path / "layout"
    for name, content in layout.files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    path = tmp_path / "both.tar"
    skopeo.copy(f"oci:{folder}:both", f"oci-archive:{path}:app:1", "--all")

    index = index_archive(path)
    check_layers(index)
    for name, image in made.items():
        [chosen] = index.for_platform("linux", name)
        assert (chosen.diff_ids, chosen.tags) == (image.diff_ids, ["app:1"])
        assert chosen.config == image.config
