"""A kit of the agent: one zip file that `python3` runs, as `roost agent kit make` writes it."""

from __future__ import annotations

import msgspec

from agent.protocol.digest import Digest

FORMAT = 1
# The installer, which is run; what the kit is; who vouches for it. `kit.json` lists the rest.
MAIN, ABOUT, SIGNATURE = "__main__.py", "kit.json", "kit.sig"


class KitFile(msgspec.Struct, kw_only=True):
    """One file of a kit."""

    path: str
    sha256: str
    bytes: int
    unpacked_bytes: int
    pythons: list[str] | None = None  # None: for all


class KitAbout(msgspec.Struct, kw_only=True):
    """`kit.json`."""

    format: int
    version: str
    id: str  # the version and what is in it: the folder's name on a node
    arch: str
    glibc: str  # the oldest that it runs on
    files: list[KitFile]

    @property
    def pythons(self) -> list[str]:
        """Those that it has wheels for."""
        found = {each for file in self.files for each in file.pythons or []}
        return sorted(found, key=lambda version: tuple(map(int, version.split("."))))


class KitManifest(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="of",
    tag="agent kit",
):
    """What is signed of a kit: with `kit.json` the digest of each file that it lists.

    No manifest of images can be taken for one, nor the other way round.
    """

    id: str
    version: str
    arch: str
    installer: Digest  # of `__main__.py`
    about: Digest  # of `kit.json`
