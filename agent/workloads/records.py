"""What is kept of workloads and deployments, and where: written before each transition."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Iterable
from typing import Literal, TypeVar

import msgspec

from agent.jobs.finishing import finish
from agent.protocol.decoding import from_json
from agent.protocol.deployments import (
    AT_REST,
    Deployment,
    DeploymentState,
    GpuWay,
    StateChange,
)
from agent.protocol.measures import Replay
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuRequest, Probe, Strategy, Workload
from agent.store.database import Database
from agent.traffic.state import Bind, Front
from agent.workloads.fronting import published_itself
from agent.workloads.recipe import Recipe

_R = TypeVar("_R", bound=msgspec.Struct)

# Of those at rest; a rollout asks for its last one, people for the last few.
KEPT_DEPLOYMENTS = 200
HISTORY_LIMIT = 200


class OldContainer(msgspec.Struct, kw_only=True):
    """What ran before, as it was found: what reverting restores, good or bad."""

    id: str
    running: bool
    healthy: str  # "none", "starting", "healthy", "unhealthy"
    restarts_with: list[str] = []
    recipe: Recipe  # should it be gone; `recipe.restart` is the policy it had
    managed: bool = False  # a workload already, not a container that Roost only found
    release: str = ""
    gpu: GpuRequest | None = None
    gpus: list[str] = []
    gpu_way: GpuWay = "none"
    front: Front | None = None  # what its proxy publishes of it; None: it has no proxy
    applied: Workload | None = None


class Part(msgspec.Struct, kw_only=True):
    """One workload's part of a deployment."""

    name: str  # of the container, once it is in place
    recipe: Recipe
    strategy: Strategy
    gpu: GpuRequest | None = None
    gpus: list[str] = []
    gpu_way: GpuWay = "none"
    probes: list[Probe] = []
    soak: float = 10.0
    start_deadline: float = 120.0
    restarts_with: list[str] = []  # workloads
    awaited: Literal["started", "healthy", "completed"] = "started"  # before the next one starts
    old: OldContainer | None = None
    kept_before: str | None = None  # the container that was kept until this deployment is done
    new: str | None = None  # the candidate's id, once it is known
    stays: bool = False  # the container is `new` already, and is not touched
    tried: bool = True  # whether it has to be well
    front: Front | None = None  # what a proxy publishes of it; None: it does so itself
    applied: Workload | None = None  # as it was asked for; None: it was only found, or pinned

    @property
    def shifts(self) -> bool:
        """Whether a proxy shares new requests between the old and the new container."""
        old = self.old
        if self.stays or self.front is None or old is None or old.front is None:
            return False
        # A proxy takes other ports, and other modes, only by starting anew.
        same = old.front.binds == self.front.binds and old.front.modes == self.front.modes
        return same and old.running and self.strategy != "stop-then-start"

    @property
    def published_before(self) -> frozenset[Bind]:
        """Ports that the old container has itself, while it runs."""
        if self.old is None or not self.old.running:
            return frozenset()
        return published_itself(self.old.recipe)


class DeploymentRecord(msgspec.Struct, kw_only=True):
    """A deployment with all that it takes to go on or to go back.

    `generation` is raised by whatever overrules the job that is at work on it.
    """

    shown: Deployment
    asked: str  # digest of the request: nothing else may come under its Idempotency-Key
    generation: int = 1
    parts: list[Part]
    replays: dict[str, Replay] = {}  # by workload; in `shown` they are left out
    accepts_old: bool = False  # a person takes the old containers as they are
    lease_boot: str | None = None  # the boot in which `lease_until` counts
    lease_until: float | None = None  # CLOCK_BOOTTIME, seconds
    lease_left: float | None = None  # as last written down, for another boot
    weight_told: int | None = None  # by whoever steers; `shown.weight` is what holds


class WorkloadRecord(msgspec.Struct, kw_only=True):
    """A workload that Roost placed."""

    name: str
    release: str = ""
    stable: str | None = None  # container id
    recipe: Recipe | None = None
    gpu: GpuRequest | None = None
    gpus: list[str] = []
    gpu_way: GpuWay = "none"
    deployment: str | None = None  # the newest
    kept: str | None = None  # the container before, stopped
    restarts_with: list[str] = []  # when one of these has another container, so has this one
    front: Front | None = None  # what its proxy publishes of it; None: it has no proxy
    # As it was asked for, pins since then included. None: it was pinned, and nobody applied it, or
    # an agent applied it that did not keep this.
    applied: Workload | None = None


class WorkloadStore:
    """Workloads and deployments of one node, in memory and on disk alike. For one event loop.

    What a method wrote is on disk when it returns; where that fails, nothing has changed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._workloads: dict[str, WorkloadRecord] = {}
        self._deployments: dict[str, DeploymentRecord] = {}  # oldest first
        self._loaded = False
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read what a former agent wrote. Raises ProblemError `store.*`."""
        if self._loaded:
            return
        if not self._database.untouched:
            workloads, deployments = await asyncio.to_thread(self._read)
            self._workloads = {each.name: each for each in workloads}
            self._deployments = {each.shown.id: each for each in deployments}
        self._loaded = True

    def workload(self, name: str) -> WorkloadRecord | None:
        """A copy: what is changed in it counts once it is written."""
        found = self._workloads.get(name)
        return None if found is None else _copy(found, WorkloadRecord)

    def workloads(self) -> list[WorkloadRecord]:
        """All of them, by name. Not to be changed."""
        return [self._workloads[name] for name in sorted(self._workloads)]

    def deployment(self, deployment_id: str) -> DeploymentRecord:
        """A copy. Raises ProblemError `deployment.not_found`."""
        return _copy(self.kept(deployment_id), DeploymentRecord)

    def kept(self, deployment_id: str) -> DeploymentRecord:
        """The deployment itself, not to be changed: it stays as it is, and another one takes its
        place. Raises ProblemError `deployment.not_found`.
        """
        found = self._deployments.get(deployment_id)
        if found is None:
            raise ProblemError(
                "deployment.not_found",
                f"no deployment is named {deployment_id!r}",
                params={"deployment": deployment_id},
                hint="`roost workload ls` shows the newest of each workload.",
            )
        return found

    def has_deployment(self, deployment_id: str) -> bool:
        """Whether there is one of that id."""
        return deployment_id in self._deployments

    def deployments(self) -> list[DeploymentRecord]:
        """All of them, the newest first. Not to be changed."""
        return list(reversed(self._deployments.values()))

    def followers(self, names: Collection[str]) -> list[WorkloadRecord]:
        """The workloads that restart with these, and with each other, each behind whom it follows.

        Those of `names` themselves are none.
        """
        found: dict[str, WorkloadRecord] = {}
        left = set(names)
        while left:
            following = {
                each.name: each
                for each in self.workloads()
                if left & set(each.restarts_with) and each.name not in {*names, *found}
            }
            found |= following
            left = set(following)
        return list(found.values())

    def held_to(self, record: WorkloadRecord) -> Part | None:
        """What a workload's container is held to: as when it was deployed, where that is known."""
        if record.recipe is None:
            return None
        for deployment in self.deployments():
            parts = [] if deployment.shown.state != "done" else deployment.parts
            for part in parts:
                if part.name == record.name and part.new == record.stable:
                    return msgspec.structs.replace(
                        _copy(part, Part),
                        recipe=record.recipe,
                        gpu=record.gpu,
                        gpus=record.gpus,
                        gpu_way=record.gpu_way,
                        front=record.front,
                        applied=record.applied,
                        stays=False,
                        tried=True,
                    )
        return Part(
            name=record.name,
            recipe=record.recipe,
            strategy="stop-then-start",
            gpu=record.gpu,
            gpus=record.gpus,
            gpu_way=record.gpu_way,
            front=record.front,
            applied=record.applied,
        )

    async def change(
        self,
        deployment_id: str,
        make: Callable[[DeploymentRecord], DeploymentRecord | None],
        *,
        workloads: Callable[[DeploymentRecord], Iterable[WorkloadRecord]] = lambda _: (),
        forget: Iterable[str] = (),
    ) -> DeploymentRecord:
        """Have a deployment be what `make` makes of it now, None: as it is.

        Args:
            workloads: of the deployment as it becomes, written with it.
            forget: workloads to take away with it.

        Raises:
            ProblemError: `store.*`, `deployment.not_found`, and what `make` raises.
        """
        async with self._changing:
            record = self.deployment(deployment_id)
            changed = make(record)
            if changed is not None:
                await finish(self._put(changed, workloads(changed), forget))
                record = self.deployment(deployment_id)
            return record

    async def add(self, deployment: DeploymentRecord, *, may: Callable[[], None]) -> None:
        """A new deployment.

        Args:
            may: raises where there may be none; nothing else is written between that and this.

        Raises:
            ProblemError: `store.*`, and what `may` raises.
        """
        async with self._changing:
            may()
            await finish(self._put(deployment, (), ()))

    async def remove(self, name: str) -> None:
        """A workload is no more. Raises ProblemError `store.*`."""
        async with self._changing:
            await finish(self._put(None, (), [name]))

    async def _put(
        self,
        deployment: DeploymentRecord | None,
        workloads: Iterable[WorkloadRecord],
        forget: Iterable[str],
    ) -> None:
        some = [_copy(each, WorkloadRecord) for each in workloads]
        one = None if deployment is None else _copy(deployment, DeploymentRecord)
        gone, old = list(forget), self._to_forget()
        await self._database.aside(self._write, some, one, gone, old)
        for each in some:
            self._workloads[each.name] = each
        for name in gone:
            self._workloads.pop(name, None)
        for deployment_id in old:
            self._deployments.pop(deployment_id, None)
        if one is not None:
            self._deployments[one.shown.id] = one

    def _to_forget(self) -> list[str]:
        newest = {each.deployment for each in self._workloads.values()}
        rest = [
            each.shown.id
            for each in self._deployments.values()
            if each.shown.state in AT_REST and each.shown.id not in newest
        ]
        return rest[:-KEPT_DEPLOYMENTS]

    def _read(self) -> tuple[list[WorkloadRecord], list[DeploymentRecord]]:
        workloads = self._database.rows("SELECT record FROM workloads")
        deployments = self._database.rows("SELECT record FROM deployments ORDER BY number")
        return (
            [from_json(row["record"], WorkloadRecord) for row in workloads],
            [from_json(row["record"], DeploymentRecord) for row in deployments],
        )

    def _write(
        self,
        workloads: list[WorkloadRecord],
        deployment: DeploymentRecord | None,
        forget: list[str],
        old: list[str],
    ) -> None:
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT INTO workloads (name, record) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET record = excluded.record",
                [(each.name, _text(each)) for each in workloads],
            )
            connection.executemany("DELETE FROM workloads WHERE name = ?", [(n,) for n in forget])
            connection.executemany("DELETE FROM deployments WHERE id = ?", [(n,) for n in old])
            if deployment is not None:
                connection.execute(
                    "INSERT INTO deployments (id, record) VALUES (?, ?)"
                    " ON CONFLICT (id) DO UPDATE SET record = excluded.record",
                    (deployment.shown.id, _text(deployment)),
                )


def moved(
    record: DeploymentRecord, state: DeploymentState, *, at: float, by: str, why: str = ""
) -> DeploymentRecord:
    """The deployment in another state, with that in its history."""
    change = StateChange(state=state, at=at, by=by, why=why)
    history = [*record.shown.history, change][-HISTORY_LIMIT:]
    lease = record.shown.lease_seconds_left if state == "canary" else None
    shown = msgspec.structs.replace(
        record.shown, state=state, history=history, lease_seconds_left=lease
    )
    # Records are kept for long, and what was replayed may be large.
    replays = {} if state in ("done", "reverted") else record.replays
    return msgspec.structs.replace(record, shown=shown, replays=replays)


def weighing(record: DeploymentRecord, weight: int | None) -> DeploymentRecord:
    """The deployment with so many percent of new requests for its candidates."""
    shown = msgspec.structs.replace(record.shown, weight=weight)
    return msgspec.structs.replace(record, shown=shown)


def digest_of(*pieces: bytes) -> str:
    """A name for some bytes: no two lists of pieces have the same."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "big") + piece)
    return digest.hexdigest()


def _copy(record: _R, kind: type[_R]) -> _R:
    return from_json(msgspec.json.encode(record), kind)


def _text(record: msgspec.Struct) -> str:
    return msgspec.json.encode(record).decode()
