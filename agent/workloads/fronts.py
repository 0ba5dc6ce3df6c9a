"""What a deployment does to the proxies of its workloads. Each step finds done what is done."""

from __future__ import annotations

import asyncio

from agent.protocol.problems import ProblemError
from agent.traffic.state import Front, SlotName, Target
from agent.traffic.traffic import Traffic
from agent.workloads.attempt import Attempt
from agent.workloads.containers import RUNNING, Containers
from agent.workloads.records import OldContainer, Part

ALL = 100
LOOK_SECONDS = 0.2
# A container that serves already, in another place: that it is reached there too is soon known.
SETTLE_SECONDS = 10.0


class Fronts:
    """Moves new requests between the containers of one node's workloads.

    A proxy is written before it is told, so whoever takes the deployment up finds what holds.
    """

    def __init__(self, traffic: Traffic, containers: Containers) -> None:
        self._traffic, self._containers = traffic, containers

    async def check(self, attempt: Attempt, part: Part) -> None:
        """Before anything is touched. Raises ProblemError `traffic.*`."""
        if part.front is not None:
            binds = part.front.binds - part.published_before
            await attempt.do(self._traffic.check, part.name, binds)

    async def beside(self, attempt: Attempt, part: Part, new: str) -> None:
        """Where it shares: its proxy reaches the new container, which gets nothing yet.

        Raises:
            ProblemError: `traffic.*`, `deploy.unwell`: the proxy does not reach it.
        """
        if part.shifts:
            await self.share(attempt, part, new, weight=0)
            await self._until_reached(attempt, part, "candidate")

    async def share(self, attempt: Attempt, part: Part, new: str, *, weight: int) -> None:
        """The new container gets so many percent of new requests. Raises ProblemError."""
        if part.shifts and part.old is not None and part.old.front and part.front:
            targets: dict[SlotName, Target] = {
                "stable": Target(container=part.old.id, front=part.old.front, weight=ALL - weight),
                "candidate": Target(container=new, front=part.front, weight=weight),
            }
            await attempt.do(self._traffic.put, part.name, targets)

    async def refused(self, attempt: Attempt, part: Part) -> str | None:
        """Where it shares: that its proxy is taken no connection by the new one; None: not known to
        be so."""
        if not part.shifts:
            return None
        why = await attempt.do(self._traffic.refuses, part.name, "candidate")
        return None if why is None else f"{part.name}: its proxy does not reach it: {why}"

    async def hand_over(self, attempt: Attempt, part: Part, new: str) -> None:
        """Where it does not share: the new container is all that its proxy has.

        Raises:
            ProblemError: `traffic.*`, `deploy.unwell`.
        """
        if part.front is not None and not part.shifts:
            await self._alone(attempt, part, new, part.front)
            await self._until_reached(attempt, part, "stable")

    async def drain(self, attempt: Attempt, part: Part, new: str) -> None:
        """Where it shares: the new one gets all, and the old one has answered what it got."""
        if part.shifts:
            await self.share(attempt, part, new, weight=ALL)
            if not await attempt.do(self._traffic.drain, part.name, "stable"):
                attempt.log(
                    f"{part.name}: what the old container was given goes on, and is cut off"
                )

    async def settle(self, attempt: Attempt, part: Part, new: str) -> None:
        """What was new is the stable one from now on."""
        if part.front is not None:
            await self._alone(attempt, part, new, part.front)

    async def give_up(self, attempt: Attempt, part: Part) -> None:
        """Where it shall publish its ports itself again: its proxy goes, and they are free."""
        if part.front is None and part.old is not None and part.old.front is not None:
            await attempt.do(self._traffic.put, part.name, {})

    # The way back

    async def hold_back(self, attempt: Attempt, part: Part) -> None:
        """At once, whoever else is at work on it: where both run, the new one gets nothing more."""
        if not part.shifts or part.old is None:
            return
        try:
            there = await attempt.do(self._traffic.targets, part.name)
            stable = there.get("stable")
            if stable is not None and stable.container == part.old.id and len(there) > 1:
                back: dict[SlotName, Target] = {
                    name: Target(
                        container=each.container,
                        front=each.front,
                        weight=ALL if name == "stable" else 0,
                    )
                    for name, each in there.items()
                }
                await attempt.do(self._traffic.put, part.name, back)
        except ProblemError as problem:
            attempt.log(f"{part.name}: {problem.detail}; it is tried again")

    async def turn_back(self, attempt: Attempt, part: Part) -> None:
        """First of all: the old container gets all new requests, or its port is free for it.

        Where the old one has to be started for that, it is waited for as long as the new one
        answers. What cannot be done here does not hold the way back up.
        """
        if part.stays or part.front is None:
            return
        try:
            if part.old is None or part.old.front is None:
                await attempt.do(self._traffic.put, part.name, {})
            elif part.shifts:
                await self._turn_back(attempt, part, part.old)
        except ProblemError as problem:
            if problem.code.startswith("store."):
                raise
            attempt.log(f"{part.name}: {problem.detail}; it goes back without its proxy")

    async def restore(self, attempt: Attempt, part: Part, old: str) -> None:
        """Last: the old container is all that its proxy has."""
        if not part.stays and part.old is not None and part.old.front is not None:
            await self._alone(attempt, part, old, part.old.front)

    async def _turn_back(self, attempt: Attempt, part: Part, old: OldContainer) -> None:
        there = dict(await attempt.do(self._traffic.targets, part.name))
        new = await attempt.do(self._containers.candidate, part, attempt.id)
        container = await attempt.do(self._containers.find, old.id)
        if old.front is None or container is None:
            return
        slot: SlotName = "stable"
        if "stable" in there and there["stable"].container != old.id:
            slot = "spare1"  # the deployment is done: the new one has its place
        after: dict[SlotName, Target] = {
            name: Target(container=each.container, front=each.front, weight=0)
            for name, each in there.items()
            if each.container == new
        }
        if container.state not in RUNNING:
            await attempt.do(self._containers.start, old.id)
            waiting = Target(container=old.id, front=old.front, weight=0)
            await attempt.do(self._traffic.put, part.name, {**there, slot: waiting})
            await self._while_the_new_one_answers(attempt, part, slot, list(after))
        all_of_it = Target(container=old.id, front=old.front, weight=ALL)
        await attempt.do(self._traffic.put, part.name, {**after, slot: all_of_it})
        attempt.log(f"{part.name}: new requests go to the old container")
        for name in after:
            await attempt.do(self._traffic.drain, part.name, name)

    async def _while_the_new_one_answers(
        self, attempt: Attempt, part: Part, old: SlotName, new: list[SlotName]
    ) -> None:
        until = asyncio.get_running_loop().time() + part.start_deadline
        while asyncio.get_running_loop().time() < until:
            if await attempt.do(self._traffic.unreached, part.name, old) is None:
                return
            for name in new:
                if await attempt.do(self._traffic.unreached, part.name, name) is None:
                    break
            else:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _alone(self, attempt: Attempt, part: Part, container: str, front: Front) -> None:
        """All that its proxy has is this container, in the place of the stable one.

        One that serves from another place does so until the proxy has looked at this one: a check
        of who was here before may still be under way, and fail.
        """
        there = await attempt.do(self._traffic.targets, part.name)
        serving: dict[SlotName, Target] = {
            name: each
            for name, each in there.items()
            if name != "stable" and each.container == container and each.weight
        }
        target = Target(container=container, front=front, weight=ALL)
        if serving:
            waiting = Target(container=container, front=front, weight=0)
            await attempt.do(self._traffic.put, part.name, {**serving, "stable": waiting})
            await self._reached(attempt, part, "stable", SETTLE_SECONDS)
        await attempt.do(self._traffic.put, part.name, {"stable": target})

    async def _reached(
        self, attempt: Attempt, part: Part, slot: SlotName, seconds: float
    ) -> str | None:
        """Wait so long at most; then why the proxy does not reach it."""
        until = asyncio.get_running_loop().time() + seconds
        while why := await attempt.do(self._traffic.unreached, part.name, slot):
            if asyncio.get_running_loop().time() >= until:
                return why
            await asyncio.sleep(LOOK_SECONDS)
        return None

    async def _until_reached(self, attempt: Attempt, part: Part, slot: SlotName) -> None:
        why = await self._reached(attempt, part, slot, part.start_deadline)
        if why is not None:
            raise ProblemError(
                "deploy.unwell",
                f"{part.name}: its proxy does not reach the new container: {why}",
                params={"workload": part.name},
                hint="The port that it publishes must be one that it listens on, on all of"
                " its addresses, and the node must reach its network.",
            )
