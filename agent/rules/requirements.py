"""The `NVIDIA_REQUIRE_*` constraints of images, evaluated as libnvidia-container does.

Its rules (src/cli/dsl.c and configure.c, and the toolkit's cuda_image.go): spaces separate
alternatives, commas what must hold together; a term is a name, an operator and a value. Terms are
looked at from left to right until the outcome is clear, so that a mistake behind that goes
unnoticed, here as there. What is not known of the driver or the GPU is taken as satisfied.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

from agent.protocol.compatibility import CUDA_VERSION_VARIABLE, ImageNeeds

PREFIX = "NVIDIA_REQUIRE_"
CUDA_REQUIREMENT = f"{PREFIX}CUDA"
_LEFT_OUT = f"{PREFIX}JETPACK"

State = Literal["satisfied", "unsatisfied", "unknown_property", "invalid"]

_SYMBOLS = "<>=!"
_VERSION_CHARACTERS = frozenset("0123456789.")
# C's strtoumax gives this for a number that is too large.
_UINTMAX = 2**64 - 1
_UINTMAX_DIGITS = 20
# Size of the buffer in which a failed term is kept for the message, with the NUL at its end.
_TERM_BYTES = 128

Comparison = Callable[[int, int], bool]
# In the order in which they are tried: what is written needs only to be the operator's beginning.
_OPERATORS: tuple[tuple[str, Comparison], ...] = (
    ("=", operator.eq),
    ("!=", operator.ne),
    ("<", operator.lt),
    ("<=", operator.le),
    (">", operator.gt),
    (">=", operator.ge),
)

# As Go's semver takes it: no leading zeros, at most three numbers.
_NUMBER = r"(0|[1-9][0-9]*)"
_WORDS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_LEGACY = re.compile(rf"v?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}(?:-{_WORDS})?(?:\+{_WORDS})?)?)?")
_UINT32_DIGITS = 10


class Subject(NamedTuple):
    """What constraints are about; None is not known."""

    cuda: str | None = None  # the highest version that the driver runs: "12.2"
    driver: str | None = None
    arch: str | None = None  # compute capability
    brand: str | None = None


class Outcome(NamedTuple):
    """`term` is the offending one, or the last that did not hold."""

    state: State
    term: str = ""


class Requirement(NamedTuple):
    """A variable, or "CUDA_VERSION" of a legacy image, and its expression.

    An expression that the toolkit cannot make of a legacy image's version is None.
    """

    variable: str
    expression: str | None


def requirements(needs: ImageNeeds) -> list[Requirement]:
    """All that must hold for the image. None where it switches them off."""
    if needs.requires_disabled:
        return []
    found = [
        Requirement(name, expression)
        for name, expression in needs.requires.items()
        if name.startswith(PREFIX) and not name.startswith(_LEFT_OUT)
    ]
    cuda = needs.cuda
    legacy = cuda is not None and cuda.where == CUDA_VERSION_VARIABLE and bool(cuda.version)
    if legacy and cuda is not None and not needs.requires.get(CUDA_REQUIREMENT):
        found.append(Requirement("CUDA_VERSION", legacy_expression(cuda.version)))
    return found


def legacy_expression(version: str) -> str | None:
    """What the toolkit requires for an image that has CUDA_VERSION and no NVIDIA_REQUIRE_CUDA."""
    found = _LEGACY.fullmatch(version)
    if found is None:
        return None
    parts = (found[1], found[2] or "0")
    if any(len(part) > _UINT32_DIGITS or int(part) >= 2**32 for part in parts):
        return None
    return f"cuda>={'.'.join(parts)}"


def evaluate(expression: str, subject: Subject) -> Outcome:
    """Whether the expression holds. Never raises."""
    have = _have(subject)
    outcome = Outcome("satisfied")
    for alternative in _read(expression):
        for term in alternative:
            state = _state(term, have)
            if state != "satisfied":
                outcome = Outcome(state, term.text)
                break
        else:
            # Commas alone leave the outcome as it was, and end the search.
            return Outcome("satisfied") if alternative else outcome
        if state != "unsatisfied":
            return outcome
    return outcome


# The numbers of a version. What is wrong in it is a number below zero: it matters only where the
# comparison gets there.
_Numbers = tuple[int, ...]
_DOT_FIRST, _TOO_LARGE = -1, -2
_NO_VERSION: _Numbers = (-3,)


class _Have(NamedTuple):
    """A subject, ready to be compared."""

    cuda: _Numbers | None
    driver: _Numbers | None
    arch: _Numbers | None
    brand: bytes | None


class _Term(NamedTuple):
    """A term as read. One with a `fault` is nothing else."""

    text: str
    fault: State | None = None
    place: int = 0  # of its property in `_Have`
    compare: Comparison = operator.eq
    numbers: _Numbers = ()
    word: bytes = b""  # the value without case
    fits: bool = True  # into the buffer, if it does not hold


_PLACES = {name.encode(): place for place, name in enumerate(_Have._fields)}
_BRAND = _PLACES[b"brand"]


def _state(term: _Term, have: _Have) -> State:
    if term.fault is not None:
        return term.fault
    held: bool | None
    if term.place == _BRAND:
        if have.brand is None:
            return "satisfied"
        if term.compare is operator.eq:
            held = have.brand == term.word
        else:
            held = have.brand != term.word if term.compare is operator.ne else None
    else:
        version = (have.cuda, have.driver, have.arch)[term.place]
        if version is None:
            return "satisfied"
        held = _compare(version, term.compare, term.numbers)
    if held:
        return "satisfied"
    return "unsatisfied" if held is not None and term.fits else "invalid"


def _compare(have: _Numbers, compare: Comparison, want: _Numbers) -> bool | None:
    if have is _NO_VERSION or want is _NO_VERSION:
        return None
    for one, other in zip(have, want, strict=False):
        if one < 0 or other < 0:
            return None
        if one != other:
            return compare(one, other)
    return compare(_more(have, len(want)), _more(want, len(have)))


def _more(numbers: _Numbers, start: int) -> bool:
    """Whether there is anything but zeros and dots from there on."""
    return any(number not in (0, _DOT_FIRST) for number in numbers[start:])


@lru_cache(maxsize=4096)
def _numbers(text: str) -> _Numbers:
    if not _VERSION_CHARACTERS.issuperset(text):
        return _NO_VERSION
    found = [_number(part) for part in text.split(".") if part]
    return (_DOT_FIRST, *found) if text.startswith(".") else tuple(found)


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    if len(digits) > _UINTMAX_DIGITS or int(digits) >= _UINTMAX:
        return _TOO_LARGE
    return int(digits)


def _have(subject: Subject) -> _Have:
    return _Have(
        cuda=None if subject.cuda is None else _numbers(subject.cuda),
        driver=None if subject.driver is None else _numbers(subject.driver),
        arch=None if subject.arch is None else _numbers(subject.arch),
        brand=None if subject.brand is None else _lower(subject.brand),
    )


@lru_cache(maxsize=256)
def _read(expression: str) -> tuple[tuple[_Term, ...], ...]:
    """Alternatives of terms. Nothing is an error yet: not every term is looked at."""
    return tuple(
        tuple(_read_term(term) for term in alternative.split(",") if term)
        for alternative in expression.split(" ")
        if alternative
    )


def _read_term(term: str) -> _Term:
    name = re.split(rf"[{_SYMBOLS}]", term, maxsplit=1)[0]
    rest = term[len(name) :]
    value = rest.lstrip(_SYMBOLS)
    symbol = rest[: len(rest) - len(value)]
    found = [(written, do) for written, do in _OPERATORS if written.startswith(symbol)]
    if not name or not symbol or not value or not found:
        return _Term(term, fault="invalid")
    place = _PLACES.get(_lower(name))
    if place is None:
        return _Term(term, fault="unknown_property")
    written, compare = found[0]
    message = f"{name} {written} {value}".encode("utf-8", "surrogatepass")
    return _Term(
        term,
        place=place,
        compare=compare,
        numbers=_numbers(value),
        word=_lower(value),
        fits=len(message) < _TERM_BYTES,
    )


def _lower(text: str) -> bytes:
    """Case goes for ASCII letters only, as in C."""
    return text.encode("utf-8", "surrogatepass").lower()
