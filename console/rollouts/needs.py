"""What one node needs for a release: images to send, engines to build, and what happens then.

A plan shows it, and preparing does it: both work it out here, so that they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from agent.archives.index import ArchivedImage
from agent.protocol.deployments import ApplyRequest, DeployPlan
from agent.protocol.engines import Engine
from agent.protocol.images import LoadPlan, NodeImage
from agent.protocol.node import NodeFacts
from agent.protocol.problems import Problem, ProblemError
from agent.protocol.workloads import Workload
from agent.rules.compatibility import Judge
from agent.rules.references import familiar
from agent.rules.variants import Choice, best_variant, worst_reason
from console.images.archives import as_loaded, cargo_for, check_carried
from console.images.judging import ArchiveJudge
from console.link.client import NodeClient
from console.rollouts.needed_engines import NeededEngine, engine_in, plan_with_engines
from console.rollouts.parcels import Parcels

# Of the archives, not of the way to the node.
_OURS = ("archive.", "bundle.", "image.", "workload.")


class NeededImage(msgspec.Struct, kw_only=True):
    """The image that a workload gets from an archive."""

    workload: str
    image: str
    why: str = ""  # where there were several to choose from, or it may not run
    state: Literal["present", "retag", "load"] = "load"  # as `LoadPlan` has it


class NodeNeeds(msgspec.Struct, kw_only=True):
    """`plan` is as it will be once images and engines are there."""

    plan: DeployPlan
    images: list[NeededImage] = []
    send_bytes: int = 0  # of layers that it lacks, before compression
    frees_bytes: int = 0  # of what is removed there to make room
    engines: list[NeededEngine] = []
    problems: list[Problem] = []  # why it cannot take the release

    @property
    def nothing(self) -> bool:
        """Whether it has all that it needs."""
        return all(each.state == "present" for each in self.images) and not self.builds

    @property
    def builds(self) -> list[NeededEngine]:
        return [each for each in self.engines if each.build is not None]


class Supplies(NamedTuple):
    """The archives of a rollout, and who can say whether their images run on a node."""

    parcels: Parcels
    judge: ArchiveJudge


class Look(NamedTuple):
    """What was seen of a node; engines and GPUs only where an engine is to be built."""

    needs: NodeNeeds
    zone: str | None = None  # where it says that it is
    engines: Sequence[Engine] = ()
    gpus: Sequence[str] = ()


async def look_at(client: NodeClient, request: ApplyRequest, supplies: Supplies | None) -> Look:
    """Ask a node. Nothing changes there.

    Raises:
        ProblemError: `link.*`, `ssh.*` and the node's own; why it cannot take the release is in
            the answer.
    """
    facts = await client.node()
    problems: list[Problem] = []
    images: list[NeededImage] = []
    load: LoadPlan | None = None
    coming: list[NodeImage] = []
    if supplies is not None:
        try:
            chosen = await _choose(client, request.workloads, facts, supplies)
            load, coming = await _load(client, chosen, facts, supplies.parcels)
            images = _shown(chosen, load)
        except ProblemError as problem:
            if not problem.code.startswith(_OURS):
                raise
            problems.append(problem.problem())
    asked = _with_images(request, [each for each in images if each.state != "present"])
    plan, engines = await plan_with_engines(client, asked, coming)
    found = Look(
        NodeNeeds(
            plan=plan,
            images=images,
            send_bytes=0 if load is None else _lacking(load),
            frees_bytes=0 if load is None else sum(each.size_bytes for each in load.frees),
            engines=engines,
            problems=[*problems, *(load.problems if load else []), *plan.problems],
        ),
        facts.host.timezone,
    )
    if not found.needs.builds:
        return found
    return found._replace(
        engines=await client.engines.list(), gpus=[gpu.name for gpu in facts.gpus]
    )


def sends(needs: NodeNeeds) -> list[str]:
    """The images that have to be on the node and are not, by name."""
    return [each.image for each in needs.images if each.state != "present"]


async def _choose(
    client: NodeClient, workloads: Sequence[Workload], facts: NodeFacts, supplies: Supplies
) -> list[tuple[NeededImage, ArchivedImage]]:
    """Of each workload that archives have images for, the one that it gets, if that is theirs."""
    there = {name for image in await client.images() for name in _names(image)}
    architecture = facts.host.architecture
    judges = {
        image.config_digest: judge for image, judge in supplies.judge.judges_for(architecture)
    }
    found = []
    for workload in workloads:
        names = [workload.image, *workload.variants]
        offered = _offered(names, architecture, supplies.parcels)
        beside = [name for name in names if familiar(name) in there and name not in offered]
        if not offered:
            continue
        rated = {
            name: judges[image.config_digest]
            for name, image in offered.items()
            if image.config_digest in judges
        }
        for name in beside:
            rated[name] = Judge(await client.image_needs(name), supplies.judge.tables)
        chosen = best_variant(rated, facts)
        name = _name(workload, chosen, [*offered, *beside])
        if name in offered:
            why = chosen.why if len(names) > 1 else _doubt(chosen, name)
            needed = NeededImage(workload=workload.name, image=name, why=why)
            found.append((needed, offered[name]))
    return found


def _offered(names: Sequence[str], architecture: str, parcels: Parcels) -> dict[str, ArchivedImage]:
    """The images of these names. Raises `archive.platform` where all are for other CPUs."""
    found: dict[str, ArchivedImage] = {}
    other: ProblemError | None = None
    for name in names:
        try:
            image = parcels.find(name, architecture)
        except ProblemError as problem:
            other = problem
        else:
            found |= {} if image is None else {name: image}
    if other is not None and not found:
        raise other
    return found


def _name(workload: Workload, chosen: Choice, names: Sequence[str]) -> str:
    """The only one goes, whatever speaks against it: that is told, and decided by people."""
    if len(names) == 1:
        return names[0]
    if chosen.name is None and chosen.verdicts:
        raise ProblemError(
            "workload.no_variant",
            f"{workload.name}: {chosen.why}",
            params={"workload": workload.name, "images": [*names]},
            hint="`roost image check ARCHIVE --to @NODE -o wide` says what would mend it.",
        )
    return chosen.name or names[0]


def _doubt(chosen: Choice, name: str) -> str:
    verdict = chosen.verdicts.get(name)
    return "" if verdict is None or verdict.ability != "fails" else worst_reason(verdict)


async def _load(
    client: NodeClient,
    chosen: Sequence[tuple[NeededImage, ArchivedImage]],
    facts: NodeFacts,
    parcels: Parcels,
) -> tuple[LoadPlan | None, list[NodeImage]]:
    """What it takes to have these, and those that are not there yet, as they will be."""
    if not chosen:
        return None, []
    archives = parcels.of([needed.image for needed, _ in chosen])
    cargo = cargo_for(archives, architecture=facts.host.architecture)
    plan = await client.plan_images(cargo.request)
    check_carried(cargo, archives, plan)
    lacking = {image.config_digest for image in plan.images if image.state != "present"}
    sizes = {name: size for archive in archives for name, size in archive.sizes.items()}
    coming = {
        image.config_digest: as_loaded(image, sizes)
        for _, image in chosen
        if image.config_digest in lacking
    }
    return plan, list(coming.values())


def _shown(
    chosen: Sequence[tuple[NeededImage, ArchivedImage]], load: LoadPlan | None
) -> list[NeededImage]:
    states = {} if load is None else {each.config_digest: each.state for each in load.images}
    for needed, image in chosen:
        needed.state = states.get(image.config_digest, needed.state)
    return [needed for needed, _ in chosen]


def _with_images(request: ApplyRequest, coming: Sequence[NeededImage]) -> ApplyRequest:
    """The request with the images that were chosen here."""
    names = {each.workload: each.image for each in coming}
    workloads = [
        msgspec.structs.replace(
            engine_in(each, names[each.name]), image=names[each.name], variants=[]
        )
        if each.name in names
        else each
        for each in request.workloads
    ]
    return msgspec.structs.replace(request, workloads=workloads)


def _lacking(load: LoadPlan) -> int:
    return sum(max(0, layer.size_bytes - layer.received_bytes) for layer in load.wanted)


def _names(image: NodeImage) -> list[str]:
    own = [each for each in (image.id, image.config_digest) if each]
    return [*map(familiar, image.tags), *own]
