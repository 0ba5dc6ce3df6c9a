"""One push to one node: plan, job, layers, and the job's end."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Literal, TypeVar

import msgspec

from agent.archives.encoders import Encoder, encoder_named
from agent.archives.index import ArchiveIndex
from agent.protocol.images import Layer, LoadPlan
from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from console.fleet.back_off import REFUSALS, BackOff
from console.images.archives import Cargo, cargo_for, layers_of
from console.images.encoding import choose_encoder
from console.images.following import ended_well
from console.images.rate import RateLimit, RateMeter
from console.images.sending import Sender
from console.link.client import NodeClient

# How long a link may bring nothing through before this console gives up; the job waits longer.
GIVE_UP_SECONDS = 15 * 60.0
LOOK_SECONDS = 1.0
# After these the same layers are sent again, from where the node has them.
_ASK_AGAIN = ("link.", "ssh.", "node.stopping", "node.not_ready")
_SEND_AGAIN = (*_ASK_AGAIN, "upload.", "blob.")

T = TypeVar("T")

Stage = Literal["connecting", "planning", "sending", "waiting", "done", "failed"]


class PushState(msgspec.Struct, kw_only=True):
    """How far one node is."""

    node: str
    stage: Stage = "connecting"
    job: Job | None = None
    plan: LoadPlan | None = None
    sent_bytes: int = 0  # over the link, encoded
    done_bytes: int = 0  # of `total_bytes`
    total_bytes: int = 0  # unpacked, of the layers that were lacking when it last looked
    bytes_per_second: float = 0.0
    trouble: str | None = None  # why it pauses, while it tries again
    problem: ProblemError | None = None  # how it ended
    images: dict[str, str] = {}  # tag: id on the node


class Push:
    """Brings the images of some archives to one node, over a link that may be cut."""

    def __init__(
        self,
        client: NodeClient,
        archives: Sequence[ArchiveIndex],
        *,
        limit: RateLimit,
        on_change: Callable[[], None] = lambda: None,
        give_up_seconds: float = GIVE_UP_SECONDS,
        random: Random,
    ) -> None:
        self.state = PushState(node=client.name)
        self._client, self._archives, self._limit = client, archives, limit
        self._changed = on_change
        self._give_up_seconds = give_up_seconds
        # Another push of the same finds the job while it is under way, by its content.
        self._key = secrets.token_hex(16)
        self._back_off = BackOff(random)
        self._meter = RateMeter()
        self._positions: dict[str, int] = {}
        self._moved_at = time.monotonic()

    async def run(self) -> PushState:
        """Do it; how it went is in the state. A cancellation leaves the job to go on waiting."""
        try:
            await self._run()
            self._stage("done")
        except ProblemError as problem:
            self.state.problem = problem
            self._stage("failed")
        return self.state

    async def check(self) -> LoadPlan:
        """What a push would do; nothing changes. Raises ProblemError."""
        cargo = await self._cargo()
        return await self._client.plan_images(cargo.request)

    async def _run(self) -> None:
        cargo = await self._again(self._cargo)
        self._stage("planning")
        plan = await self._again(lambda: self._client.plan_images(cargo.request))
        self.state.plan = plan
        if all(image.state == "present" for image in plan.images) and not plan.problems:
            self.state.images = {
                tag: image.config_digest for image in plan.images for tag in image.tags
            }
            return
        job = await self._again(lambda: self._client.load_images(cargo.request, self._key))
        self.state.job = job
        sending = asyncio.create_task(self._send(cargo))
        following = asyncio.create_task(self._follow(job.id))
        try:
            await asyncio.wait({sending, following}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                sending.result()  # raises: it ends only that way
            ended = await following
        finally:
            for task in (sending, following):
                task.cancel()
            await asyncio.gather(sending, following, return_exceptions=True)
        self.state.job = ended
        self.state.images = ended_well(ended).result

    async def _cargo(self) -> Cargo:
        facts = await self._client.node()
        return cargo_for(self._archives, architecture=facts.host.architecture)

    async def _send(self, cargo: Cargo) -> None:
        """Whatever the job waits for, until somebody cancels this.

        What is wanted is asked anew after each cut, and when the job waits again: a base image
        may have been removed meanwhile.
        """
        layers = layers_of(cargo)
        while True:
            plan = await self._again(lambda: self._client.plan_images(cargo.request))
            wanted = [layers[layer.diff_id] for layer in plan.wanted]
            if not wanted:
                self._stage("waiting")
                await self._until_asked()
                continue
            self._stage("sending")
            self.state.total_bytes = sum(layer.size_bytes for layer in wanted)
            self._positions.clear()
            sender = Sender(
                self._client.uploads,
                encoder=self._encoders({layer.diff_id: layer.encoder for layer in plan.wanted}),
                limit=self._limit,
                sent=self._sent,
            )
            places = {layer.diff_id: cargo.places[layer.diff_id] for layer in wanted}
            try:
                await sender.send(wanted, places)
            except ProblemError as problem:
                await self._pause(problem, _SEND_AGAIN)

    def _encoders(self, begun: dict[str, str | None]) -> Callable[[Layer], Encoder]:
        """What has begun goes on as it was begun, where this console can make those bytes."""
        usual = choose_encoder(self._client.kind, self._meter.bytes_per_second)

        def choose(layer: Layer) -> Encoder:
            name = begun.get(layer.diff_id)
            return (name and encoder_named(name)) or usual

        return choose

    async def _until_asked(self) -> None:
        """Wait until the job has been at something else, and then waits for layers again."""
        been_on = False
        while self.state.job is None or self.state.job.stage != "receiving" or not been_on:
            been_on = been_on or (
                self.state.job is not None and self.state.job.stage in {"loading", "verifying"}
            )
            await asyncio.sleep(LOOK_SECONDS)

    async def _follow(self, job_id: str) -> Job:
        """The job when it has ended."""
        while True:
            job = await self._again(lambda: self._client.job(job_id))
            self.state.job = job
            self._changed()
            if job.state in ENDED:
                return job
            await asyncio.sleep(LOOK_SECONDS)

    async def _again(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` answers, however often the link is cut meanwhile."""
        while True:
            try:
                answer = await ask()
            except ProblemError as problem:
                await self._pause(problem, _ASK_AGAIN)
            else:
                self._moved_at = time.monotonic()
                self.state.trouble = None
                return answer

    async def _pause(self, problem: ProblemError, codes: tuple[str, ...]) -> None:
        """Wait before the next try; raise where another try would change nothing."""
        silent = time.monotonic() - self._moved_at
        if (
            not problem.code.startswith(codes)
            or problem.code in REFUSALS
            or silent > self._give_up_seconds
        ):
            raise problem
        self.state.trouble = problem.detail
        self._changed()
        await asyncio.sleep(self._back_off.after(problem.code))

    def _sent(self, layer: Layer, position: int, count: int) -> None:
        self._meter.add(count)
        self._positions[layer.diff_id] = position
        self.state.done_bytes = sum(self._positions.values())
        self._moved_at = time.monotonic()
        self._back_off.reset()
        self.state.trouble = None
        self.state.sent_bytes += count
        self.state.bytes_per_second = self._meter.bytes_per_second
        self._changed()

    def _stage(self, stage: Stage) -> None:
        self.state.stage = stage
        self._changed()
