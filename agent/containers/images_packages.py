"""The packages of an image in the runtime: all its files are passed over once, where they lie."""

from __future__ import annotations

from collections.abc import Callable

from agent.archives.needs import Listening
from agent.archives.package_lists import LayerPackages, layer_packages, put_together
from agent.archives.sources import Source
from agent.containers.connection import Connection
from agent.containers.images_inside import read_at
from agent.containers.images_temporary import TemporaryContainers
from agent.protocol.images import NodeImage
from agent.protocol.packages import PackageList
from agent.protocol.problems import ProblemError

# 50 GB from a disk that gives 15 MB/s.
READ_SECONDS = 3600.0
# Ten times the largest images.
LIMIT_BYTES = 1 << 40
ROOT = "."

Heard = Callable[[int, int], None]


async def read_packages(
    connection: Connection, image: NodeImage, temporary: TemporaryContainers, heard: Heard
) -> PackageList:
    """See `images_runtime.ImageRuntime.image_packages`."""
    total = image.size_bytes

    def told(done: int, total: int) -> None:
        # The tar of an image is somewhat larger than the image says that it is.
        heard(done, max(done, total))

    def read(source: Source) -> LayerPackages:
        return layer_packages(Listening(source, told, 0, total))

    await temporary.remove_left(connection)
    async with temporary.made_from(connection, image.id) as container:
        found = await read_at(
            connection, container, ROOT, read, seconds=READ_SECONDS, limit_bytes=LIMIT_BYTES
        )
    if found is None:
        raise ProblemError("runtime.refused", "the runtime does not show the image's files")
    return put_together([found])
