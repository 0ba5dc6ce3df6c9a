"""The job `agent.upgrade`: it begins under one agent and ends under another, or under the same."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from agent.images.blobs import Blobs
from agent.jobs.finishing import finish
from agent.jobs.jobs import Jobs
from agent.jobs.kind import JobKind, SkippedError
from agent.jobs.work import Work
from agent.protocol.problems import ProblemError
from agent.protocol.upgrades import JOB_KIND, LastUpgrade, UpgradeRequest
from agent.upgrades import kit_copy
from agent.upgrades.kit_copy import KitFacts
from agent.upgrades.kit_vouching import KitVouching
from agent.upgrades.trial_files import Trial, TrialFiles

CHECK_SECONDS = 300.0
UNPACK_SECONDS = 600.0
HAND_OVER_SECONDS = 120.0
WAIT_LOOK_SECONDS = 0.2
HOLD = "waits: the agent is about to be replaced by another version"

log = logging.getLogger(__name__)


class UpgradePlace(NamedTuple):
    """Where this agent's versions lie, and who may bring others."""

    files: TrialFiles
    vouching: KitVouching


class UpgradeKind(JobKind[UpgradeRequest]):
    """One after the other; nothing is touched until the agent ends."""

    name = JOB_KIND
    request_type = UpgradeRequest
    resumable = True
    joins = True

    def __init__(
        self,
        *,
        place: UpgradePlace | None,
        jobs: Jobs,
        blobs: Blobs,
        database: Path | None,
        hand_over: Callable[[], None],
        settled: Callable[[], Awaitable[object]],
    ) -> None:
        """`hand_over` ends this agent, so that the supervisor starts the other one.

        `settled` waits until this one is not on trial.
        """
        self._place, self._jobs, self._blobs = place, jobs, blobs
        self._database, self._hand_over, self._settled = database, hand_over, settled

    def subject(self, request: UpgradeRequest) -> str:
        return request.id

    async def run(self, work: Work[UpgradeRequest]) -> dict[str, str]:
        place, request = self._place, work.request
        if place is None:
            raise no_kit()
        files = place.files
        await work.stage("starting", HAND_OVER_SECONDS)  # of the one on trial, whose job this is
        await self._settled()
        last = await asyncio.to_thread(files.last)
        if last is not None and last.job == work.job.id:
            try:
                return await asyncio.to_thread(_ended, files, last)
            finally:
                if self._database is not None:
                    await asyncio.to_thread(files.forget_copies, self._database)
        was = await asyncio.to_thread(files.current)
        if was == request.id:
            raise SkippedError(f"agent {request.id} runs already")
        await _check_first(files, work.job.id, was, again=work.runs > 1)
        if self._database is not None:
            await asyncio.to_thread(files.check_schema, self._database, request.id)
        facts = await self._unpacked(place, work)
        try:
            self._jobs.hold(HOLD)
            await self._wait_for_others(work)
            await work.stage(
                "handing over", HAND_OVER_SECONDS, leaves=f"the next start tries {request.id}"
            )
            trial = Trial(
                id=request.id,
                version=facts.version,
                was=was or "",
                job=work.job.id,
                seconds=request.within_seconds,
                database=None if self._database is None else str(self._database),
            )
            await self._begin(files, trial, work)
            await asyncio.Event().wait()  # this agent ends, and the job goes on under the next
        finally:
            self._jobs.hold(None)
        raise AssertionError  # it waits for ever

    async def _begin(self, files: TrialFiles, trial: Trial, work: Work[UpgradeRequest]) -> None:
        """Hand over, or leave no trial behind."""
        try:
            await finish(asyncio.to_thread(files.begin, trial))
            work.log(f"agent {trial.id} is started on trial, instead of {trial.was}")
        except BaseException as error:
            await finish(asyncio.to_thread(files.withdraw, trial.job))
            if isinstance(error, OSError):
                raise _unwritten(files, error) from None
            raise
        self._hand_over()

    async def _unpacked(self, place: UpgradePlace, work: Work[UpgradeRequest]) -> KitFacts:
        """Have the kit's version beside the one that runs."""
        request = work.request
        await work.stage("checking", CHECK_SECONDS)
        if request.kit is None:
            return await asyncio.to_thread(_kept, place, request.id)
        path, facts = await asyncio.to_thread(
            kit_copy.copy_kit, self._blobs, request.kit, place.files.root, place.vouching.check
        )
        try:
            if facts.id != request.id:
                raise ProblemError(
                    "kit.broken",
                    f"the kit is {facts.id}, and {request.id} was asked for",
                    hint=kit_copy.AGAIN,
                )
            await work.stage("unpacking", UNPACK_SECONDS)
            await kit_copy.unpack_kit(path, work.log)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        return facts

    async def _wait_for_others(self, work: Work[UpgradeRequest]) -> None:
        """For a while; then those go on under the next agent that can."""
        loop = asyncio.get_running_loop()
        until = loop.time() + work.request.wait_seconds
        told = False
        while others := self._jobs.unfinished(but=work.job.id, resumable=loop.time() < until):
            first = others[0]
            what = f"{first.kind} of {first.subject} (job {first.id})"
            if loop.time() >= until:
                raise ProblemError(
                    "upgrade.busy",
                    f"{what} has not ended within {work.request.wait_seconds:g} s",
                    params={"jobs": [each.id for each in others]},
                    hint=f"Try again when it has, or cancel it: roost job cancel NODE {first.id}",
                )
            if not told:
                await work.stage("waiting", work.request.wait_seconds + CHECK_SECONDS)
                work.log(f"waits for {what}")
                told = True
            await asyncio.sleep(WAIT_LOOK_SECONDS)


def _kept(place: UpgradePlace, name: str) -> KitFacts:
    place.vouching.check_kept(name, place.files.last())
    return kit_copy.kept_kit(place.files.root, name)


async def _check_first(files: TrialFiles, job: str, was: str | None, *, again: bool) -> None:
    """Raises ProblemError `upgrade.replaced` where somebody installed another one meanwhile."""
    try:
        first = await asyncio.to_thread(files.first, job, again=again)
    except OSError as error:
        raise _unwritten(files, error) from None
    if was != first:
        raise ProblemError(
            "upgrade.replaced",
            f"agent {was} was installed in the place of {first or 'another'} meanwhile",
            params={"kit": was, "was": first},
            hint="See whether that is the one that is wanted: roost node show NODE",
        )


def _unwritten(files: TrialFiles, error: OSError) -> ProblemError:
    return ProblemError(
        "kit.write", f"{files.root}: {error}", hint="Make room there, and try again."
    )


def _ended(files: TrialFiles, last: LastUpgrade) -> dict[str, str]:
    if last.outcome == "returned":
        _prune(files.root, lambda name: name == last.id and name != files.current())
        raise ProblemError(
            "upgrade.returned",
            f"agent {last.id} went back to {last.was}: {last.why}",
            params={"kit": last.id, "was": last.was},
            hint="See why on the node: journalctl -u roost-agent",
        )
    _prune(files.root, lambda name: name not in (last.id, last.was, files.current()))
    return {"kit": last.id, "was": last.was or "", "version": last.version or ""}


def _prune(root: Path, unwanted: Callable[[str], bool]) -> None:
    """Versions make room. Blocks."""
    for folder in root.iterdir():
        if not folder.is_symlink() and (folder / "kit.json").exists() and unwanted(folder.name):
            log.info("version %s is removed", folder.name)
            shutil.rmtree(folder, ignore_errors=True)


def no_kit() -> ProblemError:
    """This agent was not installed from a kit."""
    return ProblemError(
        "upgrade.no_kit",
        "this agent does not run from a kit, so that it cannot go back to what it was",
        hint="Install it once from a kit: roost node install ssh://HOST",
    )
