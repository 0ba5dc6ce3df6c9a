"""Memory that threads share."""

from __future__ import annotations

import contextlib
import threading

from images.detector.server.shares import Shares
from tests.waiting import wait_until

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


def test_who_wants_all_of_it_is_not_overtaken() -> None:
    shares = Shares(WHOLE)
    served: list[str] = []
    goes_on = threading.Event()

    def take(share: int, name: str) -> None:
        with shares.taking(share):
            served.append(name)
            goes_on.wait()

    threads = [
        threading.Thread(target=take, args=each)
        for each in ((1, "first"), (WHOLE, "all"), (1, "small"))
    ]
    threads[0].start()
    wait_until(lambda: served)
    threads[1].start()
    wait_until(shares._next.locked)
    threads[2].start()
    assert served == ["first"]
    goes_on.set()
    for thread in threads:
        thread.join()
    assert served == ["first", "all", "small"]
