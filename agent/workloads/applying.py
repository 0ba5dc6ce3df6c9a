"""What an apply would do to this node: one part for each workload, in the order of the request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from agent.containers.runtime import NodeRuntime
from agent.host.real_paths import below, real_path
from agent.protocol.containers import Container
from agent.protocol.deployments import ApplyRequest, DeployPlan, PlannedWorkload
from agent.protocol.images import NodeImage
from agent.protocol.plan_request import PlanRequest
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuRequest, Mount, Workload
from agent.rules.placement import SPREAD
from agent.rules.references import familiar
from agent.workloads.compiling import compiled
from agent.workloads.engine_use import EngineGiver, Given, change, engine_of, with_engine
from agent.workloads.fronting import mode_changes, wished_front, without_ports
from agent.workloads.machine import no_network
from agent.workloads.noting import (
    STAYS,
    has_its_gpus,
    makes_the_same,
    noted,
    places_the_same,
    stays,
)
from agent.workloads.planning import Planned, Planner
from agent.workloads.recipe import Recipe
from agent.workloads.records import OldContainer, Part, WorkloadRecord, WorkloadStore
from agent.workloads.under_way import check_free

Awaited = Literal["started", "healthy", "completed"]
_STRENGTH: tuple[Awaited, ...] = ("started", "healthy", "completed")
RUNS = ("running", "restarting")
# What a volume of these has is elsewhere.
_REMOTE = ("nfs", "nfs4", "cifs", "smb3")
_PATH = re.compile(r"(?:^|(?<=[=:,]))/[^,:=]*")


class Rules(msgspec.Struct, kw_only=True, frozen=True):
    """What this node insists on."""

    secrets: Path | None  # the folder with a file for each; None: the node is simulated
    volume_roots: tuple[Path, ...] = ()  # empty: any
    privileged: bool = True
    host: Path = Path("/")  # where the machine's own root is; a container has it elsewhere
    tables: Path | None = None  # compatibility.json: the operator's rows for drivers and GPUs


class Applier:
    """Plans applies for one node."""

    def __init__(
        self,
        *,
        runtime: NodeRuntime,
        store: WorkloadStore,
        planner: Planner,
        rules: Rules,
        engines: EngineGiver,
    ) -> None:
        self._runtime, self._store, self._engines = runtime, store, engines
        self._planner, self._rules = planner, rules

    async def plan(self, request: ApplyRequest) -> Planned:
        """What would become of each workload; what is wrong with any is in the plan.

        Raises:
            ProblemError: `runtime.*`.
        """
        images = await self._runtime.images()
        coming = {
            familiar(name): image
            for image in (request.coming if isinstance(request, PlanRequest) else ())
            for name in (*image.tags, image.config_digest or image.id)
        }

        async def there(name: str) -> NodeImage | None:
            return coming.get(familiar(name)) or await self._there(name, images)

        plan = DeployPlan(release=request.release, workloads=[])
        parts: list[Part] = []
        workloads = [each for one in request.workloads for each in self._spread(one)]
        awaited = _awaited(workloads)
        for workload in workloads:
            planned = PlannedWorkload(name=workload.name, action="create")
            plan.workloads.append(planned)
            try:
                part = await self._part(
                    workload,
                    request.release,
                    there,
                    planned,
                    beside=parts,
                    awaited=awaited.get(workload.name, "started"),
                )
            except ProblemError as problem:
                if problem.code.startswith("runtime."):
                    raise
                planned.problems.append(problem.problem())
                continue
            if part is not None:
                parts.append(part)
        return Planned(answer=plan, parts=parts)

    def _spread(self, workload: Workload) -> list[Workload]:
        """One for each GPU, where it says so."""
        if workload.gpu is None or workload.gpu.select != SPREAD:
            return [workload]
        whole = [slot for slot in self._planner.slots() if not slot.profile and not slot.split]
        if not whole:
            return [workload]  # which has a problem, and tells it
        return [
            msgspec.structs.replace(
                workload,
                name=f"{workload.name}-{slot.index}",
                gpu=_at(workload.gpu, slot.uuid),
            )
            for slot in whole
        ]

    async def _part(
        self,
        workload: Workload,
        release: str,
        there: Callable[[str], Awaitable[NodeImage | None]],
        planned: PlannedWorkload,
        *,
        beside: Sequence[Part],
        awaited: Awaited,
    ) -> Part | None:
        """None: it runs as it shall already."""
        check_free(self._store, [workload.name])
        asked = workload
        image = await self._image(workload, there, planned)
        await self._check(workload)
        await self._check_shared(workload, [part.name for part in beside])
        workload = msgspec.structs.replace(workload, image=planned.image)
        known = self._store.workload(workload.name)

        def equip(part: Part, given: Given) -> None:
            equipped = with_engine(workload, given.engine)
            secrets = self._rules.secrets or Path()
            recipe = compiled(equipped, image, release=release, secrets=secrets)
            before = known.front if known else None
            part.front = wished_front(workload.strategy, recipe, before, workload.ports)
            part.recipe = recipe if part.front is None else without_ports(recipe)

        part = Part(
            name=workload.name,
            recipe=Recipe(image=image.id, body={}),  # until it has its engine
            strategy="stop-then-start",
            gpu=workload.gpu,
            probes=workload.probes,
            soak=workload.soak,
            start_deadline=workload.start_deadline,
            restarts_with=workload.restarts_with,
            awaited=awaited,
            applied=asked,
            old=await self._old(workload, planned),
            kept_before=self._planner.kept(workload.name),
        )
        stays = known is not None and places_the_same(known.gpu, part.gpu)
        if known is not None and stays:
            part.gpus, part.gpu_way = known.gpus, known.gpu_way
        else:
            self._planner.place(part, planned, beside=beside)
        given = await self._engines.give(workload, image, part)
        equip(part, given)
        same = known if known is not None and makes_the_same(known, part) else None
        if stays and same is None:
            self._planner.place(part, planned, beside=beside)
            if not self._engines.fits(given.engine, part):
                given = await self._engines.give(workload, image, part)
                equip(part, given)
        given.tell(planned)
        self._engines.check(part, workload, given.engine, planned)
        if same is not None and has_its_gpus(same, part):
            return self._noted(same, part, planned)
        await self._planner.judge(part, planned)
        self._planner.order(part, planned, workload.strategy)
        await self._planner.check_ports(part)
        planned.changes += _changes(part)
        return part

    async def _image(
        self,
        workload: Workload,
        find: Callable[[str], Awaitable[NodeImage | None]],
        planned: PlannedWorkload,
    ) -> NodeImage:
        """The image that it gets, of those that the node has.

        Raises:
            ProblemError: `image.not_found`, `workload.no_variant`.
        """
        names = [workload.image, *workload.variants]
        there = {name: found for name in names if (found := await find(name))}
        if not there:
            what = f"none of the images {', '.join(names)} is"
            if len(names) == 1:
                what = f"image {workload.image} is not"
            raise ProblemError(
                "image.not_found",
                f"{workload.name}: {what} on this node",
                params={"workload": workload.name, "images": names},
                hint="Send it first: roost image push ARCHIVE --to SELECTOR",
            )
        planned.image = next(iter(there))
        if len(names) > 1:
            choice = await self._planner.best_image({name: each.id for name, each in there.items()})
            planned.image_why = choice.why
            if choice.verdicts and choice.name is None:
                raise ProblemError(
                    "workload.no_variant",
                    f"{workload.name}: {choice.why}",
                    params={"workload": workload.name, "images": list(there)},
                    hint="`roost image check IMAGE --to @NODE -o wide` says what would mend it.",
                )
            planned.image = choice.name or planned.image
        return there[planned.image]

    async def _there(self, name: str, images: Sequence[NodeImage]) -> NodeImage | None:
        for image in images:
            if name == image.config_digest:
                return image
        try:
            return await self._runtime.image(name)
        except ProblemError as problem:
            if not problem.code.startswith("image."):
                raise
            return None

    async def _old(self, workload: Workload, planned: PlannedWorkload) -> OldContainer | None:
        """What runs under that name now. Raises ProblemError `workload.name_taken`."""
        container = await self._named(workload.name)
        if container is None:
            return None
        known = self._store.workload(workload.name)
        if known is None or known.stable != container.id:
            raise ProblemError(
                "workload.name_taken",
                f"a container named {workload.name} is there that Roost did not place"
                f" (image {container.image}, {container.state})",
                params={"workload": workload.name, "container": container.id},
                hint="Rename or remove it on the node, or give the workload another name.",
            )
        planned.action = "replace"
        answer = await self._runtime.inspect(container.id)
        return await self._planner.found(container, answer, planned)

    async def _named(self, name: str) -> Container | None:
        """The container of that name, asked just now."""
        try:
            container = (await self._runtime.details(name)).container
        except ProblemError as problem:
            if not problem.code.startswith("container."):
                raise
            return None
        return container if container.name == name else None

    def _noted(self, known: WorkloadRecord, part: Part, planned: PlannedWorkload) -> Part | None:
        """A part that leaves the container alone; None: there is nothing to write down either."""
        held = self._store.held_to(known)
        planned.changes = [] if held is None else noted(held, part)
        if held is None or not planned.changes:
            planned.action = "keep"
            return None
        planned.action, planned.downtime = "record", "none"
        planned.steps = [STAYS]
        planned.if_it_fails = "what was written down before is there again"
        stays(known, held, part)
        return part

    async def _check(self, workload: Workload) -> None:
        """What the node insists on, and what must be there. Raises ProblemError."""
        if workload.privileged and not self._rules.privileged:
            raise ProblemError(
                "policy.privileged",
                f"{workload.name}: this node's policy forbids privileged workloads",
                params={"workload": workload.name},
                hint="Ask for single capabilities or devices, or change policy.privileged there.",
            )
        for mount in workload.mounts:
            if mount.kind == "bind":
                await self._check_bind(workload.name, mount.source, made=mount.create_host_path)
            elif mount.kind == "volume":
                await self._check_volume(workload.name, mount)
        for use in workload.networks:
            if use.external and not await self._runtime.has_network(use.name):
                raise _missing(workload.name, "network", use.name)
        for secret in workload.secrets:
            if self._rules.secrets is None:
                raise ProblemError(
                    "secret.simulated",
                    f"{workload.name}: the node is simulated, and keeps no secrets",
                    params={"workload": workload.name, "secret": secret.name},
                    hint="Leave the secret out to see the rest.",
                )
            if not await asyncio.to_thread((self._rules.secrets / secret.name).is_file):
                raise ProblemError(
                    "secret.not_found",
                    f"{workload.name}: the node has no secret {secret.name}",
                    params={"workload": workload.name, "secret": secret.name},
                    hint=f"Set it: roost secret set NODE {secret.name}",
                )

    async def _check_shared(self, workload: Workload, beside: Sequence[str]) -> None:
        """Whose network it shares must be there. Raises ProblemError `workload.no_network`."""
        kind, _, name = (workload.network_mode or "").partition(":")
        if kind == "service":
            there = name in beside or self._store.workload(name) is not None
        else:
            there = kind != "container" or await self._named(name) is not None
        if not there:
            raise no_network(workload.name, name)

    async def _check_volume(self, workload: str, mount: Mount) -> None:
        """One that is there stays as it was made, whatever the file says of it."""
        there = await self._runtime.volume_options(mount.source) if mount.source else None
        if mount.external and there is None:
            raise _missing(workload, "volume", mount.source)
        for path in _paths_behind(mount.driver_options if there is None else there):
            await self._check_bind(workload, path, made=True)

    async def _check_bind(self, workload: str, source: str, *, made: bool) -> None:
        roots = self._rules.volume_roots
        host = self._rules.host
        try:
            real = await asyncio.to_thread(real_path, source, host)  # a link must not lead out
        except OSError:
            raise _missing(workload, "folder", source) from None
        if roots and not any(real.is_relative_to(root) for root in roots):
            raise ProblemError(
                "policy.volume_root",
                f"{workload}: {source} is outside the folders that workloads may bind here",
                params={"workload": workload, "path": source},
                hint=f"Allowed are: {', '.join(map(str, roots))}. They are policy.volume_roots.",
            )
        if not made and not await asyncio.to_thread(below(real, host).exists):
            raise _missing(workload, "folder", source)


def _paths_behind(options: Mapping[str, str]) -> list[str]:
    """Folders of the node that a volume brings in by its driver's options, as a bind does."""
    # With `bind`, mount(2) does not look at the type.
    bound = {"bind", "rbind"} & set(options.get("o", "").split(","))
    if options.get("type") in _REMOTE and not bound:
        return []
    return [path for value in options.values() for path in _PATH.findall(value)]


def _at(request: GpuRequest, uuid: str) -> GpuRequest:
    return msgspec.structs.replace(request, select=uuid)


def _awaited(workloads: Sequence[Workload]) -> dict[str, Awaited]:
    """What others wait for, the strictest of them."""
    found: dict[str, Awaited] = {}
    for workload in workloads:
        for name, condition in workload.depends_on.items():
            before = found.get(name, "started")
            found[name] = max(before, condition, key=_STRENGTH.index)
    return found


def _changes(part: Part) -> list[str]:
    """What differs, by the field that Docker has it in; values of the environment stay away."""
    if part.old is None:
        return []
    found = []
    engines = [engine_of(each) for each in (part.old.recipe, part.recipe)]
    if engines[0] != engines[1]:
        found.append(change(*engines))
    if part.old.recipe.image != part.recipe.image:
        found.append(f"image: {part.old.recipe.reference} becomes {part.recipe.reference}")
    found += mode_changes(part.old.front, part.front)
    if list(part.old.gpus) != list(part.gpus):
        old = ", ".join(part.old.gpus) or "none"
        found.append(f"GPUs: {old} becomes {', '.join(part.gpus) or 'none'}")
    return found


def _missing(workload: str, what: str, name: str) -> ProblemError:
    return ProblemError(
        f"workload.no_{what}",
        f"{workload}: the {what} {name} is not on this node",
        params={"workload": workload, what: name},
        hint=f"Make it there, or have Roost make it: leave `external` out of the {what}."
        if what != "folder"
        else "Make it there, or let it be made: bind.create_host_path: true",
    )
