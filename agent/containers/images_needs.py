"""What an image in the runtime needs: its config, and some of its files.

The files come out of a container that is made and never started, by the API that `docker cp` uses:
the folder of the compatibility library and dpkg's status. There is no way to list the rest without
sending all of it, so what else an archive would tell stays unknown.
"""

from __future__ import annotations

import asyncio
import posixpath
from functools import partial
from typing import Any

from agent.archives.config_needs import (
    NOT_LOOKED,
    environment_of,
    labels_of,
    needs_of_config,
    only_config,
)
from agent.archives.dpkg_status import STATUS
from agent.archives.found_needs import CUDA_FOLDER, add_files
from agent.archives.layer_facts import LayerFacts, layer_facts
from agent.archives.layer_walk import visible
from agent.containers.connection import Connection
from agent.containers.images_inside import read_at
from agent.containers.images_temporary import TemporaryContainers
from agent.protocol.compatibility import ImageNeeds
from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError

KEPT = 64
LOOK_SECONDS = 300.0
# NVIDIA's packages put some 300 MB there.
LIMIT_BYTES = 2 * 1024 * 1024 * 1024
COMPAT_PATH_VARIABLE = "_CUDA_COMPAT_PATH"
ONLY_PACKAGES = "on a node only dpkg is asked for it, and dpkg has none"


class NeedsReader:
    """The needs of one runtime's images, kept by id: an image does not change."""

    def __init__(self, temporary: TemporaryContainers) -> None:
        self._temporary = temporary
        self._kept: dict[str, ImageNeeds] = {}
        self._one_at_a_time = asyncio.Lock()

    async def read(self, connection: Connection, image: NodeImage, *, inside: bool) -> ImageNeeds:
        """See `images_runtime.ImageRuntime`."""
        if known := self._kept.get(image.id):
            return known
        answer: Any = await connection.ask("GET", f"/images/{image.id}/json")
        config = answer.get("Config") if isinstance(answer, dict) else None
        config = config if isinstance(config, dict) else {}
        environment = environment_of(config.get("Env"))
        needs = needs_of_config(
            environment,
            labels_of(config.get("Labels")),
            os=image.os,
            architecture=image.architecture,
            variant=image.variant,
        )
        if not inside:
            return only_config(needs, NOT_LOOKED)
        async with self._one_at_a_time:
            if known := self._kept.get(image.id):
                return known
            try:
                facts = await self._look(connection, image, environment)
            except ProblemError as problem:
                return only_config(needs, f"the runtime says: {problem.detail}")
            problems = [each.problem for each in facts if each.problem]
            add_files(needs, visible(facts), problem=problems[0] if problems else "")
            for field in ("cuda", "tensorrt"):
                if getattr(needs, field) is None:
                    needs.unknown.setdefault(field, ONLY_PACKAGES)
            if not problems:
                self._keep(image.id, needs)
            return needs

    def _keep(self, image_id: str, needs: ImageNeeds) -> None:
        while len(self._kept) >= KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[image_id] = needs

    async def _look(
        self, connection: Connection, image: NodeImage, environment: dict[str, str]
    ) -> list[LayerFacts]:
        """What lies in each of the places. Raises ProblemError `runtime.*`."""
        await self._temporary.remove_left(connection)
        async with self._temporary.made_from(connection, image.id) as container:
            facts = [await _facts_at(connection, container, STATUS)]
            packages = (name for file in facts[0].files.values() for name in file.packages)
            folders = [f"{CUDA_FOLDER}/compat", environment.get(COMPAT_PATH_VARIABLE, "")]
            folders += [
                f"{CUDA_FOLDER}-{name.removeprefix('cuda-compat-').replace('-', '.')}/compat"
                for name in packages
                if name.startswith("cuda-compat-")
            ]
            for folder in dict.fromkeys(each.strip("/") for each in folders):
                if folder:
                    found = await _facts_at(connection, container, f"{folder}/.")
                    facts.append(found)
                    if found.files:
                        break  # the others may be the same one by another name
            return facts


async def _facts_at(connection: Connection, container: str, path: str) -> LayerFacts:
    """What lies there; nothing where there is no such path. Raises ProblemError `runtime.*`."""
    folder = posixpath.dirname(path)
    found = await read_at(
        connection,
        container,
        path,
        partial(layer_facts, folder=folder),
        seconds=LOOK_SECONDS,
        limit_bytes=LIMIT_BYTES,
    )
    return LayerFacts() if found is None else found
