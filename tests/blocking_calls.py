"""Fails a test in which our code blocks the event loop: files, sleep, sockets, SQLite.

Watched is what agent and console do, and only while the test itself runs: what its fixtures start
may read its files before it serves. A plain function that the test calls itself may block, too; it
is the test that chose to call it on the loop.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import FrameType

import pytest
from blockbuster import BlockBuster

WATCHED = ["agent", "console"]
WATCH = pytest.StashKey[BlockBuster]()
TESTS = str(Path(__file__).parent)
ASYNCHRONOUS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def called_by_a_test() -> bool:
    """Whether a test's frame is below, with nothing asynchronous in between."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(TESTS) and code.co_filename != __file__:
            return True
        if code.co_flags & ASYNCHRONOUS:
            return False
        frame = frame.f_back
    return False


def watch() -> BlockBuster:
    """What is watched for, not yet active."""
    made = BlockBuster(scanned_modules=WATCHED)
    for name, function in made.functions.items():
        if name.startswith("sqlite3."):
            function.can_block_in("agent/store/database.py", "in_memory")
        function.can_block_predicate = _or_called_by_a_test(function.can_block_predicate)
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Watch a test with an event loop; other tests may block."""
    if not inspect.iscoroutinefunction(getattr(item, "obj", None)):
        return (yield)
    if WATCH not in item.config.stash:
        item.config.stash[WATCH] = watch()
    active = item.config.stash[WATCH]
    active.activate()
    try:
        return (yield)
    finally:
        active.deactivate()


def _or_called_by_a_test(may_block: Callable[..., bool]) -> Callable[..., bool]:
    return lambda *args, **kwargs: may_block(*args, **kwargs) or called_by_a_test()
