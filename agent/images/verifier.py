"""Whether received bytes are the layer that they are said to be."""

from __future__ import annotations

import hashlib

from agent.archives.decompressors import DamagedError, decompressor
from agent.images.blobs import WINDOW_LIMIT_BYTES
from agent.protocol.problems import ProblemError

SEND_AGAIN = "Nothing of it was kept. Push again; if it happens again, check the archive's sha256."


class Verifier:
    """Hashes what an upload's bytes decode to, as they come. Memory: the window and 1 MiB.

    `position` is how many of the upload's bytes it has seen.
    """

    def __init__(self, diff_id: str, size_bytes: int, *, compressed: bool) -> None:
        self._diff_id, self._size_bytes = diff_id, size_bytes
        self._decompressor = decompressor(
            "zstd" if compressed else "none", window_limit_bytes=WINDOW_LIMIT_BYTES
        )
        self._hash = hashlib.sha256()
        self._decoded_bytes = 0
        self.position = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the upload.

        Raises:
            ProblemError: `blob.encoding`, or `blob.size` as soon as it is more than was said.
        """
        try:
            for piece in self._decompressor.feed(data):
                self._decoded_bytes += len(piece)
                if self._decoded_bytes > self._size_bytes:
                    raise self._wrong_size(f"more than {self._size_bytes}")
                self._hash.update(piece)
        except DamagedError as error:
            raise self._undecodable(error) from None
        self.position += len(data)

    def finish(self) -> None:
        """All bytes were there.

        Raises:
            ProblemError: `blob.encoding`, `blob.size`, `blob.digest`.
        """
        try:
            self._decompressor.finish()
        except DamagedError as error:
            raise self._undecodable(error) from None
        if self._decoded_bytes != self._size_bytes:
            raise self._wrong_size(str(self._decoded_bytes))
        found = f"sha256:{self._hash.hexdigest()}"
        if found != self._diff_id:
            raise ProblemError(
                "blob.digest",
                f"layer {self._diff_id} arrived as {found}",
                params={"diff_id": self._diff_id, "found": found},
                hint=SEND_AGAIN,
            )

    def _wrong_size(self, found: str) -> ProblemError:
        return ProblemError(
            "blob.size",
            f"layer {self._diff_id} is {self._size_bytes} bytes by what was said, {found} came",
            params={"diff_id": self._diff_id, "said_bytes": self._size_bytes},
            hint=SEND_AGAIN,
        )

    def _undecodable(self, error: Exception) -> ProblemError:
        return ProblemError(
            "blob.encoding",
            f"layer {self._diff_id} cannot be decompressed: {error}",
            params={"diff_id": self._diff_id, "window_limit_bytes": WINDOW_LIMIT_BYTES},
            hint=SEND_AGAIN,
        )
