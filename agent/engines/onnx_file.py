"""What an ONNX model is by its bytes: digests of the file and of the data that lies beside it.

The file is read in pieces and never held: it may be larger than the agent's memory.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from agent.archives.onnx_external import beside, external_names, unusable
from agent.host.real_paths import ROOT, here
from agent.protocol.engines import ModelFile

PIECE_BYTES = 1024 * 1024


class OnnxDigests(msgspec.Struct, frozen=True):
    """SHA-256 in hex: of the model, and of each file that it names, by that name."""

    model: str
    external: dict[str, str]
    files: list[ModelFile] = []


class Digests:
    """Remembers digests of files for as long as they look unchanged. `root` is the machine's."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._known: dict[Path, tuple[tuple[int, ...], str]] = {}
        self._named: dict[Path, tuple[tuple[int, ...], list[str]]] = {}

    def of(self, path: Path) -> OnnxDigests:
        """Blocks for as long as it takes to read everything, when that has not been done before.

        Raises:
            ProblemError: `engine.onnx`.
        """
        try:
            with self._opened(path) as file:
                looks = _looks(file)
                known = self._named.get(path)
                if known is None or known[0] != looks:
                    known = looks, external_names(file, looks[0], path)
                    self._named[path] = known
            places = {name: beside(path, name) for name in known[1]}
            return OnnxDigests(
                model=self._digest(path),
                external={name: self._digest(place) for name, place in places.items()},
                files=[self._file(each) for each in (path, *places.values())],
            )
        except OSError as error:
            raise unusable(path, f"{error.filename or path}: {error.strerror}") from None

    def of_file(self, path: Path) -> ModelFile:
        """Another file that an engine is built from. Blocks; raises ProblemError `engine.onnx`."""
        try:
            self._digest(path)
            return self._file(path)
        except OSError as error:
            raise unusable(path, f"{path}: {error.strerror}") from None

    def of_inputs(self, folder: Path) -> str | None:
        """SHA-256 in hex, of each NAME.bin in it; None: they cannot be read.

        Blocks; raises ProblemError `engine.onnx`: one is being written to.
        """
        digest = hashlib.sha256()
        try:
            for found in sorted(here(folder, self._root).glob("*.bin")):
                file = folder / found.name
                if here(file, self._root).is_file():  # a pipe would keep us
                    digest.update(f"{file.name}\0{self._digest(file)}\0".encode(errors="replace"))
        except OSError:
            return None
        return digest.hexdigest()

    def changed(self, file: ModelFile) -> bool:
        """Whether it has other bytes now. Blocks, for long where it was touched.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        path = Path(file.path)
        now = here(path, self._root).stat()
        if now.st_size != file.size_bytes:
            return True
        return now.st_mtime_ns != file.modified_ns and self._digest(path) != file.sha256

    def _file(self, path: Path) -> ModelFile:
        looks, digest = self._known[path]
        return ModelFile(path=str(path), size_bytes=looks[0], modified_ns=looks[1], sha256=digest)

    def _opened(self, path: Path) -> BinaryIO:
        try:
            return here(path, self._root).open("rb")
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None

    def _digest(self, path: Path) -> str:
        with self._opened(path) as file:
            looks = _looks(file)
            known = self._known.get(path)
            if known is not None and known[0] == looks:
                return known[1]
            digest = hashlib.sha256()
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
            if _looks(file) != looks:
                raise unusable(path, f"{path} is being written to")
        self._known[path] = looks, digest.hexdigest()
        return digest.hexdigest()


def _looks(file: BinaryIO) -> tuple[int, ...]:
    now = os.fstat(file.fileno())
    return now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino, now.st_dev
