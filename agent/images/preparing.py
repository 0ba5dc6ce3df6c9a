"""From a request to a plan that fits: room is made, and the space for it is reserved."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agent.images.freeing import Freeing
from agent.images.planning import Planned, Planner
from agent.images.space import Space
from agent.jobs.work import Work
from agent.protocol.images import ImageContent, ImportRequest, LoadRequest
from agent.protocol.node_files import NodeFile
from agent.protocol.problems import ProblemError
from agent.protocol.signatures import SignedManifest

PLAN_SECONDS = 120.0
# Removing one large image from a slow disk takes minutes.
ROOM_SECONDS = 1800.0
# What was removed may not have freed what it took by itself; then more has to go.
ROUNDS = 3


class Preparer:
    """Prepares loads on one node."""

    def __init__(self, *, planner: Planner, freeing: Freeing, space: Space) -> None:
        self._planner, self._freeing, self._space = planner, freeing, space

    async def prepare(
        self,
        work: Work[LoadRequest] | Work[ImportRequest],
        contents: Sequence[ImageContent],
        files: Sequence[NodeFile] = (),
        *,
        signed: Sequence[SignedManifest] = (),
        on_node: Collection[str] = (),
        copied: bool = False,
    ) -> Planned:
        """See `Planner.plan`; what it answers frees nothing any more, and its space is reserved.

        Raises:
            ProblemError: `space.short`, and those of `Planner.plan` and `Freeing.make_room`.
        """
        holder = work.job.id
        for _ in range(ROUNDS):
            await work.stage("planning", PLAN_SECONDS)
            while True:
                make_room = work.request.make_room
                planned = await self._planner.plan(
                    contents,
                    files,
                    signed=signed,
                    on_node=on_node,
                    copied=copied,
                    holder=holder,
                    make_room=make_room,
                )
                if make_room == work.request.make_room:  # else somebody gave the word meanwhile
                    break
            planned.check()
            self._space.reserve(planned.claims, holder=holder)
            if not planned.answer.frees:
                return planned
            await work.stage("making room", ROOM_SECONDS)
            await self._freeing.make_room(planned.answer.frees, holder=holder, told=work.log)
        raise ProblemError(
            "space.short",
            "what could be removed was removed, and there is still not enough space",
            params={"rounds": ROUNDS},
            hint="Something else fills the disk meanwhile; look with df and docker system df.",
        )
