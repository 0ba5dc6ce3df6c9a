"""Sending layers to a node: tus 1.0.0, as `agent.protocol.tus` says."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from agent.protocol import tus
from agent.protocol.images import Layer
from agent.protocol.problems import ProblemError
from console.link.problems import garbage
from console.link.requests import Call, Requests

# A disk that syncs slowly may hold up the bytes for a while.
PATIENCE_SECONDS = 60.0
# After a restart the agent reads what it has of a layer again before it says that it is right;
# an SD card reads some 20 MB/s.
READ_BYTES_PER_SECOND = 20_000_000


class Upload(msgspec.Struct, frozen=True):
    """An upload on the node: where it is, and how many of its bytes are on disk there."""

    target: str
    offset: int


class UploadClient:
    """Uploads to one node. All methods raise ProblemError: the agent's own, or `link.*`."""

    def __init__(self, node: str, requests: Requests) -> None:
        self.node, self._requests = node, requests

    async def begin(self, layer: Layer, encoder: str) -> Upload | None:
        """Begin an upload, or find the one that the same encoder began; None: it is there."""
        metadata = {
            "diff_id": layer.diff_id,
            "size": str(layer.size_bytes),
            "encoder": encoder,
        }
        length = (
            (tus.UPLOAD_LENGTH, str(layer.size_bytes))
            if encoder == tus.IDENTITY
            else (tus.UPLOAD_DEFER_LENGTH, "1")
        )
        call = Call(
            method="POST",
            target="/v1/uploads",
            headers=[
                (tus.RESUMABLE, tus.VERSION),
                (tus.UPLOAD_METADATA, tus.encode_metadata(metadata)),
                length,
            ],
        )
        try:
            head, _ = await self._requests.answer(call)
        except ProblemError as problem:
            if problem.code == "blob.exists":
                return None
            raise
        target = head.headers.get("location", "")
        if not target.startswith("/v1/uploads/"):
            raise garbage(self.node, "an upload without a place")
        return Upload(target, self._offset(head.headers))

    async def append(
        self, upload: Upload, pieces: AsyncIterator[bytes], *, size_bytes: int
    ) -> Upload:
        """Send more bytes of a layer of that size; what is acknowledged is on the node's disk.

        Where this raises, some of them may have been kept: `begin` again tells how many.
        """
        call = Call(
            method="PATCH",
            target=upload.target,
            headers=[
                (tus.RESUMABLE, tus.VERSION),
                (tus.UPLOAD_OFFSET, str(upload.offset)),
            ],
            media_type=tus.CONTENT_TYPE,
        )
        head, _ = await self._requests.deliver(
            call, pieces, patience=PATIENCE_SECONDS, answer_patience=_verifying(size_bytes)
        )
        return Upload(upload.target, self._offset(head.headers))

    async def finish(self, upload: Upload, *, size_bytes: int) -> None:
        """Say that this was all; the node verifies the layer before it answers."""
        call = Call(
            method="PATCH",
            target=upload.target,
            headers=[
                (tus.RESUMABLE, tus.VERSION),
                (tus.UPLOAD_OFFSET, str(upload.offset)),
                (tus.UPLOAD_LENGTH, str(upload.offset)),
                ("Content-Type", tus.CONTENT_TYPE),
            ],
            timeout=_verifying(size_bytes),
        )
        await self._requests.answer(call)

    def _offset(self, headers: dict[str, str]) -> int:
        said = headers.get(tus.UPLOAD_OFFSET.lower(), "")
        if not said.isdecimal():
            raise garbage(self.node, "an upload without an offset")
        return int(said)


def _verifying(size_bytes: int) -> float:
    return PATIENCE_SECONDS + size_bytes / READ_BYTES_PER_SECOND
