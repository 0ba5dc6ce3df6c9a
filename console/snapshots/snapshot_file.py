"""Snapshots as files: bundles that also say how a node was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.archives.bundle_planning import plan_bundle
from agent.archives.bundle_reading import Bundle, read_bundle
from agent.archives.bundle_writing import Sign, write_bundle
from agent.archives.carried_files import LooseFile
from agent.archives.index import ArchiveIndex
from agent.archives.indexing import Heard, unheard
from agent.protocol.decoding import from_json
from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import FORMAT, NodeSnapshot


class SnapshotFile(msgspec.Struct, frozen=True):
    """A snapshot that was read; the layers in it were not."""

    path: Path
    snapshot: NodeSnapshot
    bundle: Bundle

    @property
    def id(self) -> str:
        """What it is called by others: the digest of its manifest."""
        return self.bundle.id

    @property
    def carries(self) -> bool:
        """Whether images or models are in it."""
        return bool(self.bundle.manifest.images or self.bundle.manifest.files)


class _Version(msgspec.Struct):
    format: int


def write_snapshot(
    path: Path,
    snapshot: NodeSnapshot,
    archives: Sequence[ArchiveIndex] = (),
    models: Sequence[LooseFile] = (),
    *,
    sign: Sign | None = None,
    heard: Heard = unheard,
) -> None:
    """Write it; a file that was there is replaced when the new one is whole.

    Raises:
        ProblemError: `bundle.unwritable`, and what reading the layers raises.
    """
    plan = plan_bundle(
        archives,
        models,
        since=None,
        created_at=snapshot.taken_at,
        snapshot=msgspec.json.encode(snapshot),
    )
    # Values of environments may be in it: its owner's from the beginning.
    write_bundle(path, plan, sign=sign, mode=0o600, heard=heard)


def read_snapshot(path: Path) -> SnapshotFile:
    """Read what a snapshot says; its layers are read when they are used.

    Raises:
        ProblemError: `snapshot.unknown`, `snapshot.newer`, `snapshot.damaged`, `bundle.*`,
            `archive.*`.
    """
    try:
        bundle = read_bundle(path)
    except ProblemError as problem:
        if problem.code != "bundle.unknown":
            raise
        raise _unknown(path, "its beginning is another one, or damaged") from None
    if bundle.snapshot is None:
        raise _unknown(path, "it is a bundle without one; roost bundle push takes those")
    try:
        version = from_json(bundle.snapshot, _Version).format
        if version > FORMAT:
            raise ProblemError(
                "snapshot.newer",
                f"{path}: it has format {version}, this Roost knows up to {FORMAT}",
                params={"file": str(path), "format": version},
                hint="Use a roost at least as new as the one that took it.",
            )
        snapshot = from_json(bundle.snapshot, NodeSnapshot)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(
            "snapshot.damaged",
            f"{path}: what it says of the node is not as it should be: {error}",
            params={"file": str(path)},
            hint="Take another copy of the file.",
        ) from None
    return SnapshotFile(path, snapshot, bundle)


def _unknown(path: Path, why: str) -> ProblemError:
    return ProblemError(
        "snapshot.unknown",
        f"{path} is no snapshot: {why}",
        params={"file": str(path)},
        hint="roost snapshot take NODE -o FILE makes one.",
    )
