"""docker-archive: manifest.json names configs and layers by their files."""

from __future__ import annotations

import posixpath
import re

from agent.archives.contents import Contents
from agent.archives.documents import (
    DockerManifest,
    FoundImage,
    check_content,
    decode,
    found_image,
)
from agent.archives.faults import FaultError
from agent.archives.names import clean_name

MANIFEST = "manifest.json"
IMAGES_LIMIT = 1000
# `<hex>.json` (Docker, Podman), `sha256:<hex>` (crane), `blobs/sha256/<hex>` (Docker 25).
HEX_NAME = re.compile(r"(?:sha256:)?([0-9a-f]{64})(?:\.json)?")


def docker_images(contents: Contents, first_entry: int) -> list[FoundImage]:
    """The images of manifest.json, numbered from `first_entry`. Raises FaultError."""
    manifests = decode(contents, MANIFEST, list[DockerManifest])
    if len(manifests) > IMAGES_LIMIT:
        what = f"{len(manifests)} images are more than {IMAGES_LIMIT}"
        raise FaultError("archive.too_large", what, member=MANIFEST)
    images = []
    for number, manifest in enumerate(manifests):
        config = clean_name(manifest.config)
        members = [clean_name(name) for name in manifest.layers or []]
        tags = manifest.repo_tags or []
        image = found_image(contents, config, members, tags, first_entry + number)
        named = HEX_NAME.fullmatch(posixpath.basename(config))
        if named is not None:
            check_content(image.config, f"sha256:{named[1]}", config)
        images.append(image)
    return images
