"""Memory for tensors, from outside to where the model reads them."""

from __future__ import annotations

import numpy as np

# What a processor loads at once, at most: a tensor that begins at a multiple of it is never copied.
ALIGNED_BYTES = 64


def aligned(length: int, align_at: int = 0) -> memoryview:
    """Memory that nobody has cleared, as NumPy has it: in large pages where the kernel has them.

    Args:
        align_at: what begins there is where a processor likes to load from.
    """
    room = np.empty(length + ALIGNED_BYTES, np.uint8)
    skip = -(room.ctypes.data + align_at) % ALIGNED_BYTES
    return room.data[skip : skip + length]
