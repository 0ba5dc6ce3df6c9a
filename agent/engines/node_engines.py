"""The engines of one node: what there is, what may be done with them, and the jobs that do it."""

from __future__ import annotations

import asyncio
import builtins
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from agent.containers.runtime import NodeRuntime
from agent.engines.allowed_paths import check_allowed, inputs_of, named_by, placed_below
from agent.engines.bench_job import BENCH, BenchKind
from agent.engines.bench_store import BenchStore
from agent.engines.build_job import BUILD, BuildKind
from agent.engines.build_log import tail_of
from agent.engines.caches import Caches
from agent.engines.checking import Checking
from agent.engines.container_executor import ContainerExecutor
from agent.engines.executors import Executors
from agent.engines.gpu_room import WAIT_SECONDS
from agent.engines.handing import Bound, Handing, nothing_bound
from agent.engines.hearing import Silences
from agent.engines.host_executor import WORKER, HostExecutor
from agent.engines.import_job import IMPORT, ImportKind
from agent.engines.look_job import LOOK, LookKind
from agent.engines.onnx_file import Digests
from agent.engines.orphans import end_orphans
from agent.engines.sharing import Sharing, plan_named
from agent.engines.staleness import Staleness
from agent.engines.store import LOG, EngineStore, not_usable
from agent.engines.verify_job import VERIFY, VerifyKind, request_of
from agent.engines.workshop import Workshop
from agent.host.real_paths import ROOT, here
from agent.images.blobs import StoredBlob
from agent.jobs.jobs import Jobs
from agent.protocol.engine_figures import EngineBench
from agent.protocol.engines import (
    BenchRequest,
    BuildRequest,
    Engine,
    EngineLog,
    EngineRecipe,
    EngineRemoveRequest,
    PlanImportRequest,
    UseRequest,
    VerifyRequest,
)
from agent.protocol.gpus import Gpu, GpuSample
from agent.protocol.jobs import Job
from agent.protocol.node import NodeFacts
from agent.protocol.node_files import FOLDERS
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import EngineUse
from agent.rules.engine_keys import impossible, misplaced
from agent.rules.engine_stale import why_not_usable
from agent.rules.engine_use import in_use
from agent.site.addresses import check_addresses
from agent.site.fetching import Fetcher
from agent.workloads.engine_use import HandedEngine

SWEEP_AGAIN_SECONDS = 10.0

log = logging.getLogger(__name__)


class EnginePlace(msgspec.Struct, kw_only=True, frozen=True):
    """Where engines lie, and what builds them."""

    folder: Path
    pythons: Sequence[Path]  # the first that has TensorRT
    keep: int = 3  # of each model, the one in use among them
    # What recipes may name lies below these, or among the models; empty: anywhere.
    roots: Sequence[Path] = ()
    silences: Silences = Silences()
    wait_seconds: float = WAIT_SECONDS  # for room on a GPU
    only_signed: bool = False  # nothing is taken here that nobody vouches for
    root: Path = ROOT  # the machine's


class NodeEngines:
    """What the handlers of one node need for engines. Methods raise ProblemError:

    `engine.simulated` where there are none, `engine.storage`, and what they say.
    """

    def __init__(
        self,
        *,
        place: EnginePlace | None,
        jobs: Jobs,
        facts: Callable[[], NodeFacts],
        samples: Callable[[], Sequence[GpuSample]] = lambda: (),
        runtime: NodeRuntime | None = None,
        bound: Bound = nothing_bound,
        fetcher: Fetcher | None = None,
    ) -> None:
        """Registers its jobs. `place` None: the node is simulated, and has no engines.

        Args:
            bound: what of the node is bound into workloads: no engine of theirs is removed.
            fetcher: brings plans of other nodes.
        """
        self._jobs = jobs
        self._known: _Known | None = None
        self._sweeping: asyncio.Task[None] | None = None
        if place is None:
            return
        digests = Digests(place.root)
        models = place.folder.parent / FOLDERS["model"]
        container = (
            None
            if runtime is None
            else ContainerExecutor(runtime, facts, place.folder, root=place.root)
        )
        executors = Executors(HostExecutor(place.pythons, root=place.root), container)
        store = EngineStore(place.folder)
        staleness = Staleness(executors, digests, facts, root=place.root)
        handing = Handing(
            store=store,
            staleness=staleness,
            digests=digests,
            executors=executors,
            runtime=runtime,
            bound=bound,
        )
        shop = Workshop(
            store=store,
            executors=executors,
            digests=digests,
            caches=Caches(place.folder),
            facts=facts,
            samples=samples,
            keep=place.keep,
            silences=place.silences,
            handed=handing.folders,
            wait_seconds=place.wait_seconds,
            root=place.root,
        )
        self._known = _Known(
            shop=shop,
            benches=BenchStore(place.folder),
            staleness=staleness,
            handing=handing,
            roots=[*place.roots, models] if place.roots else (),
            models=models,
            folder=place.folder,
        )
        checking = Checking(shop)
        sharing = Sharing(shop, fetcher, only_signed=place.only_signed)
        jobs.register(BuildKind(shop, checking, sharing))
        jobs.register(LookKind(shop, sharing))
        jobs.register(VerifyKind(shop, checking))
        jobs.register(ImportKind(shop))
        jobs.register(BenchKind(shop, self._known.benches))

    async def start(self) -> None:
        """Bring the store in order; one that cannot be used is told, and stops nothing else."""
        if self._known is None:
            return
        shop = self._known.shop
        try:
            await asyncio.to_thread(end_orphans, self._known.folder, worker=WORKER.name)
            await asyncio.to_thread(shop.store.tidy)
            await asyncio.to_thread(shop.caches.prune)
        except (ProblemError, OSError) as error:
            log.warning("engines: %s", error)
        self._sweeping = asyncio.create_task(self._sweep(shop), name="engines' containers")

    async def stop(self) -> None:
        """End what `start` began."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    async def list(self, model: str | None = None) -> builtins.list[Engine]:
        """Engines by model, newest first, each with what has changed since it was built."""
        if self._known is None:
            return []
        found = await asyncio.to_thread(self._known.shop.store.list, model)
        users = await self._known.handing.users()
        for engine in found:
            engine.used_by = self._known.shop.store.users_of(engine, users)
        return await self._known.staleness.told(found)

    async def in_use(self) -> builtins.list[Engine]:
        """What the doctor looks at."""
        return in_use(await self.list())

    async def show(self, model: str) -> builtins.list[Engine]:
        """The engines of one model, newest first. Raises `engine.not_found`."""
        found = await self.list(model)
        if not found:
            raise _no_engine(model)
        return found

    async def log(self, model: str, key: str, *, limit_bytes: int) -> EngineLog:
        """The end of what its builder printed. Raises `engine.not_found`, `engine.ambiguous`."""
        engine = await asyncio.to_thread(self._here().shop.store.get, model, key)
        file = Path(engine.path).with_name(LOG)
        try:
            text, size, cut = await asyncio.to_thread(tail_of, file, limit_bytes)
        except OSError:
            text, size, cut = "", 0, 0  # it was imported, or nothing was printed
        return EngineLog(
            model=model, key=engine.manifest.key, text=text, size_bytes=size, cut_bytes=cut
        )

    async def open_plan(self, model: str, key: str) -> BinaryIO:
        """Its plan, which is what was kept; who asks closes it.

        Raises `engine.not_found`, `engine.ambiguous`, `engine.plan`.
        """
        store = self._here().shop.store
        engine = await asyncio.to_thread(store.get, model, key)
        try:
            why = await asyncio.to_thread(store.damage, engine)
            if why is None:
                return await asyncio.to_thread(Path(engine.path).open, "rb")
        except OSError as error:  # it was removed meanwhile
            why = f"its plan cannot be read: {error.strerror}"
        raise ProblemError(
            "engine.plan",
            why,
            params={"model": model, "key": engine.manifest.key},
            hint="Build it anew, or import it again.",
        )

    async def use(self, model: str, request: UseRequest) -> Engine:
        """Have `current` point at it. Raises `engine.not_found`, `engine.not_verified`."""
        store = self._here().shop.store
        found = await asyncio.to_thread(store.get, model, request.key)
        (engine,) = await self._here().staleness.told([found])
        why = why_not_usable(engine) or await asyncio.to_thread(store.damage, engine, read=True)
        if why is not None:
            raise not_usable(engine, why)
        used = await asyncio.to_thread(store.use, model, engine.manifest.key)
        return msgspec.structs.replace(
            used, stale=engine.stale, stale_unknown=engine.stale_unknown, gpu_gone=engine.gpu_gone
        )

    async def remove(self, model: str, request: EngineRemoveRequest) -> builtins.list[Engine]:
        """Remove it; what is left of the model.

        Raises `engine.not_found`, `engine.current`, `engine.handed`.
        """
        known = self._here()
        store = known.shop.store
        engine = await asyncio.to_thread(store.get, model, request.key)
        handed = await known.handing.folders()
        await asyncio.to_thread(
            store.remove, model, engine.manifest.key, force=request.force, handed=handed
        )
        return await self.list(model)

    async def known(self, key: str) -> HandedEngine | None:
        """An engine by its whole key; None: it is not here."""
        return None if self._known is None else await self._known.handing.known(key)

    async def hand(self, use: EngineUse, gpus: Sequence[Gpu] = ()) -> HandedEngine:
        """The engine that a workload on these GPUs gets; none: they are not known yet.

        Raises `workload.no_engine`, `runtime.*`.
        """
        if use.recipe is not None:
            use = msgspec.structs.replace(use, recipe=self._placed(use.recipe))
        return await self._here().handing.hand(use, gpus)

    async def instead(self, before: HandedEngine, gpus: Sequence[Gpu]) -> HandedEngine | None:
        """One that was built as this one for these GPUs; None: there is none."""
        return await self._here().handing.instead(before, gpus)

    async def build(self, request: BuildRequest, *, owner: str, key: str | None) -> Job:
        """The job that has the engine.

        Raises `engine.recipe`, `engine.onnx`, `engine.no_gpu`, `policy.volume_root`, `image.*`,
        `runtime.*` and those of `Jobs.submit`.
        """
        request = msgspec.structs.replace(request, recipe=self._placed(request.recipe))
        await self._check(request.recipe, request.gpu)
        if request.shared is not None:
            check_addresses(request.shared.grant)
        return await self._jobs.submit(BUILD, request, owner=owner, key=key)

    async def look(self, request: BuildRequest, *, owner: str, key: str | None) -> Job:
        """The job that says which engine that would be. Raises as `build`."""
        request = msgspec.structs.replace(request, recipe=self._placed(request.recipe))
        await self._check(request.recipe, request.gpu)
        return await self._jobs.submit(LOOK, request, owner=owner, key=key)

    def plan_named(self, digest: str) -> StoredBlob | None:
        """A plan of this node by its digest. Blocks. Raises ProblemError `engine.storage`."""
        return None if self._known is None else plan_named(self._known.shop.store, digest)

    async def bench(self, request: BenchRequest, *, owner: str, key: str | None) -> Job:
        """The job that fills the table. Raises as `build`."""
        request = msgspec.structs.replace(request, recipe=self._placed(request.recipe))
        await self._check(request.recipe, request.gpu)
        return await self._jobs.submit(BENCH, request, owner=owner, key=key)

    async def verify(
        self, model: str, request: VerifyRequest, *, owner: str, key: str | None
    ) -> Job:
        """The job that tries an engine again.

        Raises `engine.not_found`, `engine.no_gpu`, `policy.volume_root` and those of `Jobs.submit`.
        """
        known = self._here()
        if request.key is not None:
            engine = await asyncio.to_thread(known.shop.store.get, model, request.key)
        else:
            there = await asyncio.to_thread(known.shop.store.list, model)
            if not there:
                raise _no_engine(model)
            engine = next((each for each in there if each.current), there[0])
        wanted = request_of(engine, request)
        known.shop.gpu(request.gpu)
        if wanted.gpu not in {gpu.uuid for gpu in known.shop.facts().gpus}:
            wanted.gpu = None  # it was built on one that is gone
        await asyncio.to_thread(self._check_allowed, [*inputs_of(request.validation)])
        return await self._jobs.submit(VERIFY, wanted, owner=owner, key=key)

    async def take_in(self, request: PlanImportRequest, *, owner: str, key: str | None) -> Job:
        """The job that imports a plan. Raises as `build`, and `engine.plan`: it is no file."""
        known = self._here()
        if wrong := misplaced(request.executor, request.image):
            raise ProblemError("engine.recipe", wrong, hint="Mend the request.")
        known.shop.gpu(request.gpu)
        named = [request.plan, *inputs_of(request.validation)]
        await asyncio.to_thread(self._check_allowed, named)
        if not await asyncio.to_thread(here(request.plan, known.shop.root).is_file):
            raise ProblemError(
                "engine.plan",
                f"{request.plan} is no file on the node",
                params={"file": request.plan},
                hint="Bring the plan there first; name it by its whole path on the node.",
            )
        if request.image is not None:
            await known.shop.executors.image(request.image)
        return await self._jobs.submit(IMPORT, request, owner=owner, key=key)

    async def benches(self) -> builtins.list[EngineBench]:
        """The tables of benches, newest first."""
        if self._known is None:
            return []
        return await asyncio.to_thread(self._known.benches.newest)

    async def show_bench(self, job: str) -> EngineBench:
        """The table of a bench, as far as it is. Raises `engine.no_bench`."""
        found = await asyncio.to_thread(self._here().benches.find, job)
        if found is None:
            raise ProblemError(
                "engine.no_bench",
                f"job {job} has measured nothing that is kept",
                params={"job": job},
                hint="Is it a bench, and has its first row ended? roost job show tells.",
            )
        return found

    def _placed(self, recipe: EngineRecipe) -> EngineRecipe:
        return placed_below(recipe, self._here().models)

    async def _check(self, recipe: EngineRecipe, gpu: str | None) -> None:
        known = self._here()
        if wrong := impossible(recipe):
            raise ProblemError("engine.recipe", wrong, hint="Mend the recipe.")
        known.shop.gpu(gpu)
        await asyncio.to_thread(self._check_allowed, named_by(recipe))
        for name, what in ((recipe.onnx, "onnx"), (recipe.calibration_cache, "calibration_cache")):
            if name is not None and not await asyncio.to_thread(
                here(name, known.shop.root).is_file
            ):
                raise ProblemError(
                    "engine.onnx",
                    f"{name} is no file on the node",
                    params={what: name},
                    hint="Bring it there: roost bundle push brings what a release names without a"
                    " slash at its begin. Else the recipe has its whole path on the node.",
                )
        if recipe.image is not None:
            await known.shop.executors.image(recipe.image)

    def _check_allowed(self, named: builtins.list[str]) -> None:
        known = self._here()
        check_allowed(named, known.roots, known.shop.root)

    def _here(self) -> _Known:
        if self._known is None:
            raise ProblemError(
                "engine.simulated",
                "this node is simulated, nothing is built on it",
                hint="Use a real node.",
            )
        return self._known

    async def _sweep(self, shop: Workshop) -> None:
        """Until the runtime answers: a build that was cut off must not hold the GPU."""
        while True:
            try:
                await shop.executors.sweep()
            except ProblemError as problem:
                log.info("containers of builds that were cut off: %s", problem.detail)
                await asyncio.sleep(SWEEP_AGAIN_SECONDS)
            else:
                return


class _Known(msgspec.Struct, kw_only=True, frozen=True):
    shop: Workshop
    benches: BenchStore
    staleness: Staleness
    handing: Handing
    roots: Sequence[Path]
    models: Path
    folder: Path


def _no_engine(model: str) -> ProblemError:
    return ProblemError(
        "engine.not_found",
        f"there is no engine of {model} here",
        params={"model": model},
        hint="roost engine ls lists them.",
    )
