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
    """`term` is the one that decided: the offending one, or the last that did not hold."""

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
    outcome = Outcome("satisfied")
    for alternative in expression.split(" "):
        if not alternative:
            continue
        for term in alternative.split(","):
            if not term:
                continue
            state = _evaluate_term(term, subject)
            if state in ("invalid", "unknown_property"):
                return Outcome(state, term)
            outcome = Outcome(state, term)
            if state == "unsatisfied":
                break
        else:
            # Commas alone leave the outcome as it was, and end the search.
            return outcome
    return outcome


def compare_versions(have: str, compare: Comparison, want: str) -> bool | None:
    """As numbers between dots; what one has more is nothing if it is zeros. None: no version."""
    if not (_VERSION_CHARACTERS.issuperset(have) and _VERSION_CHARACTERS.issuperset(want)):
        return None
    while have and want:
        one, have = _first_number(have)
        other, want = _first_number(want)
        if one is None or other is None:
            return None
        if one != other:
            return compare(one, other)
    return compare(bool(have.lstrip(".0")) - bool(want.lstrip(".0")), 0)


def _evaluate_term(term: str, subject: Subject) -> State:
    name = re.split(rf"[{_SYMBOLS}]", term, maxsplit=1)[0]
    rest = term[len(name) :]
    value = rest.lstrip(_SYMBOLS)
    symbol = rest[: len(rest) - len(value)]
    if not name or not symbol or not value:
        return "invalid"
    compare = next((do for written, do in _OPERATORS if written.startswith(symbol)), None)
    if compare is None:
        return "invalid"
    held = _holds(_lower(name), compare, value, subject)
    if isinstance(held, str):
        return held
    if held:
        return "satisfied"
    written = next(written for written, _ in _OPERATORS if written.startswith(symbol))
    length = len(f"{name} {written} {value}".encode("utf-8", "surrogatepass"))
    return "unsatisfied" if length < _TERM_BYTES else "invalid"


def _holds(name: bytes, compare: Comparison, value: str, subject: Subject) -> bool | State:
    have: str | None
    if name == b"brand":
        have = subject.brand
        if have is None:
            return True
        if compare not in (operator.eq, operator.ne):
            return "invalid"
        return (_lower(have) == _lower(value)) == (compare is operator.eq)
    if name == b"cuda":
        have = subject.cuda
    elif name == b"driver":
        have = subject.driver
    elif name == b"arch":
        have = subject.arch
    else:
        return "unknown_property"
    if have is None:
        return True
    held = compare_versions(have, compare, value)
    return "invalid" if held is None else held


def _first_number(text: str) -> tuple[int | None, str]:
    """The number at the beginning, and what follows it and its dots."""
    rest = text.lstrip("0123456789")
    digits = text[: len(text) - len(rest)].lstrip("0") or "0"
    if len(rest) == len(text) or len(digits) > _UINTMAX_DIGITS or int(digits) >= _UINTMAX:
        return None, ""
    return int(digits), rest.lstrip(".")


def _lower(text: str) -> bytes:
    """Case goes for ASCII letters only, as in C."""
    return text.encode("utf-8", "surrogatepass").lower()
