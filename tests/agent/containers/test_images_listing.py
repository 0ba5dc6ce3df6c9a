"""A list of images that the runtime refuses because one of them went away meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.containers.images import LIST_TRIES
from agent.protocol.problems import ProblemError
from tests.agent.containers.scripted import ScriptedRuntime, following, said

GONE = {"message": "NotFound: content digest sha256:1234: not found"}


async def test_it_is_asked_for_again(scripted: ScriptedRuntime, tmp_path: Path) -> None:
    times = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal times
        times += 1
        await (said(GONE, 404) if times < LIST_TRIES else said([]))(writer)

    scripted.answer(r"/images/json", answer)
    async with following(scripted, tmp_path) as runtime:
        assert await runtime.images() == []
    assert times == LIST_TRIES


@pytest.mark.parametrize(
    ("status", "words", "times"),
    [(404, GONE, LIST_TRIES), (500, GONE, LIST_TRIES), (500, {"message": "a bug"}, 1)],
)
async def test_not_for_ever(
    scripted: ScriptedRuntime, tmp_path: Path, status: int, words: dict[str, str], times: int
) -> None:
    scripted.answer(r"/images/json", said(words, status))
    async with following(scripted, tmp_path) as runtime:
        with pytest.raises(ProblemError) as raised:
            await runtime.images()
    assert raised.value.params["status"] == status
    assert sum("/images/json" in asked for asked in scripted.asked) == times
