"""Whether layers go compressed."""

from __future__ import annotations

from agent.archives.encoders import IDENTITY, Encoder, zstd_encoder
from console.link.link import LinkKind

# zstd at level 3 makes some 150 to 300 MB/s on one core of what these links run from; a link
# that takes more than this is held up by it.
FAST_BYTES_PER_SECOND = 80_000_000
LEVEL = 3


def choose_encoder(link: LinkKind, bytes_per_second: float) -> Encoder:
    """For a link of this kind that brought through so much lately."""
    if link == "unix" or bytes_per_second > FAST_BYTES_PER_SECOND:
        return IDENTITY
    return zstd_encoder(LEVEL)
