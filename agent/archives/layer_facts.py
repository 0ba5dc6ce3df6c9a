"""What a layer's files say of CUDA, TensorRT and drivers."""

from __future__ import annotations

import re
from functools import partial

import msgspec

from agent.archives.dpkg_status import is_status, read_packages
from agent.archives.elf_note import BadElfError, CompatNote, read_note
from agent.archives.faults import FaultError
from agent.archives.layer_walk import image_path, walk
from agent.archives.sources import PartSource, Source
from agent.archives.tar_headers import Member

FILES_LIMIT = 2_000

COMPAT_LIBRARY = re.compile(r"(?:.*/)?compat[^/]*/(?:[^/]+/)?libcuda\.so\.(\d+\.\d+(?:\.\d+)*)")
DIST_INFO = re.compile(r"((?:.*/)?(?:site|dist)-packages/([^/]+)-([0-9][^/-]*)\.dist-info)(?:/.*)?")
PYTHON_PACKAGE = re.compile(
    r"tensorrt(?:[-_]cu\d+)?(?:[-_](?:libs|bindings|lean|dispatch))?"
    r"|nvidia[-_]cuda[-_]runtime(?:[-_]cu\d+)?",
    re.IGNORECASE,
)
LIBRARY = re.compile(r"(?:.*/)?lib(nvinfer|cudart)\.so\.(\d+\.\d+\.\d+(?:\.\d+)?)")
# Where /usr/local/cuda leads; NVIDIA's packages go by way of /etc/alternatives.
CUDA_LINK = re.compile(r"usr/local/cuda|etc/alternatives/cuda(?:-\d+)?|usr/local/cuda-\d+")
# Folders on the way to such files, which a layer may replace by something that is no folder.
_FOLDER = re.compile(
    r"usr|lib|lib64|local|opt|var|dpkg|status\.d|cuda[^/]*|compat[^/]*|lib\.real|targets|bin"
    r"|python[^/]*|(?:site|dist)-packages|[^/]+-linux(?:-gnu)?|[^/]+\.dist-info|\.?venv|conda"
)


class FoundFile(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A file, a link, or a folder of Python's `dist-info`, by its path in the image."""

    target: str = ""  # of a link, as it is written
    hard: bool = False  # the link is to a file of the same layer
    note: CompatNote | None = None
    packages: dict[str, str] = {}
    problem: str = ""  # why its content is not known


class LayerFacts(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was found in a layer. `hidden` are paths that it takes away, with all below them."""

    files: dict[str, FoundFile] = {}
    hidden: list[str] = []
    problem: str = ""  # why there may be more


def layer_facts(source: Source, *, folder: str = "") -> LayerFacts:
    """Pass once over a layer's tar. What is wrong with it is the answer's `problem`.

    Args:
        folder: Where in the image its names begin.

    Raises:
        OSError: the disk's, as are others that `source` gives.
    """
    facts = LayerFacts()
    look = partial(_look, facts)
    facts.problem = walk(source, facts.hidden, look, folders=_FOLDER, folder=folder)
    return facts


def _look(facts: LayerFacts, path: str, member: Member, source: Source) -> None:
    if found := DIST_INFO.fullmatch(path):
        if PYTHON_PACKAGE.fullmatch(found[2]):
            _add(facts, found[1], FoundFile())
        return
    if member.kind in ("symlink", "link") and (_is_of_interest(path) or CUDA_LINK.fullmatch(path)):
        hard = member.kind == "link"
        target = image_path(member.target) if hard else member.target
        _add(facts, path, FoundFile(target=target, hard=hard))
    elif member.kind == "file" and _is_of_interest(path):
        _add(facts, path, _file(path, member, source))


def _is_of_interest(path: str) -> bool:
    return bool(COMPAT_LIBRARY.fullmatch(path) or LIBRARY.fullmatch(path) or is_status(path))


def _file(path: str, member: Member, source: Source) -> FoundFile:
    found = FoundFile()
    content = PartSource(source, member.size_bytes)
    try:
        if is_status(path):
            found.packages = read_packages(content)
        elif COMPAT_LIBRARY.fullmatch(path):
            found.note = read_note(content, member.size_bytes)
    except BadElfError as error:
        found.problem = str(error)
    except FaultError as fault:
        if fault.code != "archive.too_large":
            raise
        found.problem = fault.what
    return found


def _add(facts: LayerFacts, path: str, file: FoundFile) -> None:
    if len(facts.files) >= FILES_LIMIT:
        raise FaultError("archive.too_large", f"more than {FILES_LIMIT} files are of interest")
    facts.files[path] = file
