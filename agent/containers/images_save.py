"""Reading images back out of the runtime, as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from urllib.parse import quote

from anyio import fail_after

from agent.containers.api_stream import StreamBrokenError, StreamRefusedError
from agent.containers.connection import Connection
from agent.containers.frames import FramingError
from agent.containers.refusals import problem_of
from agent.protocol.images import NodeImage
from agent.rules.references import full

# Docker writes the images to its own disk before it answers.
BEGIN_SECONDS = 900.0


async def save(connection: Connection, images: Sequence[NodeImage]) -> AsyncGenerator[bytes, None]:
    """See `runtime.ContainerRuntime.save_images`."""
    names = [name for image in images for name in [full(tag) for tag in image.tags] or [image.id]]
    target = "/images/get?" + "&".join(f"names={quote(name, safe='')}" for name in names)
    async with connection.stream("GET", target) as stream:
        try:
            with fail_after(BEGIN_SECONDS):
                await stream.answered()
            yield b""
            while pieces := await stream.read():
                yield b"".join(piece.data for piece in pieces)
        except (
            StreamRefusedError,
            StreamBrokenError,
            FramingError,
            TimeoutError,
        ) as error:
            raise problem_of(error, connection.address) from error
