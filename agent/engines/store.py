"""The engines of a node: `FOLDER/<model>/<key>/{model.plan,manifest.json,build.log}`.

`FOLDER/<model>/current` is a link to the key in use. A folder that has a key for its name is whole;
what is being built lies beside it under a name that begins with a dot.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent import durable
from agent.protocol.engines import Engine, EngineManifest
from agent.protocol.problems import ProblemError

PLAN, MANIFEST, LOG = "model.plan", "manifest.json", "build.log"
CURRENT = "current"
_BUILDING, _REPLACED = ".building-", ".replaced-"
_KEY = re.compile(r"[0-9a-f]{64}")


class EngineStore:
    """All methods block. They raise ProblemError `engine.storage` where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def tidy(self) -> None:
        """Bring in order what an agent left that was killed."""
        with self._disk():
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            for model in _folders(self._folder):
                for left in model.iterdir():
                    if left.name.startswith(_BUILDING):
                        shutil.rmtree(left)
                    elif left.name.startswith(_REPLACED):
                        _put_back(left, model / left.name.removeprefix(_REPLACED))

    def begin(self, model: str, job: str) -> Path:
        """An empty folder to build in."""
        with self._disk():
            place = self._folder / model / f"{_BUILDING}{job}"
            if place.exists():
                shutil.rmtree(place)
            place.mkdir(mode=0o755, parents=True)
            return place

    def forget(self, place: Path) -> None:
        """What `begin` made is not wanted any more."""
        shutil.rmtree(place, ignore_errors=True)

    def keep(self, place: Path, model: str, manifest: EngineManifest) -> None:
        """What was built in `place` is an engine from now on, in the stead of one with its key."""
        with self._disk():
            durable.write_whole(
                place / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)), mode=0o644
            )
            final = self._folder / model / manifest.key
            replaced = final.with_name(_REPLACED + manifest.key)
            if final.exists():
                final.rename(replaced)
            place.rename(final)
            durable.sync_folder(final.parent)
            if replaced.exists():
                shutil.rmtree(replaced)

    def use(self, model: str, key: str) -> None:
        """Have `current` point at it, from one moment to the next."""
        with self._disk():
            folder = self._folder / model
            new = folder / f".{CURRENT}"
            new.unlink(missing_ok=True)
            new.symlink_to(key)
            new.replace(folder / CURRENT)
            durable.sync_folder(folder)

    def prune(self, model: str, *, keep: int) -> list[str]:
        """Remove the oldest until `keep` are left; never the one in use. Returns their keys."""
        with self._disk():
            engines = [each for each in self.list(model) if not each.current]
            spare = engines[max(keep - 1, 0) :]
            for engine in spare:
                shutil.rmtree(Path(engine.path).parent)
            return [engine.manifest.key for engine in spare]

    def list(self, model: str | None = None) -> list[Engine]:
        """Engines by model, newest first; what cannot be read is left out."""
        with self._disk():
            if not self._folder.is_dir():
                return []
            folders = sorted(_folders(self._folder))
        return [
            engine
            for folder in folders
            if model in (None, folder.name)
            for engine in sorted(
                self._engines(folder), key=lambda each: each.manifest.built_at, reverse=True
            )
        ]

    def find(self, model: str, key: str) -> Engine | None:
        """The engine with that key, if its plan is there whole."""
        found = self._engine(self._folder / model / key)
        if found is None:
            return None
        with contextlib.suppress(OSError):
            if Path(found.path).stat().st_size == found.manifest.plan_bytes:
                return found
        return None

    def _engines(self, folder: Path) -> Iterator[Engine]:
        for each in _folders(folder):
            if _KEY.fullmatch(each.name) and (engine := self._engine(each)) is not None:
                yield engine

    def _engine(self, folder: Path) -> Engine | None:
        try:
            manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=EngineManifest)
            current = (folder.parent / CURRENT).is_symlink() and (
                (folder.parent / CURRENT).readlink() == Path(folder.name)
            )
        except (OSError, msgspec.MsgspecError):
            return None
        return Engine(
            model=folder.parent.name,
            current=current,
            path=str(folder / PLAN),
            manifest=manifest,
        )

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ProblemError(
                "engine.storage",
                f"{error.filename or self._folder}: {os.strerror(error.errno or 0)}",
                hint="See that the node's state folder has room and can be written to.",
            ) from None


def _folders(folder: Path) -> list[Path]:
    return [each for each in folder.iterdir() if each.is_dir() and not each.is_symlink()]


def _put_back(replaced: Path, final: Path) -> None:
    if final.exists():
        shutil.rmtree(replaced)
    else:
        replaced.rename(final)
