"""Constraints of a version, as people write them: `>=535,<560`.

The language is that of `NVIDIA_REQUIRE_*` (requirements.py evaluates it), without the name of what
is compared: commas part what must hold together, spaces part alternatives. A space after a comma
or an operator is only a space: it would else make an alternative of what was meant as a bound.
"""

from __future__ import annotations

import re

from agent.rules.requirements import Subject, evaluate
from agent.rules.versions import dotted, numbers

_TERM = r"(?:<=|>=|!=|==|<|>|=)\d{1,18}(?:\.\d{1,18}){0,7}"
_CONSTRAINT = re.compile(rf"{_TERM}(?:,{_TERM})*(?: {_TERM}(?:,{_TERM})*)*", re.ASCII)
_LONGEST = 200


def is_constraint(text: str) -> bool:
    """Whether it can be evaluated."""
    return len(text) <= _LONGEST and _CONSTRAINT.fullmatch(_tight(text)) is not None


def holds(constraint: str, version: str) -> bool | None:
    """Whether the dotted numbers at the beginning of `version` keep to it; None: it has none.

    Raises:
        ValueError: `constraint` is none.
    """
    if not is_constraint(constraint):
        raise ValueError(constraint)
    have = numbers(version)
    if have is None:
        return None
    named = re.sub(r"(^|[ ,])(?=[<>=!])", r"\1driver", _tight(constraint).replace("==", "="))
    return evaluate(named, Subject(driver=dotted(have))).state == "satisfied"


def _tight(text: str) -> str:
    return re.sub(r"\s*,\s*", ",", re.sub(r"([<>=!])\s+", r"\1", text.strip()))
