"""The packages of images as SPDX 2.3: what other tools read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote
from uuid import UUID

from packaging.utils import canonicalize_name

from agent.archives.index import ArchivedImage
from agent.archives.package_lists import ImagePackages, Package

# Nobody here has read a licence, or knows where a package was fetched from.
UNSAID = "NOASSERTION"
DOCUMENT = "SPDXRef-DOCUMENT"


def document(
    name: str,
    images: Sequence[tuple[ArchivedImage, ImagePackages]],
    *,
    version: str,
    created: datetime,
    number: UUID,
) -> dict[str, Any]:
    """One document about these images.

    Args:
        name: what it is called.
        version: of Roost.
        number: never used for another document.
    """
    packages: list[dict[str, Any]] = []
    relations: list[dict[str, str]] = []
    for place, (image, found) in enumerate(images, 1):
        whole = _image(f"SPDXRef-Image-{place}", image, found)
        packages.append(whole)
        relations.append(_relation(DOCUMENT, "DESCRIBES", whole))
        for count, package in enumerate(found.packages, 1):
            part = _package(f"SPDXRef-Image-{place}-Package-{count}", package, found)
            packages.append(part)
            relations.append(_relation(whole["SPDXID"], "CONTAINS", part))
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": name,
        "documentNamespace": number.urn,
        "creationInfo": {
            "created": created.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: roost-{version}"],
        },
        "packages": packages,
        "relationships": relations,
    }


def purl(package: Package, found: ImagePackages) -> str:
    """The package's URL, as purl-spec has it; a distribution is part of the name."""
    asked: dict[str, str] = {}
    name, version = package.name, package.version
    if package.kind == "pypi":
        space = ""
        name = canonicalize_name(name)
    else:
        space = f"{quote(found.os_id or _USUAL[package.kind], safe='')}/"
        asked["arch"] = package.architecture
        if found.os_id and found.os_version:
            asked["distro"] = f"{found.os_id}-{found.os_version}"
    words = "&".join(f"{key}={quote(value, safe='')}" for key, value in asked.items() if value)
    where = f"pkg:{package.kind}/{space}{quote(name, safe='')}@{quote(version, safe='')}"
    return f"{where}?{words}" if words else where


_USUAL = {"deb": "debian", "apk": "alpine"}


def _image(number: str, image: ArchivedImage, found: ImagePackages) -> dict[str, Any]:
    said: dict[str, Any] = _bare(number, image.tags[0] if image.tags else image.config_digest)
    said["versionInfo"] = image.config_digest
    said["primaryPackagePurpose"] = "CONTAINER"
    if found.unknown:
        said["comment"] = "There may be more packages: " + "; ".join(found.unknown)
    return said


def _package(number: str, package: Package, found: ImagePackages) -> dict[str, Any]:
    said = _bare(number, package.name)
    said["versionInfo"] = package.version
    if (package.source, package.source_version) != (package.name, package.version):
        text = f"{package.source} {package.source_version}".strip()
        if text:
            said["sourceInfo"] = f"built from {text}"
    said["externalRefs"] = [
        {
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl(package, found),
        }
    ]
    return said


def _bare(number: str, name: str) -> dict[str, Any]:
    return {
        "SPDXID": number,
        "name": name,
        "downloadLocation": UNSAID,
        "filesAnalyzed": False,
        "licenseConcluded": UNSAID,
        "licenseDeclared": UNSAID,
        "copyrightText": UNSAID,
    }


def _relation(one: str, how: str, other: Mapping[str, Any]) -> dict[str, str]:
    return {
        "spdxElementId": one,
        "relationshipType": how,
        "relatedSpdxElement": other["SPDXID"],
    }
