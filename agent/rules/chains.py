"""Chain IDs: a layer together with all that lies below it.

The graphdriver store finds a layer by its chain ID: of an archive, only the files of layers whose
whole chain is there may be left out (seen on Docker 20.10).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from agent.protocol.images import NodeImage


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """One for each layer, bottom first, as the OCI image specification computes them.

    That of the lowest layer is its diffID, every other one SHA-256 of "parent diffID".
    """
    chains: list[str] = []
    for diff_id in diff_ids:
        if chains:
            both = f"{chains[-1]} {diff_id}".encode()
            chains.append(f"sha256:{hashlib.sha256(both).hexdigest()}")
        else:
            chains.append(diff_id)
    return chains


def known_chains(images: Iterable[NodeImage]) -> set[str]:
    """The chain IDs of every layer of every one of these images."""
    return {chain for image in images for chain in chain_ids(image.diff_ids)}
