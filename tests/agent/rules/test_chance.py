"""Chance that can be repeated."""

from __future__ import annotations

from agent.rules.chance import repeatable


def test_a_seed_gives_the_same_draws_in_every_process() -> None:
    chance = repeatable("cam-01/gpu/0")
    assert [chance.randrange(1000) for _ in range(3)] == [73, 358, 979]
    assert repeatable("cam-01/gpu/1").random() != repeatable("cam-01/gpu/0").random()
