"""Memory that threads share."""

from __future__ import annotations

import contextlib
import threading

from images.detector.server.shares import Shares

WHOLE = 10
TAKERS = (3, 7, 10, 1, 25, 4, 4, 4, 9, 2)


def test_no_more_is_taken_than_there_is_and_each_has_its_turn() -> None:
    shares, lock = Shares(WHOLE), threading.Lock()
    now, most, served = 0, 0, 0

    def take(share: int) -> None:
        nonlocal now, most, served
        for _ in range(50):
            with shares.taking(share):
                with lock:
                    now += min(share, WHOLE)
                    most = max(most, now)
                with lock:
                    now -= min(share, WHOLE)
                    served += 1

    threads = [threading.Thread(target=take, args=(share,)) for share in TAKERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= WHOLE
    assert served == 50 * len(TAKERS)


def test_what_fails_gives_back() -> None:
    shares = Shares(WHOLE)
    for _ in range(3):
        with contextlib.suppress(ZeroDivisionError), shares.taking(WHOLE):
            _ = 1 / 0
