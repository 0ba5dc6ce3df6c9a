"""The engines of a node: `FOLDER/<model>/<key>/{model.plan,manifest.json,build.log}`.

`FOLDER/<model>/current` is a link to the key in use. A folder that has a key for its name is whole;
what is being built lies beside it under a name that begins with a dot.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent import durable
from agent.protocol.decoding import from_json
from agent.protocol.engines import Engine, EngineManifest
from agent.protocol.problems import ProblemError

PLAN, MANIFEST, LOG = "model.plan", "manifest.json", "build.log"
CURRENT = "current"
OUTPUTS = "outputs"  # of its last check, to compare another one's with
_BUILDING, _REPLACED, _REMOVED = ".building-", ".replaced-", ".removed-"
_KEY = re.compile(r"[0-9a-f]{64}")


class EngineStore:
    """All methods block. They raise ProblemError `engine.storage` where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Requests and jobs are at it from several threads.
        self._lock = threading.RLock()

    def tidy(self) -> None:
        """Bring in order what an agent left that was killed."""
        with self._disk():
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            for model in _folders(self._folder):
                for left in model.iterdir():
                    if left.name.startswith((_BUILDING, _REMOVED)):
                        shutil.rmtree(left)
                    elif left.name.startswith(_REPLACED):
                        _put_back(left, model / left.name.removeprefix(_REPLACED))

    def begin(self, model: str, job: str) -> Path:
        """An empty folder to build in. Nobody else gets there while others may write in it."""
        with self._disk():
            place = self._folder / model / f"{_BUILDING}{job}"
            if place.exists():
                shutil.rmtree(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.parent.chmod(0o755)  # workloads read engines, whatever the agent's umask
            place.mkdir(mode=0o700)
            return place

    def forget(self, place: Path) -> None:
        """What `begin` made is not wanted any more; nor is a model's folder with nothing in it."""
        shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(OSError):
            place.parent.rmdir()

    def keep(self, place: Path, model: str, manifest: EngineManifest) -> None:
        """What was built in `place` is an engine from now on, in the stead of one with its key."""
        with self._disk():
            self._write(place, manifest)
            place.chmod(0o755)
            durable.sync_folder(place)
            final = self._folder / model / manifest.key
            replaced = final.with_name(_REPLACED + manifest.key)
            if final.exists():
                final.rename(replaced)
            place.rename(final)
            durable.sync_folder(final.parent)
            if replaced.exists():
                shutil.rmtree(replaced)

    def amend(self, model: str, manifest: EngineManifest, outputs: Path | None = None) -> None:
        """What is known of an engine has changed, its plan has not.

        Raises:
            ProblemError: `engine.not_found`: it was removed meanwhile.
        """
        with self._disk():
            folder = Path(self.get(model, manifest.key).path).parent
            self._write(folder, manifest)
            if outputs is not None:
                shutil.rmtree(folder / OUTPUTS, ignore_errors=True)
                shutil.move(outputs, folder / OUTPUTS)

    def use(self, model: str, key: str) -> None:
        """Have `current` point at it, from one moment to the next.

        Raises:
            ProblemError: `engine.not_found`.
        """
        with self._disk():
            folder = Path(self.get(model, key).path).parent.parent
            new = folder / f".{CURRENT}"
            new.unlink(missing_ok=True)
            new.symlink_to(key)
            new.replace(folder / CURRENT)
            durable.sync_folder(folder)

    def remove(self, model: str, key: str, *, force: bool) -> None:
        """Remove an engine, and `current` with it where it points there.

        Raises:
            ProblemError: `engine.not_found`; `engine.current` unless `force`.
        """
        with self._disk():
            engine = self.get(model, key)
            folder = Path(engine.path).parent
            if engine.current:
                if not force:
                    raise ProblemError(
                        "engine.current",
                        f"engine {key[:12]} of {model} is the one in use",
                        params={"model": model, "key": key},
                        hint="Use another one first (roost engine use), or remove it with --force:"
                        " then there is none until one is built.",
                    )
                (folder.parent / CURRENT).unlink()
                durable.sync_folder(folder.parent)
            away = folder.with_name(_REMOVED + key)
            folder.rename(away)
            shutil.rmtree(away)
            with contextlib.suppress(OSError):  # others are there
                folder.parent.rmdir()

    def prune(self, model: str, *, keep: int) -> list[str]:
        """Remove the oldest until `keep` are left; never the one in use. Returns their keys."""
        with self._disk():
            engines = [each for each in self.list(model) if not each.current]
            spare = [engine.manifest.key for engine in engines[max(keep - 1, 0) :]]
            for key in spare:
                self.remove(model, key, force=False)
            return spare

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

    def get(self, model: str, start: str) -> Engine:
        """The engine by its key or the start of it.

        Raises:
            ProblemError: `engine.not_found`, `engine.ambiguous`.
        """
        found = [each for each in self.list(model) if each.manifest.key.startswith(start)]
        if len(found) == 1:
            return found[0]
        code = "engine.ambiguous" if found else "engine.not_found"
        text = f"{len(found)} engines of {model} begin with" if found else f"{model} has no engine"
        raise ProblemError(
            code,
            f"{text} {start[:12]}",
            params={"model": model, "key": start},
            hint="roost engine show NODE MODEL lists their keys.",
        )

    def outputs_of(self, engine: Engine) -> Path | None:
        """The folder of its outputs, where they were kept."""
        folder = Path(engine.path).with_name(OUTPUTS)
        return folder if folder.is_dir() else None

    def _write(self, folder: Path, manifest: EngineManifest) -> None:
        content = msgspec.json.format(msgspec.json.encode(manifest))
        durable.write_whole(folder / MANIFEST, content, mode=0o644)

    def _engines(self, folder: Path) -> Iterator[Engine]:
        for each in _folders(folder):
            if _KEY.fullmatch(each.name) and (engine := self._engine(each)) is not None:
                yield engine

    def _engine(self, folder: Path) -> Engine | None:
        try:
            manifest = from_json((folder / MANIFEST).read_bytes(), EngineManifest)
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
        with self._lock:
            try:
                yield
            except OSError as error:
                raise unstorable(error, self._folder) from None


def unstorable(error: OSError, folder: Path) -> ProblemError:
    """Of a disk that refuses."""
    return ProblemError(
        "engine.storage",
        f"{error.filename or folder}: {os.strerror(error.errno or 0)}",
        hint="See that the node's state folder has room and can be written to.",
    )


def _folders(folder: Path) -> list[Path]:
    """Those of models or engines: the names of others begin with a dot."""
    return [
        each
        for each in folder.iterdir()
        if each.is_dir() and not each.is_symlink() and not each.name.startswith(".")
    ]


def _put_back(replaced: Path, final: Path) -> None:
    if final.exists():
        shutil.rmtree(replaced)
    else:
        replaced.rename(final)
