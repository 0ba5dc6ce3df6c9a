"""Engines as workloads get them, and which of them workloads have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from agent.containers.runtime import NodeRuntime
from agent.engines.executors import Executors
from agent.engines.onnx_file import Digests
from agent.engines.staleness import Staleness
from agent.engines.store import RUNTIME, EngineStore
from agent.protocol.engines import Engine, EngineRecipe
from agent.protocol.gpus import Gpu
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import EngineUse
from agent.rules.engine_stale import other_gpu, why_not_usable
from agent.rules.engine_use import ModelNow, built_alike, notes_on, why_another
from agent.workloads.engine_use import HandedEngine, short, sources_of

# By path on the node, who has it bound.
Bound = Callable[[], Awaitable[Mapping[Path, Sequence[str]]]]
_BUILD = "Build it: roost engine build FILE --to @NODE; or take one in: roost engine import"


async def nothing_bound() -> Mapping[Path, Sequence[str]]:
    """Of a node without workloads."""
    return {}


class Handing:
    """One node's. `bound` tells what workloads have, also those that are only being planned."""

    def __init__(
        self,
        *,
        store: EngineStore,
        staleness: Staleness,
        digests: Digests,
        executors: Executors,
        runtime: NodeRuntime | None,
        bound: Bound,
    ) -> None:
        self._store, self._staleness = store, staleness
        self._digests, self._executors = digests, executors
        self._runtime, self._bound = runtime, bound

    async def hand(self, use: EngineUse, gpus: Sequence[Gpu] = ()) -> HandedEngine:
        """The engine in use, where it is what is wanted; on a node with several kinds of GPU the
        newest that may be used where the one in use is not for `gpus`.

        Raises:
            ProblemError: `workload.no_engine`; `engine.storage`, `runtime.*`.
        """
        found = await asyncio.to_thread(self._store.list, use.model)
        there = await self._staleness.told(found)
        engine = next((each for each in there if each.current), None)
        if engine is None:
            raise _none(use.model, _why_none(use.model, there))
        now = await self._now(use.recipe)
        if gpus and other_gpu(engine.manifest, gpus):
            others = [each for each in there if why_another(each, use.recipe, now) is None]
            if (other := await self._first_for(gpus, others)) is not None:
                return await self._instead(engine, other, use.recipe)
        if why := await asyncio.to_thread(self._store.damage, engine):
            key = engine.manifest.key
            raise _none(use.model, f"engine {short(key)} of {use.model} is in use: {why}", key)
        if why := why_another(engine, use.recipe, now):
            key = engine.manifest.key
            raise _none(use.model, f"engine {short(key)} of {use.model} is in use: {why}", key)
        return await asyncio.to_thread(_handed, engine, notes_on(engine, use.recipe))

    async def known(self, key: str) -> HandedEngine | None:
        """An engine by its whole key; None: it is not here. Raises ProblemError `engine.storage`"""
        there = await asyncio.to_thread(self._store.list)
        engine = next((each for each in there if each.manifest.key == key), None)
        return None if engine is None else await asyncio.to_thread(_handed, engine, ())

    async def instead(self, before: HandedEngine, gpus: Sequence[Gpu]) -> HandedEngine | None:
        """The newest that was built as this one, and is for `gpus`; None: there is none.

        Raises:
            ProblemError: `engine.storage`.
        """
        found = await asyncio.to_thread(self._store.list, before.model)
        alike = [each for each in found if built_alike(each.manifest.parts, before.manifest.parts)]
        other = await self._first_for(gpus, await self._staleness.told(alike))
        return None if other is None else await asyncio.to_thread(_handed, other, ())

    async def users(self) -> dict[Path, list[str]] | None:
        """Which workloads have which folders of engines; None: that cannot be told now."""
        try:
            bound = await self._bound()
        except ProblemError:
            return None
        return self._by_folder(bound)

    async def folders(self) -> dict[Path, list[str]]:
        """Folders of engines that are bound into workloads or any other container, and into which.

        Raises:
            ProblemError: `runtime.*`, `store.*`: it cannot be told.
        """
        bound: dict[Path, set[str]] = {}
        for source, names in (await self._bound()).items():
            bound.setdefault(source, set()).update(names)
        if self._runtime is not None:
            for container in list(self._runtime.containers().values()):
                try:
                    answer = await self._runtime.inspect(container.id)
                except ProblemError as problem:
                    if problem.code == "container.not_found":
                        continue  # it ended just now
                    raise
                for source in sources_of(answer):
                    bound.setdefault(source, set()).add(container.name)
        return self._by_folder(bound)

    async def _first_for(self, gpus: Sequence[Gpu], engines: Sequence[Engine]) -> Engine | None:
        """The first that may be used on these GPUs."""
        for each in engines:
            usable = why_not_usable(each) is None and other_gpu(each.manifest, gpus) is None
            if usable and await asyncio.to_thread(self._store.damage, each) is None:
                return each
        return None

    async def _instead(
        self, used: Engine, other: Engine, recipe: EngineRecipe | None
    ) -> HandedEngine:
        handed = await asyncio.to_thread(_handed, other, notes_on(other, recipe))
        words = f"{handed.words} ({short(used.manifest.key)}, which is in use, is not for its GPU)"
        return msgspec.structs.replace(handed, words=words)

    async def _image(self, name: str) -> str:
        """Its config digest; "" where it is not here. Raises ProblemError `runtime.*`."""
        try:
            image = await self._executors.image(name)
        except ProblemError as problem:
            if not problem.code.startswith("image."):
                raise
            return ""
        return image.config_digest or image.id

    def _by_folder(self, bound: Mapping[Path, Iterable[str]]) -> dict[Path, list[str]]:
        found: dict[Path, set[str]] = {}
        for source, users in bound.items():
            if (folder := self._store.folder_of(source)) is not None:
                found.setdefault(folder, set()).update(users)
        return {folder: sorted(users) for folder, users in found.items()}

    async def _now(self, recipe: EngineRecipe | None) -> ModelNow:
        if recipe is None:
            return ModelNow()
        image = None if recipe.image is None else await self._image(recipe.image)
        try:
            model = await asyncio.to_thread(self._digests.of, Path(recipe.onnx))
        except ProblemError:
            return ModelNow(image=image)
        return ModelNow(onnx_sha256=model.model, external_sha256=model.external, image=image)


def _handed(engine: Engine, notes: Sequence[str]) -> HandedEngine:
    """Blocks."""
    plan, parts = Path(engine.path).absolute(), engine.manifest.parts
    flavour = "TensorRT-RTX" if parts.flavour == "tensorrt_rtx" else "TensorRT"
    cache = plan.with_name(RUNTIME)
    return HandedEngine(
        model=engine.model,
        manifest=engine.manifest,
        plan=plan,
        cache=cache if cache.is_dir() else None,
        words=f"{short(engine.manifest.key)} of {engine.model}, {flavour} {parts.tensorrt}",
        notes=notes,
    )


def _why_none(model: str, there: Sequence[Engine]) -> str:
    if not there:
        return f"this node has no engine of {model}"
    newest = there[0]
    why = why_not_usable(newest) or "nobody said to use it"
    return f"no engine of {model} is in use; the newest, {short(newest.manifest.key)}: {why}"


def _none(model: str, text: str, key: str | None = None) -> ProblemError:
    return ProblemError(
        "workload.no_engine",
        text,
        params={"model": model, **({"key": key} if key else {})},
        hint=f"{_BUILD}. A service that can do without says x-roost.engine.required: false.",
    )
