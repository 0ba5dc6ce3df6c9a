"""Snapshots as the screens have them: the files of a folder, and what is done with one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from agent.protocol.problems import Problem, ProblemError
from console.snapshots.folder import SUFFIX

# The snapshot side is imported with the first look.
if TYPE_CHECKING:
    from agent.protocol.jobs import Job
    from agent.protocol.snapshots import NodeSnapshot
    from console.link.client import NodeClient
    from console.snapshots.comparing import Difference
    from console.snapshots.restoring import Restore, Restored
    from console.snapshots.taking import Wanted


class Listed(msgspec.Struct, kw_only=True, frozen=True):
    """A file in the folder; `problem`: it cannot be read."""

    path: Path
    size_bytes: int
    modified_at: float
    snapshot: NodeSnapshot | None = None
    images: int = 0  # that it carries
    problem: Problem | None = None


class SnapshotDesk(Protocol):
    """What is done with snapshots. All methods but `folder` raise ProblemError."""

    @property
    def folder(self) -> Path: ...

    async def listed(self) -> Sequence[Listed]:
        """The files of the folder, the newest first."""

    async def take(self, node: str, file: Path, wanted: Wanted) -> None: ...

    async def changes(self, file: Path, node: str) -> Difference:
        """What changed on the node since."""

    async def prepare(self, file: Path, node: str) -> Restore:
        """What a restore would do. Nothing changes."""

    async def restore(
        self, node: str, restore: Restore, seen: Callable[[Job], None]
    ) -> Restored: ...


class NoSnapshots:
    """A console without a folder for them."""

    folder = Path()

    async def listed(self) -> Sequence[Listed]:
        return []

    async def take(self, node: str, file: Path, wanted: Wanted) -> None:
        raise _none()

    async def changes(self, file: Path, node: str) -> Difference:
        raise _none()

    async def prepare(self, file: Path, node: str) -> Restore:
        raise _none()

    async def restore(self, node: str, restore: Restore, seen: Callable[[Job], None]) -> Restored:
        raise _none()


class LinkSnapshots:
    """The real ones: files of a folder here, nodes over their links."""

    def __init__(self, folder: Path, client: Callable[[str], NodeClient]) -> None:
        self._folder, self._client = folder, client

    @property
    def folder(self) -> Path:
        return self._folder

    async def listed(self) -> Sequence[Listed]:
        return await asyncio.to_thread(_listed, self._folder)

    async def take(self, node: str, file: Path, wanted: Wanted) -> None:
        from console.snapshots.taking import take

        await asyncio.to_thread(_make_folder, file.parent)
        await take(self._client(node), file, wanted)

    async def changes(self, file: Path, node: str) -> Difference:
        from console.snapshots.comparing import difference, tells_values
        from console.snapshots.snapshot_file import read_snapshot

        before = (await asyncio.to_thread(read_snapshot, file)).snapshot
        now = await self._client(node).snapshots.take(environment=tells_values(before))
        return await asyncio.to_thread(difference, before, now)

    async def prepare(self, file: Path, node: str) -> Restore:
        from console.snapshots.restoring import prepare
        from console.snapshots.snapshot_file import read_snapshot

        found = await asyncio.to_thread(read_snapshot, file)
        return await prepare(self._client(node), found)

    async def restore(self, node: str, restore: Restore, seen: Callable[[Job], None]) -> Restored:
        from console.fleet.back_off import jitter
        from console.snapshots.restoring import run

        return await run(
            self._client(node), restore, folder=self._folder, random=jitter(), seen=seen
        )


def _listed(folder: Path) -> list[Listed]:
    from console.snapshots.snapshot_file import read_snapshot

    found = []
    try:
        files = [path for path in folder.iterdir() if path.name.endswith(SUFFIX)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(folder, error) from None
    for path in files:
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue
        snapshot, images, problem = None, 0, None
        try:
            read = read_snapshot(path)
            snapshot, images = read.snapshot, len(read.bundle.manifest.images)
        except ProblemError as error:
            problem = error.problem()
        found.append(
            Listed(
                path=path,
                size_bytes=facts.st_size,
                modified_at=facts.st_mtime,
                snapshot=snapshot,
                images=images,
                problem=problem,
            )
        )
    return sorted(found, key=lambda each: each.modified_at, reverse=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unreadable(folder, error) from None


def _unreadable(folder: Path, error: OSError) -> ProblemError:
    return ProblemError(
        "archive.unreadable",
        f"{folder}: {error.strerror}",
        params={"file": str(folder)},
        hint="Check the folder and its permissions.",
    )


def _none() -> ProblemError:
    return ProblemError(
        "console.usage",
        "this console keeps no snapshots",
        hint="Open it with `roost tui`.",
    )
