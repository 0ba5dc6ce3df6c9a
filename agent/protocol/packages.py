"""Packages on the wire: what is installed in an image, or on the node itself."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Kind = Literal["deb", "apk", "rpm", "pypi", "npm", "generic"]
DISTRIBUTION_KINDS: frozenset[Kind] = frozenset({"deb", "apk", "rpm"})


class Package(msgspec.Struct, kw_only=True, frozen=True, order=True, omit_defaults=True):
    """One that is installed. `source` is what it was built from, by its distribution's own name.

    A version is written as its distribution does, with an epoch where there is one: "1:2.0-3".
    """

    kind: Kind
    name: str
    version: str
    architecture: str = ""
    source: str = ""
    source_version: str = ""
    # The distribution's package that brought it: "deb python3-yaml". Its version says nothing of
    # what that distribution has mended in it.
    part_of: str = ""


class PackageList(msgspec.Struct, kw_only=True):
    """The packages of an image or a node, in order; `unknown` says why there may be others."""

    os_id: str = ""  # os-release's ID: debian
    os_version: str = ""  # its VERSION_ID: 12
    packages: list[Package] = []
    unknown: list[str] = []
    read_at: float | None = None  # Unix seconds, on a node


class ReadPackagesRequest(
    msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """`POST /v1/packages`: by tag, id, or start of an id; "": the node itself."""

    image: Annotated[str, msgspec.Meta(max_length=512)] = ""
