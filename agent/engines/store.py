"""The engines of a node: `FOLDER/<model>/<key>/{model.plan,manifest.json,build.log}`.

`FOLDER/<model>/current` is a link to the engine in use. A folder that has a key for its name is
whole, and nobody replaces it: containers may have it. What is built once more under the same key
lies beside it as `<key>.2`, which counts from then on; what is being built has a name with a dot
before it.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import re
import shutil
import stat
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from agent import durable
from agent.engines.whole_plans import WholePlans
from agent.protocol.decoding import from_json
from agent.protocol.engines import Engine, EngineManifest
from agent.protocol.problems import ProblemError
from agent.rules.engine_stale import why_not_good
from agent.rules.engine_use import gpu_kind

PLAN, MANIFEST, LOG = "model.plan", "manifest.json", "build.log"
CURRENT = "current"
OUTPUTS = "outputs"  # of its last check, to compare another one's with
# What TensorRT-RTX compiles for an engine where containers run it: they write there.
RUNTIME = "runtime"
_BUILDING, _REMOVED = ".building-", ".removed-"
# A key, and which engine of that key.
_NAME = re.compile(r"([0-9a-f]{64})(?:\.([0-9]{1,6}))?")


class EngineStore:
    """All methods block. They raise ProblemError `engine.storage` where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Requests and jobs are at it from several threads.
        self._lock = threading.RLock()
        self._plans = WholePlans()

    def tidy(self) -> None:
        """Bring in order what an agent left that was killed."""
        with self._disk():
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            for model in _folders(self._folder):
                for left in model.iterdir():
                    if left.name.startswith((_BUILDING, _REMOVED)):
                        shutil.rmtree(left)

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
        """What was built in `place` is an engine from now on, and counts for its key.

        One of that key that was there stays where it lies, `current` too, until `prune`. The plan
        has the manifest's digest: who made that has just read it.
        """
        with self._disk():
            self._write(place, manifest)
            place.chmod(0o755)
            _sync(place)
            before = self._folders_of(model, manifest.key)
            number = _number(before[-1].name) + 1 if before else 1
            folder = place.with_name(manifest.key + (f".{number}" if before else ""))
            place.rename(folder)
            durable.sync_folder(folder.parent)
            self._plans.kept(folder / PLAN, manifest.plan_sha256)

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
                _sync(outputs)
                shutil.move(outputs, folder / OUTPUTS)
                durable.sync_folder(folder)

    def use(self, model: str, key: str) -> Engine:
        """Have `current` point at it, from one moment to the next; the engine as it is then.

        Raises:
            ProblemError: `engine.not_found`; `engine.not_verified`: it is not good any more.
        """
        with self._disk():
            engine = self.get(model, key)
            if why := why_not_good(engine.manifest) or self.damage(engine):
                raise not_usable(engine, why)
            target = Path(engine.path).parent
            folder = target.parent
            new = folder / f".{CURRENT}"
            new.unlink(missing_ok=True)
            new.symlink_to(target.name)
            new.replace(folder / CURRENT)
            durable.sync_folder(folder)
            return self._engine(target) or engine

    def use_none(self, model: str) -> None:
        """There is no engine in use any more."""
        with self._disk():
            (self._folder / model / CURRENT).unlink(missing_ok=True)
            durable.sync_folder(self._folder / model)

    def remove(
        self, model: str, key: str, *, force: bool, handed: Mapping[Path, Sequence[str]]
    ) -> None:
        """Remove an engine, and `current` with it where it points there.

        Args:
            handed: folders of engines that workloads have, with the workloads' names.

        Raises:
            ProblemError: `engine.not_found`; `engine.current` unless `force`; `engine.handed`.
        """
        with self._disk():
            engine = self.get(model, key)
            folders = self._folders_of(model, key)
            workloads = sorted({name for each in folders for name in handed.get(each, ())})
            if workloads:
                raise ProblemError(
                    "engine.handed",
                    f"engine {key[:12]} of {model} is that of {', '.join(workloads)}",
                    params={"model": model, "key": key, "workloads": workloads},
                    hint="Containers that run, or are kept to go back to, have it: deploy them"
                    " with another engine first.",
                )
            if engine.current and not force:
                raise ProblemError(
                    "engine.current",
                    f"engine {key[:12]} of {model} is the one in use",
                    params={"model": model, "key": key},
                    hint="Use another one first (roost engine use), or remove it with --force:"
                    " then there is none until one is built.",
                )
            if engine.current or self._used(model) in folders:
                self.use_none(model)
            for folder in reversed(folders):  # the one that counts goes last
                self._discard(folder)
            with contextlib.suppress(OSError):  # others are there
                (self._folder / model).rmdir()

    def too_many(self, model: str, *, keep: int) -> bool:
        """Whether `prune` has something to look at."""
        engines = self.list(model)
        return any(len(alike) > keep for alike in _by_gpu(engines)) or any(
            len(self._folders_of(model, each.manifest.key)) > 1 for each in engines
        )

    def prune(self, model: str, *, keep: int, handed: Collection[Path]) -> list[str]:
        """Remove the oldest until `keep` are left, and those that others of their key came after.

        So many of each kind of GPU: workloads on one have no use for those of another. Never
        the one in use, nor those of `handed`. Returns the keys that are no more.
        """
        with self._disk():
            stay = {*handed, self._used(model)}
            engines = self.list(model)
            for engine in engines:
                for before in self._folders_of(model, engine.manifest.key)[:-1]:
                    if before not in stay:
                        self._discard(before)
            gone = []
            for alike in _by_gpu(engines):
                others = [each.manifest.key for each in alike if not each.current]
                stays = keep - (len(alike) - len(others))
                gone += [
                    key
                    for key in others[max(stays, 0) :]
                    if not stay & {*self._folders_of(model, key)}
                ]
            for key in gone:
                self.remove(model, key, force=False, handed={})
            return gone

    def users_of(
        self, engine: Engine, handed: Mapping[Path, Sequence[str]] | None
    ) -> builtins.list[str] | None:
        """Of those who have engines' folders, those who have one of its key."""
        if handed is None:
            return None
        place = self._folder / engine.model
        found = {
            name
            for folder, names in handed.items()
            if folder.parent == place and folder.name.partition(".")[0] == engine.manifest.key
            for name in names
        }
        return sorted(found)

    def folder_of(self, path: Path) -> Path | None:
        """The engine's folder that a path of the node leads into; None: into none."""
        whole = self._folder.absolute()
        if not path.is_relative_to(whole) or len(path.relative_to(whole).parts) < 2:
            return None
        model, name = path.relative_to(whole).parts[:2]
        return self._folder / model / name

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
        """The engine with that key, whatever became of its plan: see `damage`."""
        folders = self._folders_of(model, key)
        return self._engine(folders[-1]) if folders else None

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

    def damage(self, engine: Engine, *, read: bool = False) -> str | None:
        """Why its plan is not what was kept; None: it is. See `WholePlans.damage`."""
        return self._plans.damage(engine, read=read)

    def outputs_of(self, engine: Engine) -> Path | None:
        """The folder of its outputs, where they were kept."""
        folder = Path(engine.path).with_name(OUTPUTS)
        return folder if folder.is_dir() else None

    def _write(self, folder: Path, manifest: EngineManifest) -> None:
        content = msgspec.json.format(msgspec.json.encode(manifest))
        durable.write_whole(folder / MANIFEST, content, mode=0o644)

    def _engines(self, folder: Path) -> Iterator[Engine]:
        keys = {found[1] for each in _folders(folder) if (found := _NAME.fullmatch(each.name))}
        for key in keys:
            if (engine := self._engine(self._folders_of(folder.name, key)[-1])) is not None:
                yield engine

    def _folders_of(self, model: str, key: str) -> builtins.list[Path]:
        """Of the engines of a key, the one that counts last; empty: there is none."""
        place = self._folder / model
        if not place.is_dir():
            return []
        named = [(each, _NAME.fullmatch(each.name)) for each in _folders(place)]
        found = [each for each, name in named if name is not None and name[1] == key]
        return sorted(found, key=lambda each: _number(each.name))

    def _used(self, model: str) -> Path:
        """Where `current` points to; itself where there is none."""
        link = self._folder / model / CURRENT
        return link.with_name(str(link.readlink())) if link.is_symlink() else link

    def _discard(self, folder: Path) -> None:
        away = folder.with_name(_REMOVED + folder.name)
        folder.rename(away)
        shutil.rmtree(away)

    def _engine(self, folder: Path) -> Engine | None:
        try:
            manifest = from_json((folder / MANIFEST).read_bytes(), EngineManifest)
            link = self._used(folder.parent.name)
        except (OSError, msgspec.MsgspecError):
            return None
        used = _NAME.fullmatch(link.name)
        same_key = used is not None and used[1] == folder.name.partition(".")[0]
        return Engine(
            model=folder.parent.name,
            # One that came after it, since its plan was damaged, may not have been tried.
            current=same_key and (link == folder or why_not_good(manifest) is None),
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


def not_usable(engine: Engine, why: str) -> ProblemError:
    """Of an engine that may not become current."""
    key = engine.manifest.key
    return ProblemError(
        "engine.not_verified",
        f"engine {key[:12]} of {engine.model} may not become current: {why}",
        params={"model": engine.model, "key": key},
        hint=f"Try it, then use it: roost engine verify NODE {engine.model} --key {key[:12]}; or"
        " build it anew.",
    )


def unstorable(error: OSError, folder: Path) -> ProblemError:
    """Of a disk that refuses."""
    return ProblemError(
        "engine.storage",
        f"{error.filename or folder}: {os.strerror(error.errno or 0)}",
        hint="See that the node's state folder has room and can be written to.",
    )


def _by_gpu(engines: Sequence[Engine]) -> list[list[Engine]]:
    """Those for the same kinds of GPU together, in their order."""
    found: dict[tuple[object, ...], list[Engine]] = {}
    for engine in engines:
        found.setdefault(gpu_kind(engine.manifest.parts), []).append(engine)
    return list(found.values())


def _folders(folder: Path) -> list[Path]:
    """Those of models or engines: the names of others begin with a dot."""
    return [
        each
        for each in folder.iterdir()
        if each.is_dir() and not each.is_symlink() and not each.name.startswith(".")
    ]


def _sync(folder: Path) -> None:
    """Make all that is in it durable: workers' plans, logs and outputs. Raises OSError."""
    for place, _, names in os.walk(folder):
        for name in names:
            if stat.S_ISREG((path := Path(place, name)).lstat().st_mode):
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        durable.sync_folder(Path(place))


def _number(name: str) -> int:
    """Which of its key's engines a folder has: the first has no number."""
    found = _NAME.fullmatch(name)
    return int(found[2] or 1) if found is not None else 0
