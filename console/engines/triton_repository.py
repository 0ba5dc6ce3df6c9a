"""Triton model repositories on this machine, out of engines that nodes have."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path

import msgspec

from agent import durable
from agent.protocol.engines import Engine
from agent.protocol.problems import ProblemError
from console.engines.triton_config import TritonConfig
from console.engines.words import built_for, short_key, tensorrt
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.received import beside, written
from console.text import size

CONFIG, VERSION, PLAN = "config.pbtxt", "1", "model.plan"


class Alike(msgspec.Struct, kw_only=True):
    """Nodes that have one and the same engine, by its key; each has a plan of its own of it."""

    nodes: list[tuple[NodeEntry, Engine]]

    @property
    def engine(self) -> Engine:
        """The first node's, which is the one that is exported."""
        return self.nodes[0][1]

    @property
    def names(self) -> str:
        return ", ".join(entry.name for entry, _ in self.nodes)

    @property
    def folder(self) -> str:
        """How its repository is called where there are several: "nvidia-a10-f9805e75d8dc"."""
        gpu = re.sub(r"[^a-z0-9]+", "-", built_for(self.engine).lower()).strip("-")
        return f"{gpu}-{short_key(self.engine.manifest.key)}"


def by_key(found: Sequence[tuple[NodeEntry, Engine]]) -> list[Alike]:
    """In the nodes' order."""
    groups: dict[str, Alike] = {}
    for entry, engine in found:
        groups.setdefault(engine.manifest.key, Alike(nodes=[])).nodes.append((entry, engine))
    return [*groups.values()]


def several(groups: Sequence[Alike], model: str) -> ProblemError:
    """That these nodes have different engines: which, and what is different in them."""
    parts = [group.engine.manifest.parts for group in groups]
    names = [
        name
        for name in parts[0].__struct_fields__
        if len({repr(getattr(p, name)) for p in parts}) > 1
    ]
    told = "; ".join(
        f"{group.names}: {short_key(group.engine.manifest.key)}, {built_for(group.engine)},"
        f" {tensorrt(group.engine)}"
        for group in groups
    )
    return ProblemError(
        "engine.several",
        f"the nodes have {len(groups)} engines of {model}, with another {', '.join(names)}: {told}",
        params={"model": model, "nodes": [group.names for group in groups]},
        hint="A Triton repository is for one kind of GPU: name nodes that are alike, or have one"
        " repository for each with --each.",
    )


def check_place(folder: Path, model: str, plan_bytes: int, *, force: bool) -> None:
    """Blocks. Makes `folder` where it is not there.

    Raises:
        ProblemError: `console.usage`: a folder of the model's name is there and may not go, or it
            is no model's; `engine.storage`: there is no room.
    """
    place = folder / model
    with _told(place):
        folder.mkdir(parents=True, exist_ok=True)
        if place.exists() or place.is_symlink():
            ours = (place / CONFIG).is_file() and not place.is_symlink()
            if not (force and ours):
                raise ProblemError(
                    "console.usage",
                    f"{place} is there already"
                    + ("" if ours else f", and is no folder with {CONFIG}"),
                    params={"file": str(place)},
                    hint="Name another folder" + (", or replace it: --force" if ours else ""),
                )
        free = shutil.disk_usage(folder).free
    if free < plan_bytes:
        raise ProblemError(
            "engine.storage",
            f"{folder}: the plan has {size(plan_bytes)}, {size(free)} are free",
            params={"file": str(folder)},
            hint="Make room there, or name a folder on another disk.",
        )


async def write_model(
    client: NodeClient,
    engine: Engine,
    config: TritonConfig,
    folder: Path,
    *,
    heard: Callable[[int], None],
) -> Path:
    """Fetch the plan of an engine, and have `folder/MODEL` be whole, in place of what was there.

    Args:
        heard: is told how many bytes have come.

    Returns:
        The model's folder, which is on disk.

    Raises:
        ProblemError: the node's own, `link.*`; `engine.plan`: what came is not the plan;
            `engine.storage`.
    """
    manifest, place = engine.manifest, folder / engine.model
    with _told(place):
        async with beside(place) as making:
            new = making / engine.model
            plan = new / VERSION / PLAN
            await asyncio.to_thread(plan.parent.mkdir, parents=True)

            def came(count: int) -> None:
                if count > manifest.plan_bytes:
                    raise _another(engine, f"more than its {manifest.plan_bytes} bytes came")
                heard(count)

            async with aclosing(client.engines.plan(engine.model, manifest.key)) as pieces:
                digest = await written(pieces, plan, durable=True, heard=came)
            if digest != manifest.plan_sha256:
                raise _another(
                    engine,
                    f"its sha256 begins {short_key(digest)}, not {short_key(manifest.plan_sha256)}",
                )
            await asyncio.to_thread(_put, new, place, making, config)
    return place


def _put(new: Path, place: Path, making: Path, config: TritonConfig) -> None:
    """The plan is on disk: have the rest be there, too, and the model under its name."""
    durable.write_whole(new / CONFIG, config.text.encode(), mode=0o644)
    for folder in (new / VERSION, new):
        folder.chmod(0o755)
        durable.sync_folder(folder)
    (new / VERSION / PLAN).chmod(0o644)
    durable.take_place(new, place, before=making / "before")


def _another(engine: Engine, why: str) -> ProblemError:
    key = engine.manifest.key
    return ProblemError(
        "engine.plan",
        f"what came of engine {short_key(key)} of {engine.model} is not its plan: {why}",
        params={"model": engine.model, "key": key},
        hint="Was it built anew meanwhile? Export it again.",
    )


@contextmanager
def _told(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or os.strerror(error.errno or errno.EIO)
        raise ProblemError(
            "engine.storage",
            f"{error.filename or place}: {why}",
            params={"file": str(place)},
            hint="Name a folder that can be written to, on a disk with room.",
        ) from None
