"""What is counted in the model's thread while the loop shows it."""

from __future__ import annotations

import threading

from images.detector.server.rate import Rate


class Slow(int):
    """While it is added up, a run of the model ends in another thread."""

    rate: Rate
    runs: list[threading.Thread]

    def __radd__(self, other: int) -> int:
        run = threading.Thread(target=self.rate.add, args=(1,))
        self.runs.append(run)
        run.start()
        # Where nothing holds it up it ends here; else it waits for this sum, and is joined in vain.
        run.join(0.2)
        return int(self) + other


def test_a_run_that_ends_while_the_rate_is_read() -> None:
    rate = Slow.rate = Rate(1000.0)
    Slow.runs = []
    for _ in range(2):
        rate.add(Slow(500))
    assert rate.per_second() == 1.0
    for run in Slow.runs:
        run.join()
    assert len(Slow.runs) == 2
