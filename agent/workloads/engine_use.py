"""The TensorRT engine of a workload: how it gets into the container, and how it is found there.

What is bound is the engine's own folder, which nobody changes: a container that is kept has the
engine that it had, whichever is in use by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from agent.protocol.deployments import PlannedWorkload
from agent.protocol.engines import EngineManifest
from agent.protocol.gpus import Gpu
from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import EngineUse, Mount, Workload
from agent.rules.engine_stale import made_with, other_gpu
from agent.workloads.planning import Planned
from agent.workloads.recipe import Recipe
from agent.workloads.records import Part

# In the container: the engine's folder, read-only, and one that TensorRT-RTX keeps its cache in.
FOLDER, CACHE = "/roost/engine", "/roost/engine-cache"
PLAN_NAME, KEY_NAME, CACHE_NAME = "ROOST_ENGINE", "ROOST_ENGINE_KEY", "ROOST_ENGINE_CACHE"
KEY_DIGITS = 12


class HandedEngine(msgspec.Struct, kw_only=True, frozen=True):
    """An engine as a container gets it; the paths are the node's."""

    model: str
    manifest: EngineManifest
    plan: Path
    cache: Path | None  # None: its TensorRT compiles nothing where it runs
    words: str  # "6b90aa3f5e15 of detector, TensorRT 10.13.2.6"
    notes: Sequence[str] = ()


class Given(msgspec.Struct, kw_only=True, frozen=True):
    """What a workload gets; `notes` are warnings of its plan."""

    engine: HandedEngine | None = None
    notes: Sequence[str] = ()

    def tell(self, planned: PlannedWorkload) -> None:
        if self.engine is not None:
            planned.engine = self.engine.words
        planned.warnings += self.notes


class Engines(Protocol):
    """The engines of the node."""

    async def known(self, key: str) -> HandedEngine | None:
        """One that is there, by its whole key. Raises ProblemError `engine.storage`."""

    async def hand(self, use: EngineUse, gpus: Sequence[Gpu] = ()) -> HandedEngine:
        """The one in use, where it is what is wanted; or one for these GPUs, where that is not.

        Raises:
            ProblemError: `workload.no_engine`, `engine.*`, `runtime.*`.
        """

    async def instead(self, before: HandedEngine, gpus: Sequence[Gpu]) -> HandedEngine | None:
        """One that was built as this one for these GPUs. Raises ProblemError `engine.storage`."""


class EngineGiver:
    """Gives workloads of one node their engines, and says so in the plan."""

    def __init__(self, engines: Engines, gpus: Callable[[], Sequence[Gpu]]) -> None:
        self._engines, self._gpus = engines, gpus

    async def give(self, workload: Workload, image: NodeImage, part: Part) -> Given:
        """The engine that it gets on the GPUs of `part`. `image` is what it will run.

        Raises:
            ProblemError: `workload.no_engine` where it cannot do without; `engine.*`, `runtime.*`.
        """
        use = workload.engine
        if use is None:
            return Given()
        try:
            handed = await self._engines.hand(use, self._gpus_of(part))
        except ProblemError as problem:
            if use.required or problem.code not in ("workload.no_engine", "engine.simulated"):
                raise ProblemError(
                    problem.code,
                    f"{workload.name}: {problem.detail}",
                    params={**problem.params, "workload": workload.name},
                    hint=problem.hint,
                ) from None
            return Given(notes=[f"it is deployed without an engine: {problem.detail}"])
        notes = [*handed.notes]
        if made_with(handed.manifest)[1] not in (None, image.config_digest, image.id):
            notes.append(
                "its engine was built in another image than it will run: they must have the same"
                " TensorRT"
            )
        return Given(engine=handed, notes=notes)

    async def look(self, planned: Planned) -> Planned:
        """The plan of a pin, with an engine for the new GPU, or with what is wrong with its own."""
        shown = {each.name: each for each in planned.answer.workloads}
        for part in planned.parts:
            key = engine_of(part.recipe)
            before = None if key is None else await self._engines.known(key)
            there = self._gpus_of(part)
            other = other_gpu(before.manifest, there) if before is not None and there else None
            if before is None or other is None:
                continue
            if (after := await self._engines.instead(before, there)) is not None:
                part.recipe = exchanged(part.recipe, before, after)
                shown[part.name].engine = after.words
                shown[part.name].changes.append(change(key, after.manifest.key))
            else:
                shown[part.name].warnings.append(f"its engine may not run there: {other.text}")
        return planned

    def fits(self, handed: HandedEngine | None, part: Part) -> bool:
        """Whether it is for the GPUs that were chosen, as far as they are known."""
        there = self._gpus_of(part)
        return handed is None or not there or other_gpu(handed.manifest, there) is None

    def check(
        self,
        part: Part,
        workload: Workload,
        handed: HandedEngine | None,
        planned: PlannedWorkload,
    ) -> None:
        """Whether it runs on the GPUs that were chosen. Raises ProblemError `workload.no_engine`.

        One that is not required is handed over all the same: it is told.
        """
        if workload.engine is None or handed is None:
            return
        there = self._gpus_of(part)
        other = other_gpu(handed.manifest, there) if there else None
        if other is None:
            return
        if other.rebuild and workload.engine.required:
            raise ProblemError(
                "workload.no_engine",
                f"{part.name}: the engine of {handed.model} does not fit its GPU: {other.text}",
                params={"workload": part.name, "model": handed.model, "key": handed.manifest.key},
                hint="Have it on a GPU that the engine is for, or build one for that GPU: roost"
                " engine build RECIPE --to @NODE --gpu UUID",
            )
        planned.warnings.append(f"its engine may not run: {other.text}")

    def _gpus_of(self, part: Part) -> list[Gpu]:
        given = {*part.gpus}
        return [
            gpu
            for gpu in self._gpus()
            if gpu.uuid in given or given & {each.uuid for each in gpu.mig_instances}
        ]


def with_engine(workload: Workload, handed: HandedEngine | None) -> Workload:
    """The workload with the engine bound into it, and environment that says where."""
    if handed is None:
        return workload
    mounts = [
        Mount(
            kind="bind",
            source=str(handed.plan.parent),
            target=FOLDER,
            read_only=True,
            create_host_path=False,
        )
    ]
    environment = {PLAN_NAME: f"{FOLDER}/{handed.plan.name}", KEY_NAME: handed.manifest.key}
    if handed.cache is not None:
        mounts.append(
            Mount(kind="bind", source=str(handed.cache), target=CACHE, create_host_path=False)
        )
        environment[CACHE_NAME] = CACHE
    return msgspec.structs.replace(
        workload,
        mounts=[*workload.mounts, *mounts],
        environment={**environment, **workload.environment},
    )


def exchanged(recipe: Recipe, before: HandedEngine, after: HandedEngine) -> Recipe:
    """The recipe of a container that has one engine, with another one of the same TensorRT."""
    place, key = before.plan.parent.parent, before.manifest.key

    def moved(source: str) -> str:
        path = Path(source)
        if not path.is_relative_to(place) or path == place:
            return source
        name, *rest = path.relative_to(place).parts
        # Where one was built again the container may have the one before, KEY or KEY.2.
        return str(Path(after.plan.parent, *rest)) if name.partition(".")[0] == key else source

    host = dict(recipe.body.get("HostConfig") or {})
    if host.get("Mounts"):
        host["Mounts"] = [
            {**each, "Source": moved(str(each.get("Source") or ""))} if each.get("Source") else each
            for each in host["Mounts"]
        ]
    if host.get("Binds"):
        parts = [str(each).partition(":") for each in host["Binds"]]
        host["Binds"] = [moved(source) + colon + rest for source, colon, rest in parts]
    name = f"{KEY_NAME}="
    environment = [
        name + after.manifest.key if str(each).startswith(name) else each
        for each in recipe.body.get("Env") or []
    ]
    body = {**recipe.body, "HostConfig": host, "Env": environment}
    return msgspec.structs.replace(recipe, body=body)


def change(before: str | None, after: str | None) -> str:
    """Of one key to another, in a plan."""
    return f"engine: {short(before)} becomes {short(after)}"


def engine_of(recipe: Recipe | None) -> str | None:
    """The key of the engine that a container from this recipe has."""
    if recipe is None:
        return None
    for each in recipe.body.get("Env") or []:
        name, _, value = str(each).partition("=")
        if name == KEY_NAME:
            return value
    return None


def short(key: str | None) -> str:
    """As people write it; "none"."""
    return key[:KEY_DIGITS] if key else "none"


def sources_of(body: Mapping[str, Any]) -> list[Path]:
    """The paths of the node that a container's body binds."""
    host = body.get("HostConfig") or {}
    found = [mount.get("Source") for mount in host.get("Mounts") or []]
    found += [str(bind).partition(":")[0] for bind in host.get("Binds") or []]
    found += [mount.get("Source") for mount in body.get("Mounts") or []]  # as inspect tells
    return [Path(str(each)) for each in found if str(each or "").startswith("/")]
