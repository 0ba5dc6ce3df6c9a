"""The packages of images and nodes as SPDX 2.3: what other tools read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from hashlib import sha256
from typing import Any, Literal, NamedTuple
from uuid import NAMESPACE_OID, uuid5

from agent.protocol.packages import Package, PackageList
from console.images.purl import purl

# Nobody here has read a licence, or knows where a package was fetched from.
UNSAID = "NOASSERTION"
DOCUMENT = "SPDXRef-DOCUMENT"
BUILT_FROM = "built from "
PART_OF = "installed by the package "
MAY_BE_MORE = "There may be more packages: "


class Subject(NamedTuple):
    """What packages are in: an image, or a node."""

    name: str
    version: str  # an image's digest; what os-release says of a node
    kind: Literal["Image", "Node"]
    found: PackageList


_PURPOSES = {"Image": "CONTAINER", "Node": "OPERATING-SYSTEM"}


def document(
    name: str, subjects: Sequence[Subject], *, version: str, created: datetime
) -> dict[str, Any]:
    """One document about these. The same subjects make the same one, but for `created`.

    Args:
        name: what it is called.
        version: of Roost.
    """
    packages: list[dict[str, Any]] = []
    relations: list[dict[str, str]] = []
    for place, subject in enumerate(subjects, 1):
        whole = _whole(f"SPDXRef-{subject.kind}-{place}", subject)
        packages.append(whole)
        relations.append(_relation(DOCUMENT, "DESCRIBES", whole))
        for count, package in enumerate(subject.found.packages, 1):
            part = _package(f"{whole['SPDXID']}-Package-{count}", package, subject.found)
            packages.append(part)
            relations.append(_relation(whole["SPDXID"], "CONTAINS", part))
    content = json.dumps([name, version, packages, relations], sort_keys=True)
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": name,
        # As unique as what is in it.
        "documentNamespace": uuid5(NAMESPACE_OID, sha256(content.encode()).hexdigest()).urn,
        "creationInfo": {
            "created": created.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: roost-{version}"],
        },
        "packages": packages,
        "relationships": relations,
    }


def _whole(number: str, subject: Subject) -> dict[str, Any]:
    said: dict[str, Any] = _bare(number, subject.name)
    said["versionInfo"] = subject.version
    said["primaryPackagePurpose"] = _PURPOSES[subject.kind]
    if subject.found.unknown:
        said["comment"] = MAY_BE_MORE + "; ".join(subject.found.unknown)
    return said


def _package(number: str, package: Package, found: PackageList) -> dict[str, Any]:
    said = _bare(number, package.name)
    said["versionInfo"] = package.version
    if (package.source, package.source_version) != (package.name, package.version):
        text = f"{package.source} {package.source_version}".strip()
        if text:
            said["sourceInfo"] = BUILT_FROM + text
    if package.part_of:
        said["comment"] = PART_OF + package.part_of
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
