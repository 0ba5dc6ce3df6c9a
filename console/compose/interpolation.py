"""`$NAME` and `${NAME...}` in a text: Compose's interpolation. Pure.

$NAME ${NAME}                    its value
${NAME:-other} ${NAME-other}     "other" where it is empty or unset; where it is unset
${NAME:?why} ${NAME?why}         an error that says "why", likewise
${NAME:+other} ${NAME+other}     "other" where it is set and not empty; where it is set
$$                               a dollar sign, as is one before what begins no name: $1

"other" and "why" may hold variables themselves.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WAY = re.compile(r":?[-?+]")
# "${A:-${B:-...": deeper than anyone writes, shallower than what Python would give up at.
DEPTH_LIMIT = 32


class BadTemplateError(Exception):
    """The text is not written as interpolation wants it."""


class UnsetError(Exception):
    """A variable without a value; `why` where the text says why it must have one."""

    def __init__(self, name: str, why: str | None = None, *, empty: bool = False) -> None:
        super().__init__(name)
        self.name = name
        self.why = why
        self.empty = empty


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """`text` with its variables' values.

    Raises:
        BadTemplateError: a brace that holds no variable, or is not closed.
        UnsetError: a variable has no value, and no other is given for that.
    """
    if "$" not in text:
        return text
    return _Reading(text, variables).until_end()


def names_in(text: str) -> set[str]:
    """The names of all variables in `text`, those inside of others included."""
    asked: set[str] = set()
    if "$" not in text:
        return asked
    with contextlib.suppress(BadTemplateError):
        _Reading(text, {}, asked).until_end()
    return asked


class _Reading:
    """`asked` collects names; then nothing that is unset is an error."""

    def __init__(
        self, text: str, variables: Mapping[str, str], asked: set[str] | None = None
    ) -> None:
        self._text = text
        self._variables = variables
        self._asked = asked
        self._at = 0
        self._depth = 0

    def until_end(self) -> str:
        return self._run(inside=False, wanted=True)

    def _run(self, *, inside: bool, wanted: bool) -> str:
        """Up to the end, or the brace that closes what we are in; unset matters where `wanted`."""
        parts: list[str] = []
        text = self._text
        while self._at < len(text):
            character = text[self._at]
            if inside and character == "}":
                return "".join(parts)
            if character == "$":
                parts.append(self._variable(wanted=wanted))
            else:
                parts.append(character)
                self._at += 1
        if inside:
            raise BadTemplateError(f"{_short(text)} lacks a closing brace")
        return "".join(parts)

    def _variable(self, *, wanted: bool) -> str:
        text, start = self._text, self._at
        if text.startswith("$$", start):
            self._at += 2
            return "$"
        braced = text.startswith("${", start)
        match = _NAME.match(text, start + (2 if braced else 1))
        if match is None:
            if braced:
                raise BadTemplateError(f"{_short(text[start:])} begins no variable")
            self._at += 1
            return "$"
        self._at = match.end()
        if not braced:
            return self._value(match[0], wanted=wanted)
        return self._braced(match[0], start, wanted=wanted)

    def _braced(self, name: str, start: int, *, wanted: bool) -> str:
        way = _WAY.match(self._text, self._at)
        if way is None:
            self._close(start)
            return self._value(name, wanted=wanted)
        self._at = way.end()
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise BadTemplateError(f"{_short(self._text)} is nested more than {DEPTH_LIMIT} deep")
        value = self._look_up(name)
        given = value is not None and (value != "" or way[0][0] != ":")
        sign = way[0][-1]
        takes_other = given if sign == "+" else not given
        other = self._run(inside=True, wanted=wanted and takes_other)
        self._close(start)
        self._depth -= 1
        if sign == "+":
            return other if given else ""
        if given:
            return value or ""
        if sign == "-" or not wanted or self._asked is not None:
            return other
        raise UnsetError(name, other, empty=value is not None)

    def _value(self, name: str, *, wanted: bool) -> str:
        value = self._look_up(name)
        if value is None and wanted and self._asked is None:
            raise UnsetError(name)
        return value or ""

    def _look_up(self, name: str) -> str | None:
        if self._asked is not None:
            self._asked.add(name)
        return self._variables.get(name)

    def _close(self, start: int) -> None:
        if not self._text.startswith("}", self._at):
            raise BadTemplateError(f"{_short(self._text[start:])} lacks a closing brace")
        self._at += 1


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
