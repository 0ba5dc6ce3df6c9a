"""`images/matrix.yaml`: what images are built for, and on what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from agent.protocol.patterns import whole
from agent.protocol.problems import ProblemError
from agent.protocol.settings import convert_settings
from agent.yaml_text import read_document, read_tree

FILE = "matrix.yaml"
Dotted = Annotated[str, msgspec.Meta(pattern=whole(r"\d{1,5}(\.\d{1,5}){0,3}"))]
Name = Annotated[str, msgspec.Meta(pattern=whole(r"[a-z0-9][a-z0-9.-]{0,30}"))]


class Variant(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One image. Versions that are None are not in it."""

    name: Name
    base: str
    python: Annotated[str, msgspec.Meta(pattern=whole(r"3\.\d{1,2}"))]  # the base's, or that of apt
    requirements: str  # a file of the folder: what pip installs, with hashes
    platform: str = "linux/amd64"
    cuda: Dotted | None = None
    tensorrt: Dotted | None = None
    apt_packages: list[str] = []  # for a base that lacks them; needs a network
    minimum_driver: Dotted | None = None
    compute_capabilities: list[Dotted] = []
    labels: dict[str, str] = {}


class Matrix(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The file. `folder` has the Dockerfile and the application, and lies beside it."""

    repository: str
    folder: str
    variants: list[Variant]

    def variant(self, name: str) -> Variant:
        """Raises ProblemError `build.variant`."""
        for each in self.variants:
            if each.name == name:
                return each
        known = ", ".join(each.name for each in self.variants)
        raise ProblemError(
            "build.variant",
            f"there is no variant {name!r}",
            params={"variant": name},
            hint=f"There are {known}.",
        )


def read_matrix(file: Path) -> Matrix:
    """Raises ProblemError: `build.files`, `settings.*` with file and line."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ProblemError(
            "build.files",
            f"{file}: {why}",
            params={"file": str(file)},
            hint="Run it beside Roost's images/ folder, or name yours: --matrix FILE",
        ) from None
    document = read_document(text, file=str(file))
    return convert_settings(document, Matrix, file=str(file), tree=lambda: read_tree(text))
