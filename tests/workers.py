"""Files go to pytest-xdist's workers whole, the long ones first; a worker that dies costs one test.

Left to itself, xdist gives out first the files with the most tests, and last the few that kill an
agent at every step, each of them minutes long: all but one worker would be idle.

With xdist 3.8 a run by files waits for ever when a worker dies near its end: the worker that takes
its place gets the tests that are left, but a worker starts a test only once it knows the next one
or that there is none, and nobody tells it. The test that killed the worker would run again, too,
and kill the next one.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

# As many others take as long as one test on real parts does, or so.
REAL = 10


class Files(LoadFileScheduling):  # type: ignore[misc]
    """`--dist loadfile`, which survives its workers."""

    def schedule(self) -> None:
        """Give work; the second time tells who has one test that it is the last, or the next."""
        super().schedule()
        if self.collection is not None:
            super().schedule()

    def remove_node(self, node: WorkerController) -> str | None:
        """The test that a dead worker ran, if any; the rest of its work is for the others."""
        work: dict[str, dict[str, bool]] = self.assigned_work.pop(node)
        left = {
            file: {test: False for test, done in tests.items() if not done}
            for file, tests in work.items()
        }
        running = next((test for tests in left.values() for test in tests), None)
        if running is None:
            return None
        for file, tests in left.items():
            tests.pop(running, None)
            if tests:
                self.workqueue[file] = tests
        return running

    def mark_test_pending(self, item: str) -> None:
        """With `--reruns`, the test that killed a worker is tried once more."""
        self.workqueue.setdefault(self._split_scope(item), {})[item] = False


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only in a worker: what a person runs alone stays in the order of the folders."""
    if not hasattr(config, "workerinput"):
        return
    weights: Counter[Path] = Counter()
    for item in items:
        weights[item.path] += REAL if item.get_closest_marker("real") else 1
    items.sort(key=lambda item: (-weights[item.path], str(item.path)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Any:
    """Only for `--dist loadfile`; the order is that of the collection."""
    config.option.loadscopereorder = False
    return Files(config, log) if config.getvalue("dist") == "loadfile" else None
