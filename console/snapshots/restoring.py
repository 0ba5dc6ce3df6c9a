"""Bringing a node back to a snapshot: the plan with what the node says of it, and the job."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from random import Random

import msgspec

from agent.archives.index import ArchiveIndex
from agent.protocol.images import LoadPlan, NodeImage
from agent.protocol.jobs import ENDED, Job
from agent.protocol.node import NodeFacts
from agent.protocol.problems import Problem, ProblemError
from agent.protocol.snapshots import RESTORE, NodeSnapshot
from console.fleet.plan_words import plan_lines
from console.images.archives import as_loaded, cargo_for, check_carried
from console.images.following import see_through
from console.images.judging import ArchiveJudge, deciding
from console.images.push import Push, PushState
from console.images.rate import RateLimit
from console.link.client import NodeClient
from console.rollouts.needed_engines import plan_with_engines
from console.snapshots.comparing import compare
from console.snapshots.folder import SUFFIX
from console.snapshots.planning import Line, RestorePlan, Wish, plan_restore
from console.snapshots.snapshot_file import SnapshotFile, write_snapshot
from console.snapshots.values import Given
from console.snapshots.words import diff_lines
from console.text import size

JOBS_LOOKED_AT = 200


def undo_file(folder: Path, node: str, at: float) -> Path:
    """The name of the snapshot of how a node was before a restore."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(at))
    safe = "".join(each if each.isalnum() or each in "-_." else "_" for each in node)
    return folder / f"{safe}-{stamp}-before{SUFFIX}"


class Restore(msgspec.Struct, kw_only=True):
    """What a restore of one node has in hand."""

    file: SnapshotFile
    plan: RestorePlan
    before: NodeSnapshot
    # That a former console began, and that goes on by itself.
    under_way: Job | None = None


class Restored(msgspec.Struct, kw_only=True, frozen=True):
    """A restore that is done, and what the node says afterwards."""

    job: Job
    differs: list[str]  # of the snapshot's workloads, what is still not as it says, in words


async def prepare(
    client: NodeClient,
    file: SnapshotFile,
    *,
    given: Given | None = None,
    remove_others: bool = False,
    make_room: bool = False,
    judge: ArchiveJudge | None = None,
) -> Restore:
    """The plan; nothing changes.

    Args:
        given: values of environments that the snapshot withholds.
        make_room: images may be removed from the node, where it has no room otherwise.
        judge: says whether images that the snapshot carries can run there.

    Raises:
        ProblemError: `snapshot.under_way`, `link.*`, and the node's own; why it is refused is in
            the plan.
    """
    before = await client.snapshots.take(environment=True)
    index = file.bundle.index
    architecture = before.facts.host.architecture
    same = architecture == file.snapshot.facts.host.architecture
    load = None
    if file.carries and same:
        load = cargo_for([index], architecture=architecture, make_room=make_room).request
    plan = plan_restore(
        Wish(
            snapshot=file.snapshot,
            id=file.id,
            name=file.path.name,
            load=load,
            carried=_carried(index),
            given=given or {},
            remove_others=remove_others,
            make_room=make_room,
        ),
        before,
    )
    job = await under_way(client, plan)
    restore = Restore(file=file, plan=plan, before=before, under_way=job)
    if same:
        await _ask(client, restore, judge)
    return restore


async def run(
    client: NodeClient,
    restore: Restore,
    *,
    folder: Path,
    random: Random,
    make_room: bool = False,
    seen: Callable[[Job], None] = lambda _: None,
    sending: Callable[[PushState], None] = lambda _: None,
) -> Restored:
    """Do it, or go on with it, and look at the node. Cut off, the same again goes on.

    How the node was before is written into `folder` first; `restore.plan.undo` is where.

    Raises:
        ProblemError: `snapshot.*`, `bundle.unwritable`, `link.*`, and why the job failed.
    """
    plan = restore.plan
    job = restore.under_way
    if job is None:
        if plan.problems:
            raise ProblemError.from_problem(plan.problems[0])
        undo = undo_file(folder, plan.node, restore.before.taken_at)
        await asyncio.to_thread(_write_before, undo, restore.before)
        plan.undo = str(undo)
        job = await client.snapshots.restore(plan.request, secrets.token_hex(16))
    following = asyncio.create_task(see_through(client, job, random=random, seen=seen))
    if plan.request.load is None:
        return await _looked(client, restore, await following)
    push = Push(
        client,
        [restore.file.bundle.index],
        limit=RateLimit(None),
        make_room=make_room,
        on_change=lambda: sending(push.state),
        random=random,
    )
    pushing = asyncio.create_task(push.run())
    try:
        await asyncio.wait({following, pushing}, return_when=asyncio.FIRST_COMPLETED)
        problem = pushing.result().problem if pushing.done() else None
        if problem is not None and not following.done():
            await _give_up(client, job, problem)
            raise problem
        ended = await following
    finally:
        for task in (pushing, following):
            task.cancel()
        await asyncio.gather(pushing, following, return_exceptions=True)
    return await _looked(client, restore, ended)


async def _looked(client: NodeClient, restore: Restore, job: Job) -> Restored:
    after = await client.snapshots.take(environment=True)
    return Restored(job=job, differs=still_differs(restore.file.snapshot, after))


def still_differs(then: NodeSnapshot, after: NodeSnapshot) -> list[str]:
    """What of its workloads is not as the snapshot says, in words."""
    names = {each.name for each in then.workloads if each.workload is not None}
    changes = [
        change
        for change in compare(then, after)
        if change.part == "workloads" and change.name in names
    ]
    return [line.text for line in diff_lines(changes) if line.depth]


async def _give_up(client: NodeClient, job: Job, problem: ProblemError) -> None:
    """What the snapshot itself lacks no later try brings; after a cut the node waits for it."""
    if problem.code.startswith("archive."):
        with contextlib.suppress(ProblemError):
            await client.cancel_job(job.id)
            problem.hint = "Take another copy of the snapshot; what it had begun is cancelled."


def _write_before(file: Path, before: NodeSnapshot) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ProblemError(
            "bundle.unwritable",
            f"{file.parent}: {error.strerror}",
            params={"file": str(file)},
            hint="How the node was before is kept there: name another folder with --undo-folder.",
        ) from None
    write_snapshot(file, before)


async def under_way(client: NodeClient, plan: RestorePlan) -> Job | None:
    """The job that restores this snapshot already, asked for in the same way.

    Raises:
        ProblemError: `snapshot.under_way`: it was asked for in another way.
    """
    for job in await client.jobs(limit=JOBS_LOOKED_AT):
        snapshot, _, wish = (job.alike or "").partition(" ")
        same = job.kind == RESTORE and snapshot == plan.request.snapshot
        if not same or job.state in ENDED:
            continue
        if wish != plan.request.wish:
            raise ProblemError(
                "snapshot.under_way",
                f"job {job.id} restores {plan.node} to it, as it was asked to:"
                f" {wish or 'without options'}; now it is asked for"
                f" {plan.request.wish or 'without options'}",
                params={"job": job.id, "asked": wish},
                hint=f"Ask for the same to go on with it, or cancel it: roost job cancel {job.id}",
            )
        return job
    return None


async def _ask(client: NodeClient, restore: Restore, judge: ArchiveJudge | None) -> None:
    """What only the node can tell, into the plan."""
    plan, index = restore.plan, restore.file.bundle.index
    lines: list[Line] = []
    coming: list[NodeImage] = []
    load = plan.request.load
    if load is not None:
        answer = await client.plan_images(load)
        cargo = cargo_for([index], architecture=restore.before.facts.host.architecture)
        check_carried(cargo, [index], answer)
        lines += _load_lines(answer)
        plan.problems += answer.problems
        lacking = {image.config_digest for image in answer.images if image.state != "present"}
        coming = [each for each in _carried(index) if each.config_digest in lacking]
        lines += _verdicts(judge, restore.before.facts, lacking)
    built = {build.recipe.model for build in plan.request.builds}
    earlier: set[str] = set()
    for apply in plan.request.applies:
        planned, _ = await plan_with_engines(client, apply, coming, models=built)
        lines += [Line(step="apply", text=str(line)) for line in plan_lines(planned)]
        plan.problems += [each for each in planned.problems if not _comes(each, earlier)]
        earlier |= {each.name for each in apply.workloads}
    order = ("load", "place", "build", "apply", "remove", "note")
    plan.lines = sorted([*plan.lines, *lines], key=lambda line: order.index(line.step))


def _comes(problem: Problem, earlier: Collection[str]) -> bool:
    """Whether what lacks is the network of a workload that an earlier step brings."""
    return problem.code == "workload.no_network" and problem.params.get("network") in earlier


def _load_lines(answer: LoadPlan) -> list[Line]:
    words = {"load": "load", "retag": "tag"}
    lines = [
        Line(
            step="load",
            text=f"{words[image.state]} image {', '.join(image.tags) or image.config_digest}",
        )
        for image in answer.images
        if image.state != "present"
    ]
    lines += [
        Line(
            step="place",
            text=f"{each.file.title}{', in the place of another one' if each.replaces else ''}",
        )
        for each in answer.files
        if each.state != "present"
    ]
    lacking = sum(layer.size_bytes - layer.received_bytes for layer in answer.wanted)
    if lacking:
        lines.append(Line(step="load", text=f"{size(lacking)} are sent, before compression"))
    lines += [
        Line(
            step="load", text=f"removes {each.kind} {each.name} ({size(each.size_bytes)}) for room"
        )
        for each in answer.frees
    ]
    return lines


def _verdicts(judge: ArchiveJudge | None, facts: NodeFacts, lacking: set[str]) -> list[Line]:
    if judge is None:
        return []
    return [
        Line(step="note", text=f"image {each.image}: {reason.what} {reason.mend}")
        for each in judge(facts)
        if each.digest in lacking and each.verdict.ability in ("fails", "warns")
        for reason in deciding(each.verdict)
    ]


def _carried(index: ArchiveIndex) -> Sequence[NodeImage]:
    """The images of a snapshot as the node will have them."""
    return [as_loaded(image, index.sizes) for image in index.images]
