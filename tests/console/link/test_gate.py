"""Never too many handshakes at once, and the dead never hold up the living."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from console.link.gate import HandshakeGate


async def most_at_once(gate: HandshakeGate, jumps: Sequence[str | None]) -> Counter[str | None]:
    """Every caller stays until nobody more can get in; the most that were in, by jump host."""
    inside: Counter[str | None] = Counter()
    most: Counter[str | None] = Counter()

    async def shake_hands(jump: str | None) -> None:
        async with gate.place(jump):
            inside[jump] += 1
            inside["all"] += 1
            most[jump] = max(most[jump], inside[jump])
            most["all"] = max(most["all"], inside["all"])
            for _ in range(5):
                await asyncio.sleep(0)
            inside[jump] -= 1
            inside["all"] -= 1

    await asyncio.gather(*(shake_hands(jump) for jump in jumps))
    return most


async def test_eight_in_all_and_four_behind_a_jump_host() -> None:
    most = await most_at_once(HandshakeGate(), [None] * 30 + ["bastion"] * 30)
    assert most["all"] == 8
    assert most["bastion"] <= 4
    most = await most_at_once(HandshakeGate(), ["a"] * 10 + ["b"] * 10)
    assert most == {"a": 4, "b": 4, "all": 8}


async def test_a_place_is_not_held_for_ever() -> None:
    gate = HandshakeGate(total=1, hold_seconds=0.01)
    async with gate.place("dead"):
        most = await asyncio.wait_for(most_at_once(gate, ["living"]), 5)
        assert most["living"] == 1
    # The late leaving of the first has not made room for two.
    assert (await most_at_once(gate, [None] * 5))["all"] == 1


async def test_a_cancelled_wait_takes_no_place() -> None:
    gate = HandshakeGate(total=1, per_jump_host=1, hold_seconds=60)
    async with gate.place(None):
        waiting = asyncio.create_task(most_at_once(gate, ["bastion"]))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert (await most_at_once(gate, ["bastion"]))["bastion"] == 1
