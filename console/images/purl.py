"""Package URLs: what SBOMs call packages by. Types and qualifiers are those of purl-spec."""

from __future__ import annotations

from typing import NamedTuple, get_args
from urllib.parse import quote, unquote

from packaging.utils import canonicalize_name

from agent.protocol.packages import DISTRIBUTION_KINDS, Kind, Package, PackageList

# Where os-release says nothing.
_USUAL: dict[Kind, str] = {"deb": "debian", "apk": "alpine", "rpm": "rpm"}
_VENDORS = {"rhel": "redhat"}  # the one namespace that is not os-release's ID
_IDS = {vendor: name for name, vendor in _VENDORS.items()}
_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}


def purl(package: Package, found: PackageList) -> str:
    """The package's URL; a distribution is part of the name."""
    asked: dict[str, str] = {}
    space, name, version = "", package.name, package.version
    if package.kind in DISTRIBUTION_KINDS:
        space = _VENDORS.get(found.os_id, found.os_id) or _USUAL[package.kind]
        asked["arch"] = package.architecture
        if found.os_id and found.os_version:
            asked["distro"] = f"{found.os_id}-{found.os_version}"
        if package.kind == "rpm" and ":" in version:
            asked["epoch"], _, version = version.partition(":")
    elif package.kind == "pypi":
        name = canonicalize_name(name)
    elif package.kind == "npm" and name.startswith("@"):
        space, _, name = name.partition("/")
    words = "&".join(f"{key}={quote(value, safe='')}" for key, value in asked.items() if value)
    parts = [*([space] if space else []), f"{name}"]
    where = f"pkg:{package.kind}/{'/'.join(quote(each, safe='') for each in parts)}"
    where = f"{where}@{quote(version, safe='')}"
    return f"{where}?{words}" if words else where


class ReadPurl(NamedTuple):
    """What a URL says; `kind` None: nothing here knows packages of that type."""

    type: str
    kind: Kind | None
    name: str
    version: str
    architecture: str = ""
    os_id: str = ""
    os_version: str = ""
    upstream: str = ""  # NAME or NAME@VERSION, as Syft writes what a package was built from


def read_purl(text: str) -> ReadPurl | None:
    """None: it is no package URL with a version."""
    scheme, colon, rest = text.partition(":")
    rest, _, asked = rest.partition("#")[0].partition("?")
    rest, at, version = rest.rpartition("@")
    kind, slash, path = rest.strip("/").partition("/")
    if scheme != "pkg" or not (colon and at and slash and path):
        return None
    words = dict(part.partition("=")[::2] for part in asked.split("&"))
    said = {key: unquote(value) for key, value in words.items()}
    space, _, name = (unquote(each) for each in path.rpartition("/"))
    version = unquote(version)
    if kind == "npm" and space:
        name = f"{space}/{name}"
    if kind == "rpm" and said.get("epoch", "0") != "0":
        version = f"{said['epoch']}:{version}"
    os_id, os_version = "", ""
    if kind in DISTRIBUTION_KINDS:
        os_id, _, os_version = said.get("distro", "").rpartition("-")
        os_id = _IDS.get(os_id or space, os_id or space)
    return ReadPurl(
        type=kind,
        kind=_KINDS.get(kind),
        name=name,
        version=version,
        architecture=said.get("arch", ""),
        os_id=os_id,
        os_version=os_version,
        upstream=said.get("upstream", ""),
    )
