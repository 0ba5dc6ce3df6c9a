"""`roost image sbom`: which packages the images of an archive have, as SPDX."""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import click

from agent.archives.index import ArchivedImage
from agent.archives.package_lists import ImagePackages
from agent.protocol.problems import ProblemError
from console.cli.image_packages import name_of, read_packages
from console.cli.new_file import check_new, force_option
from console.cli.output import safe_json, say
from console.cli.version import installed_version
from console.images.spdx import document
from console.text import plural


@click.command("sbom")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", "file", type=click.Path(path_type=Path), help="Write it there, not out."
)
@force_option
def command(archive: Path, file: Path | None, *, force: bool) -> int:
    """List the packages of the images in ARCHIVE as an SPDX 2.3 document in JSON.

    They are those that the images' own databases name: dpkg's, apk's, and Python's dist-info.
    What was copied in without one is not seen. Nothing is started, and no network is needed.
    The exit code is 1 where there may be more than were found: layers that are not in
    the archive or are damaged, and databases of rpm, which are not read.
    """
    if file is not None:
        check_new(file, force=force)
    found = read_packages(archive)
    made = document(
        archive.name,
        found,
        version=installed_version(),
        created=datetime.now(timezone.utc),
        number=uuid4(),
    )
    _write(safe_json(json.dumps(made, indent=1, ensure_ascii=False)) + "\n", file)
    for image, packages in found:
        _tell(image, packages)
    return int(any(packages.unknown for _, packages in found))


def _write(text: str, file: Path | None) -> None:
    if file is None:
        sys.stdout.write(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ProblemError(
            "console.unwritable", f"{file}: {error.strerror}", params={"file": str(file)}
        ) from None


def _tell(image: ArchivedImage, found: ImagePackages) -> None:
    name = name_of(image)
    kinds = Counter(package.kind for package in found.packages)
    parts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"
    where = f"{found.os_id} {found.os_version}".strip() or "no distribution known"
    say(f"{name}: {plural(len(found.packages), 'package')} ({parts}), {where}")
    for reason in found.unknown:
        say(f"{name}: there may be more: {reason}")
