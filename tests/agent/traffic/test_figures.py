"""From lines of a proxy's log, and its counters, to the figures of two arms."""

from __future__ import annotations

import pytest

from agent.protocol.arms import bucket_of
from agent.traffic.admin import Counters
from agent.traffic.lines import Answer, answer_of
from agent.traffic.listening import framed
from agent.traffic.tally import Tally

LINE = "r b-all-8080 candidate {status} {why} 0 1 {ms} 1000000 {us} 1005000"


def line(status: int = 200, why: str = "--", ms: int = 4, us: str = "4200") -> bytes:
    return LINE.format(status=status, why=why, ms=ms, us=us).encode()


@pytest.mark.parametrize(
    ("text", "error", "microseconds"),
    [
        (line(), False, 4200),
        (line(500), True, None),
        (line(404), False, 4200),
        (line(503, "SC", -1, "-"), True, None),  # no connection
        (line(502, "SH", -1, "-"), True, None),  # no answer
        (line(504, "sH", -1, "-"), True, None),  # none in time
        (line(200, "SD"), True, None),  # cut off in the middle
        (line(200, "CD"), False, 4200),  # the client went away, with the headers
        (line(-1, "CH", -1, "-"), False, 5000),  # and while it waited for them
        (line(-1, "CC", -1, "-"), False, 5000),  # or for a connection
        (line(-1, "cH", -1, "-"), False, 5000),
        (line(-1, "CR", -1, "-"), False, None),  # nobody waited: it was still asking
        (line(-1, "CH", -1, "-").replace(b"1005000", b"1"), False, None),
        (line(-1, "CH", -1, "-").replace(b"1005000", b"3601000000"), False, None),
        (line(us="-5000000"), False, 4000),  # the clock was set meanwhile
        (line(us="3600000000"), False, 4000),
    ],
)
def test_what_a_line_tells(text: bytes, *, error: bool, microseconds: int | None) -> None:
    answer = answer_of(text)
    assert answer is not None
    assert (answer.server, answer.error, answer.microseconds) == ("candidate", error, microseconds)


@pytest.mark.parametrize(
    ("status", "error"),
    # No status in the headers: it comes in trailers, where no proxy looks.
    [("-", False), ("0", False), ("5", False), ("13", True), ("14", True), ("99", False)],
)
def test_what_a_line_of_grpc_tells(status: str, *, error: bool) -> None:
    text = line().replace(b"r b-", b"g g-") + f" {status}".encode()
    answer = answer_of(text)
    assert answer is not None
    assert (answer.error, answer.microseconds) == (error, None if error else 4200)
    assert answer_of(text.replace(b"g g-", b"g b-")) is None
    assert answer_of(text.replace(b"g g-", b"r b-")) is None


@pytest.mark.parametrize(
    ("text", "error", "microseconds"),
    [
        (line(504, "sH", -1, "-"), True, 5000),  # HAProxy waited no longer
        (line(503, "sC", -1, "-"), True, 5000),
        (line(502, "SH", -1, "-"), True, None),
        (line(-1, "CH", -1, "-").replace(b"1005000", b"3601000000"), False, 3_600_000_000),
        (line(504, "sH", -1, "-").replace(b"1005000", b"86402000000"), True, 86_401_000_000),
        (line(504, "sH", -1, "-").replace(b"1005000", b"90000000000"), True, None),
    ],
)
def test_a_call_of_grpc_that_nobody_waited_for_has_a_latency(
    text: bytes, *, error: bool, microseconds: int | None
) -> None:
    """What failed shows in no other figure that is judged."""
    answer = answer_of(text.replace(b"r b-", b"g g-") + b" -")
    assert answer is not None
    assert (answer.error, answer.microseconds) == (error, microseconds)
    tally = Tally(clock=lambda: 0.0)
    tally.begin(50, ("stable", "candidate"))
    tally.take(answer)
    figures = tally._arms["candidate"]
    assert (figures.errors, sum(figures.latency.values())) == (error, microseconds is not None)


@pytest.mark.parametrize(
    "text",
    [b"", b"Server b-x/stable is DOWN", line()[:-8], line().replace(b"b-all", b"f-all"), b"\xff"],
)
def test_other_lines_tell_nothing(text: bytes) -> None:
    assert answer_of(text) is None


def test_lines_come_in_pieces() -> None:
    whole = b"3 abc12 defghijklmno0 5 12345"
    for cut in range(len(whole) + 1):
        first, rest = framed(whole[:cut])
        then, left = framed(rest + whole[cut:])
        assert (first + then, left) == ([b"abc", b"defghijklmno", b"", b"12345"], b"")
    with pytest.raises(ValueError, match="5000 bytes"):
        framed(b"5000 x")
    with pytest.raises(ValueError, match="invalid literal"):
        framed(b"what is")


class Bench:
    """A tally with a clock of its own, and the counters that its proxy would have."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.answered = 7  # before anybody looked
        self.redispatched = 3
        self.tally = Tally(clock=lambda: self.now)
        self.look()

    def answer(self, server: str = "candidate", *, told: bool = True, error: bool = False) -> None:
        self.now += 0.01
        self.answered += 1
        at = round(self.now * 1e6)
        if told:
            self.tally.take(
                Answer(
                    backend="b",
                    server=server,
                    error=error,
                    began=at - 5000,
                    ended=at,
                    microseconds=None if error else 4000,
                )
            )

    def look(self) -> None:
        self.now += 2
        self.tally.look(
            {
                ("b", "candidate"): Counters(redispatched=self.redispatched),
                ("b", "BACKEND"): Counters(responses=self.answered, redispatched=99),
            }
        )


def test_arms_are_counted_apart_and_per_window() -> None:
    bench = Bench()
    assert bench.tally.window() is None
    bench.answer()
    bench.tally.begin(10, ("stable", "candidate"))
    bench.answer("stable")
    bench.answer(error=True)
    bench.answer("<NOSRV>", error=True)
    first = bench.tally.window()
    assert first is not None
    assert (first.weight, first.lost) == (10, 0)
    assert first.arms["stable"].latency == {bucket_of(0.004): 1}
    assert (first.arms["candidate"].requests, first.arms["candidate"].errors) == (1, 1)
    bench.tally.begin(50, ("stable", "candidate"))
    second = bench.tally.window()
    assert second is not None
    assert (second.id != first.id, second.arms["stable"].requests) == (True, 0)
    bench.tally.end()
    assert bench.tally.window() is None


def test_a_request_that_nobody_took_is_of_who_was_to_get_all() -> None:
    bench = Bench()
    bench.tally.begin(100, ("stable", "candidate"))
    bench.answer()
    bench.answer("<NOSRV>", error=True)
    bench.answer("<NOSRV>")  # a bad request, which the proxy answers itself
    window = bench.tally.window()
    assert window is not None
    assert (window.arms["candidate"].requests, window.arms["candidate"].errors) == (2, 1)
    assert window.arms["stable"].requests == 0


def test_a_request_that_another_one_took_is_an_error_of_the_first() -> None:
    bench = Bench()
    bench.tally.begin(10, ("stable", "candidate"))
    bench.redispatched += 4
    bench.look()
    window = bench.tally.window()
    assert window is not None
    assert (window.arms["candidate"].requests, window.arms["candidate"].errors) == (4, 4)
    assert window.arms["stable"].requests == 0


def test_lines_that_are_lost_are_told_in_their_window() -> None:
    bench = Bench()
    bench.tally.begin(10, ("stable", "candidate"))
    for number in range(100):
        bench.answer(told=number % 10 != 0)
    for _ in range(2):
        bench.look()
    window = bench.tally.window()
    assert window is not None
    assert (window.lost, window.arms["candidate"].requests) == (10, 90)
    bench.tally.begin(20, ("stable", "candidate"))
    bench.answer()
    bench.look()
    bench.look()
    later = bench.tally.window()
    assert later is not None
    assert later.lost == 0
    bench.answered = 0
    bench.tally.restarted()  # counters from zero: nothing is lost
    bench.look()
    bench.answer()
    bench.look()
    bench.look()
    anew = bench.tally.window()
    assert anew is not None
    assert (anew.lost, anew.weight, anew.id != later.id) == (0, 20, True)
