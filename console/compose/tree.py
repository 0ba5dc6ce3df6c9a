"""YAML as a tree that knows its lines, within bounds.

It is built from the parser's events. An alias is the very node that its anchor names, so what a
bomb would grow to is known before anything grows: every node counts what is in it, aliases and
merges anew each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from agent.yaml_text import LOADER
from console.compose.findings import Findings, Line

# A Compose file of 500 services has about 20,000.
NODES_LIMIT = 100_000
DEPTH_LIMIT = 64
_WAYS = {"!reset": "reset", "!override": "override"}
_KNOWN_TAGS = {
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "seq", "map", "merge")
}


@dataclass(slots=True)
class Scalar:
    """A text. `plain`: written without quotes, so it may be a number, a truth value or null."""

    text: str
    line: int
    plain: bool = True
    size: int = 1
    depth: int = 1
    tag: str = ""  # "reset" or "override": how it is merged


@dataclass(slots=True)
class Sequence:
    """A list."""

    line: int
    items: list[Node] = field(default_factory=list)
    size: int = 1
    depth: int = 1
    tag: str = ""
    merged: bool = False  # of two: what comes later goes before what comes earlier


@dataclass(slots=True)
class Entry:
    """A key's line and its value; `merged`: it came with `<<`."""

    line: int
    value: Node
    merged: bool = False


@dataclass(slots=True)
class Mapping:
    """A mapping, what `<<` brings included."""

    line: int
    entries: dict[str, Entry] = field(default_factory=dict)
    size: int = 1
    depth: int = 1
    tag: str = ""


Node = Scalar | Sequence | Mapping


class Unreadable(Exception):  # noqa: N818 - it says what became of the file, and is told already
    """There is no tree; the findings say why."""


def read_tree(text: str, findings: Findings) -> Node | None:
    """The one document in `text`; None where it is empty.

    Raises:
        Unreadable: with what is wrong in `findings`. A key that stands twice is only noted there.
    """
    try:
        return _Builder(findings).build(yaml.parse(text, Loader=LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = error.problem or error.context or "it is not YAML"
        hint = "Check the indentation and the quotes around that line."
        findings.add("compose.syntax", mark.line + 1 if mark else None, why, hint)
    except (yaml.YAMLError, UnicodeError) as error:
        why = " ".join(str(error).split())
        findings.add("compose.syntax", None, why, "Check that the file is plain UTF-8 text.")
    raise Unreadable


class _Open:
    """A list or mapping that has begun."""

    def __init__(self, node: Sequence | Mapping, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.key: Scalar | None = None  # of a mapping: the one whose value comes next
        self.merges: list[tuple[int, Node]] = []


class _Builder:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._anchors: dict[str, Node | None] = {}  # None: not complete yet
        self._open: list[_Open] = []
        self._documents = 0
        self._root: Node | None = None

    def build(self, events: Iterator[Any]) -> Node | None:
        for event in events:
            self._take(event)
        return self._root

    def _take(self, event: Any) -> None:
        line = Line.of(self._findings.file, event.start_mark.line + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                what = "a second document begins here"
                self._stop("compose.unsupported", line, what, "Make it a file of its own.")
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._alias(str(event.anchor), line), line)
        elif isinstance(event, yaml.ScalarEvent):
            self._see_tag(event.tag, line)
            scalar = Scalar(event.value, line, plain=bool(event.implicit[0]), tag=_way(event.tag))
            # "!!int 5" is a plain 5.
            if event.tag and not event.tag.endswith(":str"):
                scalar.plain = True
            if event.anchor:
                self._anchors[event.anchor] = scalar
            self._add(scalar, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._begin(Sequence(line, tag=_way(event.tag)), event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._begin(Mapping(line, tag=_way(event.tag)), event)
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            self._end()

    def _alias(self, anchor: str, line: int) -> Node:
        if anchor not in self._anchors:
            what = f"there is no anchor &{anchor} above"
            self._stop("compose.syntax", line, what, "Write the anchor before it is used.")
        found = self._anchors[anchor]
        if found is None:
            what = f"*{anchor} stands inside of what &{anchor} names"
            self._stop("compose.syntax", line, what, "Take it out: it would never end.")
        return found

    def _begin(self, node: Sequence | Mapping, event: Any) -> None:
        self._see_tag(event.tag, node.line)
        if len(self._open) >= DEPTH_LIMIT:
            self._too_deep(node.line)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._open.append(_Open(node, event.anchor))

    def _end(self) -> None:
        done = self._open.pop()
        if isinstance(done.node, Mapping):
            for line, source in done.merges:
                self._merge(done.node, source, line)
        if done.anchor:
            self._anchors[done.anchor] = done.node
        self._add(done.node, done.node.line)

    def _add(self, node: Node, line: int) -> None:
        """Put a complete node where it belongs."""
        if not self._open:
            self._root = node
            return
        holder = self._open[-1]
        into = holder.node
        if isinstance(into, Sequence):
            into.items.append(node)
            self._count(into, node, line)
        elif holder.key is None:
            holder.key = self._key(node, line)
        else:
            key, holder.key = holder.key, None
            if key.text == "<<" and key.plain:
                holder.merges.append((line, node))
                return
            if key.text in into.entries:
                before = into.entries[key.text].line
                what = f"{key.text!r} stands here and in line {before}"
                self._findings.add("compose.duplicate", key.line, what, "Remove one of them.")
            into.entries[key.text] = Entry(key.line, node)
            self._count(into, node, line)

    def _key(self, node: Node, line: int) -> Scalar:
        if not isinstance(node, Scalar):
            what = "a list or mapping cannot be a key"
            self._stop("compose.syntax", line, what, "Write a name before the colon.")
        # The same name in another place: an alias has a line of its own.
        return Scalar(node.text, line, plain=node.plain)

    def _merge(self, into: Mapping, source: Node, line: int) -> None:
        """`<<`: what is in the mapping itself wins, then what stands first in the list."""
        sources = source.items if isinstance(source, Sequence) else [source]
        for one in sources:
            if not isinstance(one, Mapping):
                what = "<< wants a mapping, or a list of mappings"
                self._findings.add("compose.invalid", line, what, "Name an anchor: <<: *common")
                continue
            self._count(into, one, line)
            for key, entry in one.entries.items():
                if key not in into.entries:
                    into.entries[key] = Entry(entry.line, entry.value, merged=True)

    def _count(self, into: Sequence | Mapping, node: Node, line: int) -> None:
        into.size += node.size
        into.depth = max(into.depth, node.depth + 1)
        if into.size > NODES_LIMIT:
            what = (
                f"with its aliases written out, the file has more than {NODES_LIMIT:,} entries here"
            )
            hint = "Use fewer aliases of aliases: written out they grow with every step."
            self._stop("compose.too_large", line, what, hint)
        if into.depth > DEPTH_LIMIT:
            self._too_deep(line)

    def _too_deep(self, line: int) -> None:
        what = f"it is nested more than {DEPTH_LIMIT} deep"
        self._stop("compose.too_large", line, what, "Check the brackets and aliases in it.")

    def _see_tag(self, tag: str | None, line: int) -> None:
        if tag and tag not in _KNOWN_TAGS and tag not in ("!", *_WAYS):
            short = tag.replace("tag:yaml.org,2002:", "!!")
            hint = "Leave it out."
            self._findings.add("compose.unsupported", line, f"the tag {short} is not read", hint)

    def _stop(self, code: str, line: int, what: str, hint: str) -> NoReturn:
        self._findings.add(code, line, what, hint)
        raise Unreadable


def _way(tag: str | None) -> str:
    return _WAYS.get(tag or "", "")
