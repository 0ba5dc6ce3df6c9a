"""A place in a Compose file, read for one node: values with variables put in, mistakes noted."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from collections.abc import Mapping as Dict
from typing import TypeVar

from console.compose.findings import Findings, nearest
from console.compose.interpolation import BadTemplateError, UnsetError, interpolate
from console.compose.scalars import as_compose_writes, duration, kind, size_bytes, truth
from console.compose.tree import Entry, Mapping, Node, Scalar, Sequence

T = TypeVar("T", bound=str)

ROOST = "x-roost"
_KEYS_SHOWN = 20
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_NAMES = {
    "null": "nothing",
    "boolean": "a truth value",
    "integer": "a number",
    "number": "a number",
}


class Place:
    """A node of the tree, by its path from the root; `None` is read as "not given".

    Every method that reads answers None where the value does not fit, and has noted why.
    """

    def __init__(
        self,
        node: Node,
        path: str,
        variables: Dict[str, str],
        findings: Findings,
        line: int | None = None,
        name: str = "",
    ) -> None:
        self.node = node
        self.path = path
        self.variables = variables
        self.findings = findings
        self.line = node.line if line is None else line
        self.name = name  # the key that it stands behind; "" in a list

    def is_text(self) -> bool:
        return isinstance(self.node, Scalar)

    def is_list(self) -> bool:
        return isinstance(self.node, Sequence)

    def wrong(self, what: str, hint: str, code: str = "compose.invalid") -> None:
        """Note that what stands here does not fit; `what` goes on after the path."""
        self.findings.add(code, self.line, f"{self.path} {what}", hint)

    def unsupported(self, hint: str, what: str = "is not supported") -> None:
        """Note that this is left out, and that the workload would not be whole without it."""
        self.findings.add("compose.unsupported", self.line, f"{self.path} {what}", hint)

    def ignored(self, hint: str, what: str = "has no effect here") -> None:
        """Note that this is left out, and that the container is the same without it."""
        self.findings.add(
            "compose.ignored", self.line, f"{self.path} {what}", hint, level="warning"
        )

    # mappings

    def known(self, keys: Collection[str]) -> Place | None:
        """This place if it is a mapping; keys that are none of `keys` are noted."""
        if not isinstance(self.node, Mapping):
            self._want("a mapping", "Write it as key: value, below each other.")
            return None
        for key, entry in self.node.entries.items():
            if key in keys:
                continue
            if key.startswith("x-"):
                # A slip here would cost the GPU without a word.
                if nearest(key, [ROOST], cutoff=0.8):
                    self._unknown(key, entry, keys or [ROOST])
                continue
            self._unknown(key, entry, keys)
        return self

    def get(self, key: str) -> Place | None:
        """What `key` has here; None where there is no such key, or nothing behind it."""
        if not isinstance(self.node, Mapping):
            return None
        entry = self.node.entries.get(key)
        if entry is None or _is_null(entry.value):
            return None
        return self._below(entry, key)

    def entries(self) -> list[tuple[str, Place]]:
        """Keys and what they have, in the file's order. Noted where this is no mapping."""
        if not isinstance(self.node, Mapping):
            self._want("a mapping", "Write it as key: value, below each other.")
            return []
        return [(key, self._below(entry, key)) for key, entry in self.node.entries.items()]

    def items(self) -> list[Place]:
        """What is in the list. Noted where this is none."""
        if not isinstance(self.node, Sequence):
            self._want("a list", "Begin each entry with a dash.")
            return []
        return self._listed(self.node)

    def one_or_more(self) -> list[Place]:
        """A list, or a single text that stands for a list of one."""
        return [self] if isinstance(self.node, Scalar) else self.items()

    # texts

    def text(self) -> str | None:
        """A string. A number without quotes is none."""
        scalar = self._scalar()
        if scalar is None:
            return None
        if scalar.plain and "$" not in scalar.text and kind(scalar.text) != "text":
            what = _NAMES[kind(scalar.text)]
            self.wrong(f"must be a string, and {scalar.text!r} is {what}", "Put it in quotes.")
            return None
        return self._filled(scalar)

    def word(self) -> str | None:
        """A string, number or truth value, as the text that Compose makes of it."""
        scalar = self._scalar()
        if scalar is None:
            return None
        if scalar.plain and "$" not in scalar.text:
            return as_compose_writes(scalar.text)
        return self._filled(scalar)

    def is_null(self) -> bool:
        return _is_null(self.node)

    def one_of(self, words: Collection[T], what: str = "") -> T | None:
        """One of `words`."""
        found = self.text()
        if found is None:
            return None
        for word in words:
            if word == found:
                return word
        known = ", ".join(repr(word) for word in words)
        near = nearest(found, words)
        hint = f"Did you mean {near!r}? " if near else ""
        self.wrong(f"is {_short(found)}{what}", f"{hint}It may be {known}.")
        return None

    # numbers and truth

    def integer(self, low: int | None = None, high: int | None = None) -> int | None:
        """A whole number from `low` to `high`, also from a text such as a variable's."""
        found = self.word()
        if found is None:
            return None
        if _WHOLE.fullmatch(found):
            number = int(found)
            if (low is None or number >= low) and (high is None or number <= high):
                return number
        bounds = "" if low is None else f" from {low}" + (f" to {high}" if high is not None else "")
        self.wrong(f"is {_short(found)}, which is no whole number{bounds}", "Write digits only.")
        return None

    def number(self) -> float | None:
        """A number of 0 or more."""
        found = self.word()
        if found is None:
            return None
        if kind(found) in ("integer", "number"):
            try:
                number = float(as_compose_writes(found))
            except ValueError:
                number = -1.0
            if 0 <= number < 1e18:
                return number
        self.wrong(f"is {_short(found)}, which is no number", "Write it like 2 or 0.5.")
        return None

    def truth(self) -> bool | None:
        """True or false."""
        found = self.word()
        if found is None:
            return None
        value = truth(found)
        if value is None:
            self.wrong(
                f"is {_short(found)}, which is neither true nor false", "Write true or false."
            )
        return value

    def size(self) -> int | None:
        """Bytes of "512m" or a number."""
        found = self.word()
        if found is None:
            return None
        value = size_bytes(found)
        if value is None or value >= 1 << 63:
            self.wrong(
                f"is {_short(found)}, which is no size", "Write it like 512m, 1.5g or 65536."
            )
            return None
        return value

    def seconds(self) -> float | None:
        """Seconds of "1m30s"."""
        found = self.word()
        if found is None:
            return None
        value = duration(found)
        if value is None:
            hint = "Write it with its unit: 200ms, 30s, 1m30s, 2h."
            self.wrong(f"is {_short(found)}, which is no duration", hint)
        return value

    # lists and pairs

    def texts(self) -> list[str]:
        """A list of strings."""
        return [found for item in self.items() if (found := item.text()) is not None]

    def words(self) -> list[str]:
        """A list of strings and numbers."""
        return [found for item in self.items() if (found := item.word()) is not None]

    def pairs(self) -> list[tuple[str, str | None, Place]]:
        """Names and values of a mapping, or of a list of NAME=VALUE; None: no value is given."""
        if isinstance(self.node, Mapping):
            return [
                (key, None if place.is_null() else value, place)
                for key, place in self.entries()
                if (value := "" if place.is_null() else place.word()) is not None
            ]
        if not isinstance(self.node, Sequence):
            self._want("a mapping or a list", "Write it as NAME: value, below each other.")
            return []
        found: list[tuple[str, str | None, Place]] = []
        for item in self.items():
            text = item.word()
            if text is None:
                continue
            name, equals, value = text.partition("=")
            if not name:
                item.wrong(f"is {_short(text)}, without a name", "Write NAME=value.")
                continue
            found.append((name, value if equals else None, item))
        return found

    def named(self) -> dict[str, str]:
        """The same as a mapping; a name without a value has an empty one."""
        return {name: value or "" for name, value, _ in self.pairs()}

    # inside

    def _below(self, entry: Entry, key: str) -> Place:
        path = f"{self.path}.{key}" if self.path else key
        return Place(entry.value, path, self.variables, self.findings, entry.line, key)

    def _listed(self, node: Sequence) -> list[Place]:
        return [
            Place(item, f"{self.path}[{index}]", self.variables, self.findings)
            for index, item in enumerate(node.items)
        ]

    def _scalar(self) -> Scalar | None:
        if isinstance(self.node, Scalar):
            return self.node
        self._want("a single value", "Write it behind the colon, on one line.")
        return None

    def _filled(self, scalar: Scalar) -> str | None:
        try:
            return interpolate(scalar.text, self.variables)
        except BadTemplateError as error:
            hint = "A dollar sign that is meant as one is written twice: $$"
            self.wrong(f"cannot be read: {error}", hint, "compose.template")
        except UnsetError as unset:
            how = "is empty" if unset.empty else "is not set"
            why = f": {unset.why}" if unset.why else ""
            hint = self._hint(unset.name)
            # The environment of whoever runs this is theirs; the same file means the same to all.
            self.findings.add(
                "compose.variable", scalar.line, f"the variable {unset.name} {how}{why}", hint
            )
        return None

    def _hint(self, name: str) -> str:
        near = nearest(name.upper(), self.variables, cutoff=0.75)
        return (
            (f"Did you mean {near}? Else give" if near and near != name else "Give")
            + f" it a value with --set {name}=..., --env-file or vars: in fleet.yaml,"
            + f" or a default here: ${{{name}:-...}}"
        )

    def _want(self, what: str, hint: str) -> None:
        is_now = (
            "a mapping"
            if isinstance(self.node, Mapping)
            else "a list"
            if isinstance(self.node, Sequence)
            else "empty"
            if _is_null(self.node)
            else "a single value"
        )
        self.wrong(f"must be {what}, and it is {is_now}", hint)

    def _unknown(self, key: str, entry: Entry, keys: Iterable[str]) -> None:
        known = sorted(keys)
        near = nearest(key, known)
        where = f" in {self.path}" if self.path else ""
        hint = f"Did you mean {near!r}?" if near else "Compose has no such key here."
        if not near and len(known) <= _KEYS_SHOWN:
            hint = f"Known here: {', '.join(known)}."
        if key == ROOST:
            hint = "It stands under a service."
        self.findings.add("compose.unknown_key", entry.line, f"unknown key {key!r}{where}", hint)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and kind(node.text) == "null"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
