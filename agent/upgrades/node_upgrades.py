"""Upgrades of one node's agent: what runs, whether it is on trial, and how that ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from agent.images.blobs import Blobs
from agent.jobs.jobs import Jobs
from agent.kit.installer import pythons_here, version_key
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.protocol.upgrades import JOB_KIND, AgentUpgrade, UpgradeRequest
from agent.upgrades.upgrade_job import UpgradeKind, UpgradePlace, no_kit

log = logging.getLogger(__name__)


class NodeUpgrades:
    """Registers its jobs. For one event loop."""

    def __init__(
        self,
        place: UpgradePlace | None,
        *,
        jobs: Jobs,
        blobs: Blobs,
        database: Path | None = None,
    ) -> None:
        """`place` None: the agent was not started by the supervisor of a kit."""
        self._files = files = None if place is None else place.files
        self._jobs = jobs
        self._confirmed, self._settled = asyncio.Event(), asyncio.Event()
        self._on_end: Callable[[], None] = lambda: None
        if files is None or files.tried is None:
            self._confirmed.set()
            self._settled.set()
        self.about: AgentUpgrade | None = None if place is None else self._look(place)
        self.handed_over = False
        jobs.register(
            UpgradeKind(
                place=place,
                jobs=jobs,
                blobs=blobs,
                database=database,
                hand_over=self._hand_over,
                settled=self._settled.wait,
            )
        )

    @property
    def on_trial(self) -> bool:
        """Whether this agent goes back unless it is confirmed, and then up."""
        return not self._settled.is_set()

    def on_end(self, callback: Callable[[], None]) -> None:
        """What ends this agent, so that the supervisor decides what runs next."""
        self._on_end = callback

    async def confirmed(self) -> None:
        """Wait until this agent is to start all that it does."""
        await self._confirmed.wait()

    async def up(self) -> None:
        """All of it has started: one on trial is current from now on.

        Raises:
            OSError: it is not, and the end of this process counts as a crash.
        """
        files, about = self._files, self.about
        if files is None or about is None or not self.on_trial:
            return
        trial = await asyncio.to_thread(files.trial)
        if trial is None or trial.id != about.kit or trial.back is not None:
            log.warning("the trial of %s is over", about.kit)
            self._hand_over()
            return
        why = await asyncio.to_thread(files.rehearse)
        if why is not None:
            log.error("it goes back: %s", why)
            await asyncio.to_thread(files.give_up, trial, why)
            self._hand_over()
            return
        await asyncio.to_thread(files.finish, trial, at=time.time())
        about.on_trial = about.confirmed = False
        about.last = await asyncio.to_thread(files.last)
        self._settled.set()

    def check_settled(self) -> None:
        """Raises ProblemError `upgrade.on_trial` while it is, or another is about to be."""
        if self.handed_over:
            raise ProblemError(
                "upgrade.on_trial",
                "this agent ends, and another version is about to run",
                hint="Try again in a moment.",
            )
        if self.on_trial:
            raise ProblemError(
                "upgrade.on_trial",
                "this agent is on trial after an upgrade, and changes nothing yet",
                hint="It is kept in a moment, or goes back by itself. Then try again.",
            )

    async def begin(self, request: UpgradeRequest, *, owner: str, key: str | None) -> Job:
        """The job that upgrades to a kit which lies here as a blob.

        Raises:
            ProblemError: `upgrade.no_kit`, and those of `Jobs.submit`.
        """
        if self._files is None:
            raise no_kit()
        return await self._jobs.submit(JOB_KIND, request, owner=owner, key=key)

    async def confirm(self, kit: str) -> AgentUpgrade:
        """The agent that answers this is wanted, if it is that one. Again changes nothing.

        It is kept, and no longer on trial, once all of it has started.

        Raises:
            ProblemError: `upgrade.no_kit`, `upgrade.not_on_trial`, `kit.write`.
        """
        files, about = self._files, self.about
        if files is None or about is None:
            raise no_kit()
        if about.kit != kit:
            raise ProblemError(
                "upgrade.not_on_trial",
                f"agent {about.kit} runs here, and not {kit}",
                params={"kit": about.kit},
                hint="See what became of it: roost node show NODE",
            )
        if not self.on_trial:
            return about
        trial = await asyncio.to_thread(files.trial)
        if trial is None or trial.id != kit or trial.back is not None:
            raise ProblemError(
                "upgrade.not_on_trial",
                f"the trial of {kit} is over",
                params={"kit": kit},
                hint="See what became of it: roost node show NODE",
            )
        try:
            await asyncio.to_thread(files.confirm, trial)
        except OSError as error:
            raise ProblemError(
                "kit.write", f"{files.root}: {error}", hint="It goes back by itself."
            ) from None
        about.confirmed = True
        self._confirmed.set()
        return about

    async def give_up(self, why: str) -> AgentUpgrade:
        """Go back to what ran before, at once.

        Raises:
            ProblemError: `upgrade.no_kit`, `upgrade.not_on_trial`, `kit.write`.
        """
        files, about = self._files, self.about
        if files is None or about is None:
            raise no_kit()
        trial = await asyncio.to_thread(files.trial)
        if not self.on_trial or trial is None:
            raise ProblemError(
                "upgrade.not_on_trial",
                f"agent {about.kit} is not on trial",
                params={"kit": about.kit},
                hint="Upgrade to the kit that it was: roost agent upgrade NODE --kit FILE",
            )
        try:
            await asyncio.to_thread(files.give_up, trial, why)
        except OSError as error:
            raise ProblemError(
                "kit.write", f"{files.root}: {error}", hint="It goes back by itself in a moment."
            ) from None
        self._hand_over()
        return about

    def _hand_over(self) -> None:
        self.handed_over = True
        self._on_end()

    def _look(self, place: UpgradePlace) -> AgentUpgrade | None:
        files = place.files
        kit = files.tried or files.current()
        if kit is None:
            return None
        trial = files.trial() if self.on_trial else None
        if trial is not None and trial.confirmed:
            self._confirmed.set()
        return AgentUpgrade(
            kit=kit,
            on_trial=self.on_trial,
            confirmed=trial is not None and trial.confirmed,
            job=None if trial is None else trial.job,
            last=files.last(),
            require_signature=place.vouching.required,
            pythons=sorted({each.version for each in pythons_here()}, key=version_key),
        )
