"""A kit on its way to an agent that runs already, by tus: it goes on where it was cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from agent.protocol import tus
from agent.protocol.images import Layer
from agent.protocol.problems import ProblemError
from console.kits.reading import READ_BYTES, Kit
from console.link.client import NodeClient
from console.link.uploads import Upload

# Cuts in a row that bring no byte before it is given up, and how long each waits.
CUTS = 5
CUT_SECONDS = 2.0
_MAY_PASS = ("link.", "ssh.", "node.stopping", "node.not_ready", "upload.")


async def send_kit(client: NodeClient, kit: Kit, *, sent: Callable[[int], None]) -> None:
    """Have the kit's file on the node as a blob; nothing is sent where it is there.

    `sent` hears how many of its bytes are there.

    Raises:
        ProblemError: `link.*`, `ssh.*`, `upload.*`, `blob.*`, `space.*`.
    """
    layer = Layer(diff_id=f"sha256:{kit.sha256}", size_bytes=kit.size_bytes)
    cuts, best = 0, -1
    while True:
        try:
            upload = await client.uploads.begin(layer, tus.IDENTITY)
            if upload is None:
                sent(kit.size_bytes)
                return
            if upload.offset > best:
                cuts, best = 0, upload.offset
            sent(upload.offset)
            await client.uploads.append(upload, _rest(kit, upload, sent), size_bytes=kit.size_bytes)
        except ProblemError as problem:
            cuts += 1
            if cuts >= CUTS or not problem.code.startswith(_MAY_PASS):
                raise
            await asyncio.sleep(CUT_SECONDS)


async def _rest(kit: Kit, upload: Upload, sent: Callable[[int], None]) -> AsyncIterator[bytes]:
    at = upload.offset
    with kit.path.open("rb") as file:
        file.seek(at)
        while data := await asyncio.to_thread(file.read, READ_BYTES // 16):
            yield data
            at += len(data)
            sent(at)
