"""Files go to pytest-xdist's workers whole, and a worker that dies costs one test, not the run.

With xdist 3.8 a run by files waits for ever when a worker dies near its end: the worker that takes
its place gets the tests that are left, but a worker starts a test only once it knows the next one
or that there is none, and nobody tells it. The test that killed the worker would run again, too,
and kill the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController


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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Any:
    """Only for `--dist loadfile`."""
    return Files(config, log) if config.getvalue("dist") == "loadfile" else None
