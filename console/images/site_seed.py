"""The seed of a site: the one node that gets the layers over the slow link, and serves them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from random import Random

from agent.archives.encoders import Encoder, encoder_named
from agent.archives.index import ArchiveIndex
from agent.protocol.images import Layer, WantedLayer
from agent.protocol.problems import ProblemError
from agent.protocol.site import SiteGrant
from console.images.encoding import choose_encoder
from console.images.encodings import Encodings
from console.images.granting import Granting
from console.images.patience import LINK_TROUBLE, Patience
from console.images.progress import Progress
from console.images.rate import Allowance
from console.images.sending import Sender
from console.link.client import NodeClient
from console.link.deadline import within

# How long its link may bring nothing through until it is asked whether others are better off.
PATIENCE_SECONDS = 30.0
# Its own push reserves its space and says how its layers were begun: waited for so long.
OWN_PUSH_SECONDS = 15.0
# How soon a layer that was sent is looked for in its store, and how soon again.
LOOK_SECONDS = 0.3
LOOK_AGAIN_SECONDS = 1.0
_SEND_AGAIN = (*LINK_TROUBLE, "upload.", "blob.")


class Seed:
    """One node as a seed, for one run.

    `held` are the layers that it can serve; `problem` is why it can do so no more. Who waits for
    either waits for `changed`.
    """

    def __init__(
        self,
        client: NodeClient,
        *,
        held: Collection[str],
        allowance: Allowance,
        at_once: int,
        random: Random,
        progress: Callable[[Progress], None],
    ) -> None:
        self.node = client.name
        self.held = set(held)
        self.problem: ProblemError | None = None
        self.sent_bytes = 0
        self._client, self._allowance, self._at_once = client, allowance, at_once
        self._random, self._told = random, progress
        self._progress = Progress()
        self._wanted: dict[str, Layer] = {}
        self._places: dict[str, ArchiveIndex] = {}
        self._begun: dict[str, Encoder] = {}
        self._arriving: set[str] = set()  # sent whole, and not seen there yet
        self._changed = asyncio.Event()
        self._own_push = asyncio.Event()
        self._granting = Granting()

    async def changed(self) -> None:
        """Wait until it holds more, wants more, or has failed."""
        await self._changed.wait()

    def want(self, layers: Sequence[Layer], places: dict[str, ArchiveIndex]) -> None:
        """Others need these from it: it shall have them."""
        for layer in layers:
            self._wanted[layer.diff_id] = layer
            self._places[layer.diff_id] = places[layer.diff_id]
        self._tell()

    def own_push_waits(self, wanted: Sequence[WantedLayer] = ()) -> None:
        """Its own push lacks these, or has ended: its space is reserved as far as it will be."""
        for layer in wanted:
            encoder = encoder_named(layer.encoder) if layer.encoder else None
            if encoder is not None:
                self._begun.setdefault(layer.diff_id, encoder)
        self._own_push.set()

    def fail(self, problem: ProblemError) -> None:
        """It is a seed no more."""
        self.problem = self.problem or problem
        self._tell()

    async def fill(self) -> None:
        """Send it what is wanted and what it lacks; ends only with a problem.

        Raises:
            ProblemError: `link.*` and the like when nothing went through for
                `PATIENCE_SECONDS`; `push.budget`; any other at once.
        """
        patience = Patience(
            give_up_seconds=PATIENCE_SECONDS, random=self._random, again=_SEND_AGAIN
        )
        with contextlib.suppress(asyncio.TimeoutError):
            await within(OWN_PUSH_SECONDS, self._own_push.wait())
        if (quiet := self._allowance.quiet) is not None and quiet.zone is None:
            with contextlib.suppress(ProblemError):
                quiet.zone = (await self._client.node()).host.timezone
        encodings = Encodings()
        try:
            await self._fill(patience, encodings)
        finally:
            await encodings.close()

    async def _fill(self, patience: Patience, encodings: Encodings) -> None:
        while True:
            missing = [self._wanted[name] for name in self._wanted if name not in self.held]
            if not missing:
                await self.changed()
                patience.moved()
                continue
            if self._allowance.used_up:
                raise _budget(self._allowance)
            if await self._allowance.until_loud():
                patience.moved(by_us=False)
            try:
                await self._send(missing, patience, encodings)
                await self.look([layer.diff_id for layer in missing])
            except ProblemError as problem:
                if problem.code == "upload.locked":  # another console brings it
                    patience.moved(by_us=False)
                await patience.pause(problem)

    async def look(self, diff_ids: Collection[str]) -> None:
        """Ask which of these it holds now. Raises ProblemError."""
        found = await self._client.sites.held(list(diff_ids))
        self.held = (self.held - set(diff_ids)) | found
        self._arriving -= found
        self._tell()

    async def grant(self) -> SiteGrant:
        """A grant for all that is wanted from it, a new one where the last one will not do.

        Raises:
            ProblemError: `site.*`, `link.*`.
        """
        return await self._granting.grant(self._client.sites, self._wanted)

    async def look_again(self) -> None:
        """Ask what it holds of all that is wanted: it lacked something."""
        with contextlib.suppress(ProblemError):
            await self.look(list(self._wanted))

    def forget_grant(self) -> None:
        """It knows the last one no more."""
        self._granting.forget()

    async def answers(self, seconds: float) -> bool:
        """Whether it is there and still listens for its site."""
        return await answering(self._client, seconds) is True

    async def _send(
        self, missing: Sequence[Layer], patience: Patience, encodings: Encodings
    ) -> None:
        self._progress.planned(
            [WantedLayer(diff_id=layer.diff_id, size_bytes=layer.size_bytes) for layer in missing]
        )

        def sent(layer: Layer, position: int, count: int) -> None:
            patience.moved()
            self.sent_bytes += count
            self._progress.went(layer, position, count)
            if position >= layer.size_bytes:
                self._arriving.add(layer.diff_id)
            self._told(self._progress)

        sender = Sender(
            self._client.uploads,
            encodings,
            encoder=self._encoder,
            allowance=self._allowance,
            sent=sent,
            at_once=self._at_once,
        )
        looking = asyncio.create_task(self._keep_looking())
        try:
            await sender.send(
                missing, {layer.diff_id: self._places[layer.diff_id] for layer in missing}
            )
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _keep_looking(self) -> None:
        """Layers that have just been sent whole are there a moment later: say so at once."""
        pause = LOOK_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = LOOK_SECONDS
            if self._arriving:
                with contextlib.suppress(ProblemError):
                    await self.look(set(self._arriving))
                if self._arriving:
                    pause = LOOK_AGAIN_SECONDS

    def _encoder(self, layer: Layer) -> Encoder:
        """As it was begun; else what suits the link now, and that from then on."""
        usual = choose_encoder(self._client.kind, self._progress.bytes_per_second)
        return self._begun.setdefault(layer.diff_id, usual)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def answering(client: NodeClient, seconds: float) -> bool | None:
    """Whether a node says that it listens for its site; None: it does not answer."""
    try:
        status = await within(seconds, client.sites.status())
    except asyncio.TimeoutError:
        return None
    except ProblemError as problem:
        return None if problem.code.startswith(LINK_TROUBLE) else False
    return status.listening


def _budget(allowance: Allowance) -> ProblemError:
    return ProblemError(
        "push.budget",
        f"{allowance.budget_bytes} bytes were sent to the seed, which is all that may be",
        params={"budget_bytes": allowance.budget_bytes},
        hint="The nodes keep what they have: run the same command again, when more may be sent.",
    )
