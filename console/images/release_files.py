"""What a release needs beside its images: the models that its engines are built from, and itself.

A model that a recipe names without a slash at its begin lies, on this machine, beside the release
under that name; on nodes it lies below the agent's folder of models. One that it names by its
whole path is on the nodes already, or it is not a bundle's to bring.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from agent.archives.carried_files import LooseFile, loose_file
from agent.archives.faults import told_about
from agent.archives.onnx_external import beside, external_names
from agent.protocol.node_files import checked_name
from agent.protocol.problems import ProblemError
from console.compose.compose_file import ComposeFile, NodeWorkloads

# Where an agent that was not told otherwise keeps models.
MODELS = PurePosixPath("/var/lib/roost/models")
ONNX = ".onnx"


class ReleaseFiles(NamedTuple):
    """What goes along, and which files that it names do not, with the reason."""

    loose: list[LooseFile]
    left_out: list[str]


def image_names(means: Iterable[NodeWorkloads]) -> list[str]:
    """The images that the release may run anywhere, each once."""
    found = (
        name
        for each in means
        for workload in each.workloads
        for name in (workload.image, *workload.variants)
    )
    return list(dict.fromkeys(found))


def release_files(
    file: ComposeFile, means: Sequence[NodeWorkloads], models: Iterable[LooseFile] = ()
) -> ReleaseFiles:
    """The Compose files, those that they are made of, and the models of their engines.

    Args:
        models: those that were named on their own; they need not lie beside the release.

    Raises:
        ProblemError: `bundle.lacks`: a model is not there; `engine.onnx`, `file.name`,
            `archive.unreadable`.
    """
    named = {each.file.name: each for each in models}
    left_out: list[str] = []
    loose = list(named.values())
    for service, path in _paths(means):
        name = _below_models(path)
        if name is None:
            left_out.append(f"{path}, which {service} is built from: it must be on the nodes")
        elif name not in named:
            found = model_files(file.path.parent / name, name, lacking=f"{service} is built from")
            named.update((each.file.name, each) for each in found)
            loose += found
    project = means[0].project
    for place in dict.fromkeys([*file.paths, *file.others.read, *file.env_files.read]):
        inside = place.name if place in file.paths else _inside(place, file.path.parent)
        if inside is None:
            left_out.append(f"{place}, which the release names: it is not in its folder")
        else:
            name = checked_name(f"{project}/{inside}", where=str(place))
            loose.append(loose_file(place, "release", name))
    return ReleaseFiles(loose, list(dict.fromkeys(left_out)))


def model_files(path: Path, name: str, *, lacking: str = "") -> list[LooseFile]:
    """A model, and its external data, which has to lie beside it on the nodes as well.

    Raises:
        ProblemError: `bundle.lacks`, `engine.onnx`, `file.name`, `archive.unreadable`.
    """
    checked_name(name, where=str(path))
    if not path.is_file():
        raise ProblemError(
            "bundle.lacks",
            f"{path} is no file" + (f", and {lacking} it" if lacking else ""),
            params={"file": str(path)},
            hint=f"Put the model there, or say where it lies: --model {name}=FILE",
        )
    found = [loose_file(path, "model", name)]
    if path.suffix == ONNX:
        with told_about(path), path.open("rb") as file:
            names = external_names(file, os.fstat(file.fileno()).st_size, path)
        for each in names:
            place, there = beside(path, each), PurePosixPath(name).parent / each
            where = f"{path} names external data"
            found.append(loose_file(place, "model", checked_name(str(there), where=where)))
    return found


def _paths(means: Iterable[NodeWorkloads]) -> Iterator[tuple[str, str]]:
    """The service and path of each model and calibration, each once."""
    seen: set[str] = set()
    for each in means:
        for service, recipe in each.engines.items():
            for path in (recipe.onnx, recipe.calibration_cache):
                if path is not None and path not in seen:
                    seen.add(path)
                    yield service, path


def _below_models(path: str) -> str | None:
    """As a bundle names it; None: it lies elsewhere."""
    if not path.startswith("/"):
        return path
    whole = PurePosixPath(path)
    return str(whole.relative_to(MODELS)) if whole.is_relative_to(MODELS) else None


def _inside(path: Path, folder: Path) -> str | None:
    whole, top = path.resolve(), folder.resolve()
    return str(whole.relative_to(top)) if whole.is_relative_to(top) else None
