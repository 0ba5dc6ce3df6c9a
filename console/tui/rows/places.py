"""What containers can be put on: the GPUs and MIG slices of a node, and who is on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from agent.protocol.decoding import from_plain
from agent.protocol.gpus import GpuProcess
from agent.protocol.live import LiveContainer, LiveGpu
from agent.rules.placement import UUID_START
from console.fleet.picture import NodeView
from console.tui.look import words
from console.tui.placed import Placed

SHORT_UUID = 12  # "GPU-" or "MIG-" and what tells them apart
_ALIVE = frozenset({"running", "restarting", "paused"})
# Names for whatever GPUs there are.
_ANY = frozenset({"all", "igpu"})
# A container that Roost keeps, stopped, until the next deployment is done.
KEPT = ".kept-"


class Guest(NamedTuple):
    """Who is on a GPU. `container` None: processes of the host, all together.

    `memory_bytes` is what its processes have there; None: nobody can tell.
    """

    container: LiveContainer | None
    memory_bytes: int | None = None
    processes: int = 0

    @property
    def name(self) -> str:
        return self.container.name if self.container is not None else "(host)"

    @property
    def runs(self) -> bool:
        return self.container is None or self.container.state in _ALIVE

    @property
    def is_kept(self) -> bool:
        """Whether it only waits for an undo."""
        return self.container is not None and KEPT in self.container.name and not self.runs


class Place(NamedTuple):
    """A GPU, a MIG slice, or one that containers ask for and that is not there."""

    uuid: str
    number: int | None  # of the GPU
    title: str  # "0 A10", "1g.10gb MIG-1234abcd"
    guests: Sequence[Guest] = ()
    gpu: LiveGpu | None = None  # None of a slice: NVML tells no figures of it
    memory_total_bytes: int | None = None
    split: bool = False  # a GPU in MIG mode: only its slices can be had
    reserved: dict[str, int] | None = None  # bytes by workload; None: the node did not say

    @property
    def is_there(self) -> bool:
        return self.number is not None

    @property
    def can_take(self) -> bool:
        """Whether a container can be put on it at all; the node says whether it fits."""
        return self.is_there and not self.split

    @property
    def reserved_bytes(self) -> int | None:
        return None if self.reserved is None else sum(self.reserved.values())


def asks_for(container: LiveContainer, place: Place) -> bool:
    """Whether it names this one itself; "all" names none."""
    names = {place.uuid} if place.gpu is None else {place.uuid, str(place.number)}
    return any(gpu in names for gpu in container.gpus)


def select_of(place: Place) -> str:
    """How a request names it."""
    return place.uuid if len(place.uuid) >= UUID_START else str(place.number)


def places(view: NodeView, placed: Placed) -> list[Place]:
    """Each GPU with its slices behind it; then what containers ask for and is not there."""
    facts = view.facts()
    about = {gpu.uuid: gpu for gpu in facts.gpus} if facts is not None else {}
    containers, processes = view.containers(), view.processes()
    found: list[Place] = []
    names: set[str] = set(_ANY)
    records = view.sections.get("gpus", {}).items()
    for uuid, record in sorted(records, key=lambda each: int(each[1].get("index") or 0)):
        gpu = from_plain(record, LiveGpu)
        fact = about.get(uuid)
        here = {uuid, str(gpu.index)}
        own = [each for each in processes if each.gpu_uuid == uuid]
        whole = [each for each in own if each.mig_uuid is None]
        found.append(
            Place(
                uuid=uuid,
                number=gpu.index,
                title=f"{gpu.index} {words.gpu_model(gpu.name)}",
                guests=_guests(containers, whole, here | _ANY),
                gpu=gpu,
                memory_total_bytes=gpu.memory_total_bytes,
                split=bool(fact is not None and fact.mig),
                reserved=_reserved(view, placed, uuid),
            )
        )
        names |= here
        for part in fact.mig_instances if fact is not None else []:
            here = {part.uuid, f"{gpu.index}:{part.index}"}
            inside = [each for each in own if each.mig_uuid == part.uuid]
            found.append(
                Place(
                    uuid=part.uuid,
                    number=gpu.index,
                    title=f"{part.profile or words.UNKNOWN} {part.uuid[:SHORT_UUID]}",
                    guests=_guests(containers, inside, here),
                    memory_total_bytes=part.memory_total_bytes,
                    reserved=_reserved(view, placed, part.uuid),
                )
            )
            names |= here
    return [*found, *_missing(containers, names)] if found else []


def _guests(
    containers: Sequence[LiveContainer], processes: Sequence[GpuProcess], names: Collection[str]
) -> list[Guest]:
    """Those that run first; who has asked for it, and who has memory on it."""
    by_owner: dict[str | None, list[GpuProcess]] = {}
    for process in processes:
        by_owner.setdefault(process.container, []).append(process)
    guests = [
        Guest(each, _memory(by_owner.get(each.id, [])), len(by_owner.get(each.id, [])))
        for each in containers
        if each.id in by_owner or any(gpu in names for gpu in each.gpus)
    ]
    # Of a container that the picture does not have, or of none.
    known = {each.id for each in containers}
    others = [one for owner, many in by_owner.items() if owner not in known for one in many]
    guests.sort(key=lambda guest: not guest.runs)
    if others:
        guests.append(Guest(None, _memory(others), len(others)))
    return guests


def _memory(processes: Sequence[GpuProcess]) -> int | None:
    """None also where it has no process there that is known of: some drivers tell of none."""
    sizes = [process.memory_used_bytes for process in processes]
    known = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def _reserved(view: NodeView, placed: Placed, uuid: str) -> dict[str, int] | None:
    if view.name not in placed.said:
        return None
    return {
        each.name: each.memory_bytes
        for each in placed.of(view.name)
        if uuid in each.gpus and each.memory_bytes
    }


def _missing(containers: Sequence[LiveContainer], names: Collection[str]) -> list[Place]:
    """GPUs that were asked for and that this node does not have (any more)."""
    wanted: dict[str, list[Guest]] = {}
    for container in containers:
        for gpu in container.gpus:
            if gpu not in names:
                wanted.setdefault(gpu, []).append(Guest(container))
    return [
        Place(uuid=gpu, number=None, title=f"? {gpu[:SHORT_UUID]}", guests=guests)
        for gpu, guests in sorted(wanted.items())
    ]
