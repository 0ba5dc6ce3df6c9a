"""The watch on blocking calls sees ours, and only ours."""

from __future__ import annotations

import asyncio
import types
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockingError

ROOT = Path(__file__).parent.parent
SOURCE = """
import asyncio, time

async def awaits():
    time.sleep(0)

def plain():
    time.sleep(0)

def soon(loop, done):
    def callback():
        try:
            time.sleep(0)
        except Exception as error:
            done.set_result(error)
        else:
            done.set_result(None)
    loop.call_soon(callback)

async def in_a_thread():
    await asyncio.to_thread(time.sleep, 0)
"""


def module(folder: str) -> Any:
    """The sample as if it lay in this folder of the repository."""
    made = types.ModuleType("sample")
    exec(compile(SOURCE, str(ROOT / folder / "sample.py"), "exec"), made.__dict__)  # noqa: S102 - our own text
    return made


@pytest.mark.parametrize("package", ["agent", "console/link"])
async def test_a_coroutine_of_ours_may_not_block(package: str) -> None:
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        await module(package).awaits()


async def test_a_callback_of_ours_may_not_block() -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Exception | None] = loop.create_future()
    module("agent").soon(loop, done)
    assert isinstance(await done, BlockingError)


async def test_what_may_block() -> None:
    await module("agent").in_a_thread()
    module("agent").plain()  # a test calls it itself
    await module("tests").awaits()


def test_without_a_loop_nothing_is_watched() -> None:
    module("agent").plain()
