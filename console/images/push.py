"""One push to one node: plan, job, layers, and the job's end."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Sequence
from math import inf
from random import Random
from typing import Literal, Protocol

import msgspec

from agent.archives.encoders import Encoder, encoder_named
from agent.archives.index import ArchiveIndex
from agent.protocol.images import Layer, LoadPlan, WantedLayer
from agent.protocol.jobs import AWAITING_LAYERS, Job
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from console.images.archives import Cargo, cargo_for, check_carried
from console.images.encoding import choose_encoder
from console.images.encodings import Encodings
from console.images.following import Follower, ended_well
from console.images.patience import GIVE_UP_SECONDS, LINK_TROUBLE, Patience
from console.images.progress import Progress
from console.images.quiet import Quiet
from console.images.rate import Allowance, RateLimit
from console.images.sending import AT_ONCE, Sender
from console.images.vetting import Vetting
from console.link.client import NodeClient
from console.link.problems import garbage
from console.text import size

LOOK_SECONDS = 1.0
# How long a job may wait for layers when all were sent, until the node is asked which it lacks.
ASK_AGAIN_SECONDS = 15.0
# What came was not the layer, and the node dropped it.
_SPOILT = ("blob.digest", "blob.size", "blob.encoding")
SPOILT_LIMIT = 3
CLOCK_SECONDS = 1.0  # a node's clock is known no better
# After these the same layers are sent again, from where the node has them. A runtime that is
# restarted comes back.
_SEND_AGAIN = (
    *LINK_TROUBLE,
    "runtime.",
    "upload.cut",
    "upload.locked",
    "upload.not_found",
    "upload.offset",
    "upload.removed",
    "upload.stalled",
    "upload.taken_over",
    "upload.too_many",
    *_SPOILT,
)

Stage = Literal["connecting", "planning", "sending", "waiting", "done", "failed"]


class PushState(msgspec.Struct, kw_only=True):
    """How far one node is."""

    node: str
    stage: Stage = "connecting"
    job: Job | None = None
    plan: LoadPlan | None = None
    sent_bytes: int = 0  # given to the link, encoded; what a cut threw away included
    done_bytes: int = 0  # of `total_bytes`
    total_bytes: int = 0  # unpacked, of the layers that the node lacked
    bytes_per_second: float = 0.0  # over the link
    seconds_left: float | None = None  # until all is sent; None: unknown
    trouble: str | None = None  # why it pauses, while it tries again
    note: str | None = None  # what it does or waits for, where that is not this console's sending
    problem: ProblemError | None = None  # how it ended
    images: dict[str, str] = {}  # tag: id on the node; of a file its title and SHA-256
    clock_offset_seconds: float = 0.0  # the node's clock less this one's

    @property
    def ended(self) -> bool:
        return self.stage in {"done", "failed"}


class OtherWay(Protocol):
    """Another way for layers to a node than over this console's link to it."""

    async def bring(
        self,
        state: PushState,
        wanted: Sequence[WantedLayer],
        layers: Sequence[Layer],
        places: dict[str, ArchiveIndex],
    ) -> bool:
        """Have these layers on the node; False: what it still lacks is to be sent directly.

        Raises ProblemError: of the node itself, or one that ends the push.
        """


class Push:
    """Brings the images of some archives to one node, over a link that may be cut."""

    def __init__(
        self,
        client: NodeClient,
        archives: Sequence[ArchiveIndex],
        *,
        limit: RateLimit,
        budget_bytes: int | None = None,
        quiet: Quiet | None = None,
        at_once: int = AT_ONCE,
        other_way: OtherWay | None = None,
        vetting: Vetting | None = None,
        make_room: bool = False,
        on_change: Callable[[], None] = lambda: None,
        on_facts: Callable[[NodeFacts], None] = lambda _: None,
        give_up_seconds: float = GIVE_UP_SECONDS,
        random: Random,
    ) -> None:
        """`limit` is shared by all pushes; `budget_bytes` is the most that is sent to this node.

        In the hours of `quiet`, which is this push's own, nothing is sent; the job waits.

        `vetting` reads layers ahead of a link that is slower than a disk; None: a damaged one shows
        when it was sent.

        `make_room`: images may be removed from the node, where it has no room otherwise.

        `on_facts` hears what the node says of itself, before anything is sent.

        The first contact is not tried again; later ones are for `give_up_seconds`.
        """
        self.state = PushState(node=client.name)
        self._client, self._archives = client, archives
        self._allowance = Allowance(limit, budget_bytes, quiet)
        self._at_once, self._other_way = at_once, other_way
        self._vetting = None if client.kind == "unix" else vetting
        self._make_room = make_room
        self._changed, self._told_facts = on_change, on_facts
        # Another push of the same finds the job while it is under way, by its content.
        self._key = secrets.token_hex(16)
        self._asking = Patience(
            give_up_seconds=give_up_seconds, random=random, told=self._asking_pauses
        )
        self._sending = Patience(
            give_up_seconds=give_up_seconds,
            random=random,
            again=_SEND_AGAIN,
            told=self._sending_pauses,
        )
        self._progress = Progress()
        self._encodings = Encodings()
        self._spoilt = 0
        self._asked_at = 0.0
        self._damage: ProblemError | None = None

    async def run(self) -> PushState:
        """Do it; how it went is in the state. A cancellation leaves the job to go on waiting."""
        try:
            await self._run()
            self._stage("done")
        except ProblemError as problem:
            self.state.problem = problem
            self._stage("failed")
        finally:
            await self._encodings.close()
        return self.state

    async def check(self) -> LoadPlan:
        """What a push would do; nothing changes. Raises ProblemError."""
        cargo = await self._cargo()
        plan = await self._client.plan_images(cargo.request)
        check_carried(cargo, self._archives, plan)
        return plan

    async def _run(self) -> None:
        cargo = await self._cargo()
        self._stage("planning")
        plan = await self._asking.ask(lambda: self._client.plan_images(cargo.request))
        self.state.plan = plan
        check_carried(cargo, self._archives, plan)
        if plan.is_there and not plan.problems:
            self.state.images = {
                tag: image.config_digest for image in plan.images for tag in image.tags
            } | {each.file.title: each.file.sha256 for each in plan.files}
            return
        self._asked_at = time.time() - CLOCK_SECONDS
        job = await self._asking.ask(lambda: self._client.load_images(cargo.request, self._key))
        self.state.job = job
        follower = Follower(self._client, job.id, seen=self._seen)
        sending = asyncio.create_task(self._send_vetted(cargo, plan, job))
        following = asyncio.create_task(self._asking.ask(follower.until_ended))
        try:
            await asyncio.wait({sending, following}, return_when=asyncio.FIRST_COMPLETED)
            if self._damage is not None:
                await asyncio.wait({sending})
            if not following.done() or self._damage is not None:
                _raise_from(sending, job)
            self.state.job = await following
        finally:
            for task in (sending, following):
                task.cancel()
            await asyncio.gather(sending, following, return_exceptions=True)
        self.state.images = ended_well(self.state.job).result

    async def _cargo(self) -> Cargo:
        facts = await self._client.node()
        self._told_facts(facts)
        if self._allowance.quiet is not None:
            self._allowance.quiet.zone = facts.host.timezone
        if facts.now is not None:
            self.state.clock_offset_seconds = facts.now - time.time()
        return cargo_for(
            self._archives, architecture=facts.host.architecture, make_room=self._make_room
        )

    async def _send_vetted(self, cargo: Cargo, plan: LoadPlan, job: Job) -> None:
        """As `_send`, until a layer turns out to be damaged."""
        places = {layer.diff_id: cargo.places.get(layer.diff_id) for layer in plan.wanted}
        carried = {name: index for name, index in places.items() if index is not None}
        if self._vetting is None or not carried:
            await self._send(cargo, plan)
            return
        sending = asyncio.create_task(self._send(cargo, plan))
        vetting = asyncio.create_task(self._vetting.check(carried))
        try:
            await asyncio.wait({sending, vetting}, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in (sending, vetting):
                task.cancel()
            ends = await asyncio.gather(sending, vetting, return_exceptions=True)
        if isinstance(ends[1], ProblemError):
            # Pushes to other nodes have the same one.
            self._damage = ProblemError.from_problem(ends[1].problem())
            await self._free(job, self._damage)
            raise self._damage
        sending.result()

    async def _free(self, job: Job, problem: ProblemError) -> None:
        """Cancel the job that would wait for a damaged layer, and say so in the problem.

        One that was there before is left alone: another console may be sending a whole copy.
        """
        if job.created_at < self._asked_at + self.state.clock_offset_seconds:
            return
        with contextlib.suppress(ProblemError):
            self.state.job = await self._client.cancel_job(job.id)
            problem.params["job"] = job.id

    async def _send(self, cargo: Cargo, plan: LoadPlan) -> None:
        """Whatever the job waits for, until somebody cancels this.

        What is wanted is asked anew after each cut, and when the job goes on waiting: a base
        image may have been removed meanwhile.
        """
        before, sent_before, all_taken = inf, 0, False
        while True:
            check_carried(cargo, self._archives, plan)
            lacking = sum(layer.size_bytes - layer.received_bytes for layer in plan.wanted)
            if lacking < before:
                self._sending.moved(by_us=self._progress.sent_bytes > sent_before)
            elif lacking == before and all_taken:
                problem = garbage(self._client.name, "it took layers, and lacks them still")
                await self._sending.pause(problem)
            before, sent_before = lacking, self._progress.sent_bytes
            if plan.wanted and self._allowance.stopped and not self._allowance.used_up:
                self._stage("waiting")
                await self._allowance.until_loud(self._quiet_until)
                self._sending.moved(by_us=False)
                before, all_taken = inf, False
            elif plan.wanted and await self._brought(cargo, plan.wanted):
                all_taken = False
            elif plan.wanted:
                self._check_budget(lacking)
                self._stage("sending")
                all_taken = await self._send_wanted(cargo, plan.wanted)
                all_taken = all_taken and not self._allowance.stopped
            else:
                self._stage("waiting")
                await self._until_asked()
                all_taken = False
            plan = await self._sending.ask(lambda: self._client.plan_images(cargo.request))

    async def _brought(self, cargo: Cargo, wanted: Sequence[WantedLayer]) -> bool:
        """Whether another way has brought them, or is to be asked once more."""
        known = [layer for layer in wanted if layer.diff_id in cargo.places]
        if self._other_way is None or not known:
            return False
        self._stage("waiting")
        layers = [cargo.layers[layer.diff_id] for layer in known]
        try:
            return await self._other_way.bring(self.state, known, layers, cargo.places)
        except ProblemError as problem:
            await self._sending.pause(problem)
            return True

    async def _send_wanted(self, cargo: Cargo, wanted: Sequence[WantedLayer]) -> bool:
        """Whether the node has taken them all."""
        unknown = [layer.diff_id for layer in wanted if layer.diff_id not in cargo.layers]
        if unknown:
            raise garbage(self._client.name, f"it asks for {unknown[0]}, which no image has")
        self._progress.planned(wanted)
        sender = Sender(
            self._client.uploads,
            self._encodings,
            encoder=self._encoders({layer.diff_id: layer.encoder for layer in wanted}),
            allowance=self._allowance,
            sent=self._sent,
            at_once=self._at_once,
        )
        names = [layer.diff_id for layer in wanted]
        try:
            await sender.send(
                [cargo.layers[name] for name in names],
                {name: cargo.places[name] for name in names},
            )
        except ProblemError as problem:
            self._spoilt += problem.code in _SPOILT
            if self._spoilt >= SPOILT_LIMIT:
                raise
            await self._sending.pause(problem)
            return False
        return True

    def _encoders(self, begun: dict[str, str | None]) -> Callable[[Layer], Encoder]:
        """What has begun goes on as it was begun, where this console can make those bytes."""

        def choose(layer: Layer) -> Encoder:
            name = begun.get(layer.diff_id)
            known = encoder_named(name) if name else None
            return known or choose_encoder(self._client.kind, self._progress.bytes_per_second)

        return choose

    def _check_budget(self, lacking: int) -> None:
        """Raises ProblemError `push.budget`."""
        if self._allowance.used_up:
            raise ProblemError(
                "push.budget",
                f"{size(self._allowance.budget_bytes)} were sent, which is all that may be;"
                f" {size(lacking)} (before compression) are still to come",
                params={"budget_bytes": self._allowance.budget_bytes, "left_bytes": lacking},
                hint="The node keeps what it has, and its job waits for the rest: run the same"
                " command again, when more may be sent.",
            )

    async def _until_asked(self) -> None:
        """Wait until the job has waited for layers for longer than it takes to find them."""
        waited = 0.0
        while waited < ASK_AGAIN_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
            job = self.state.job
            waits = job is not None and job.stage in AWAITING_LAYERS
            waited = waited + LOOK_SECONDS if waits else 0.0

    def _seen(self, job: Job) -> None:
        self.state.job = job
        self._asking.moved()
        self._changed()

    def _sent(self, layer: Layer, position: int, count: int) -> None:
        progress, state = self._progress, self.state
        progress.went(layer, position, count)
        state.sent_bytes, state.done_bytes = progress.sent_bytes, progress.done_bytes
        state.total_bytes = progress.total_bytes
        state.bytes_per_second = progress.bytes_per_second
        state.seconds_left = progress.seconds_left
        state.trouble = None
        self._changed()

    def _quiet_until(self, text: str | None) -> None:
        self.state.note = text
        self._changed()

    def _asking_pauses(self, why: str | None) -> None:
        if self.state.stage != "sending":
            self.state.trouble = why
            self._changed()

    def _sending_pauses(self, why: str | None) -> None:
        if self.state.stage == "sending":
            self.state.trouble = why
            self._changed()

    def _stage(self, stage: Stage) -> None:
        self.state.stage, self.state.trouble = stage, None
        self._changed()


def _raise_from(sending: asyncio.Task[None], job: Job) -> None:
    """What ended the sending, which ends only that way."""
    try:
        sending.result()
    except ProblemError as problem:
        if "job" in problem.params:
            problem.hint = f"{problem.hint} Its job {job.id} was cancelled."
        elif problem.code.startswith("archive."):
            problem.hint = (
                f"{problem.hint or 'Take another copy.'} The node waits for it as job {job.id}:"
                f" push a whole copy, or end that: roost job cancel {job.id}"
            )
        raise
