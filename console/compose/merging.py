"""Two trees as one, by the merge rules of the Compose specification: the second one overrides.

What must be there once only (a volume's target, a port) is seen to where it is read.
"""

from __future__ import annotations

from console.compose.findings import Findings
from console.compose.scalars import kind
from console.compose.tree import Entry, Mapping, Node, Scalar, Sequence

Path = tuple[str, ...]

# In a service, the later one counts whole.
_WHOLE = {("command",), ("entrypoint",), ("healthcheck", "test")}
# NAME=value in a list, or a mapping.
_PAIRS = {("environment",), ("labels",), ("sysctls",), ("deploy", "labels")}
# One text, or a list of them.
_LISTS = {("dns",), ("env_file",), ("tmpfs",)}
_NAMES = {"networks": "", "depends_on": "service_started"}
_WORDS = {Scalar: "a single value", Sequence: "a list", Mapping: "a mapping"}


def merge(base: Node, over: Node, findings: Findings, path: Path = ()) -> Node:
    """`base` with what `over` says. Neither is changed. What cannot be one is noted."""
    if over.tag == "override":
        return over
    inside = _in_service(path)
    if inside in _WHOLE:
        return over
    base, over = _alike(base, over, inside)
    if _is_null(over):
        return base
    if _is_null(base):
        return over
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return over if _other_driver(base, over, inside) else _mappings(base, over, findings, path)
    if isinstance(base, Sequence) and isinstance(over, Sequence):
        items = [*base.items, *over.items]
        return Sequence(over.line, items, size=base.size + over.size, merged=True)
    if isinstance(base, Scalar) and isinstance(over, Scalar):
        return over
    if inside[:1] == ("ulimits",) or path[-1:] == ("external",):
        return over
    was, now = _WORDS[type(base)], _WORDS[type(over)]
    what = f"{'.'.join(path)} is {now} here, and {was} where it was said before"
    findings.add("compose.conflict", over.line, what, "Write both in one way.")
    return over


def without_tags(node: Node) -> Node:
    """Without what `!reset` takes away."""
    if isinstance(node, Mapping):
        entries = {
            key: Entry(entry.line, without_tags(entry.value), entry.merged)
            for key, entry in node.entries.items()
            if entry.value.tag != "reset"
        }
        return Mapping(node.line, entries, size=node.size, depth=node.depth)
    if isinstance(node, Sequence):
        items = [without_tags(item) for item in node.items if item.tag != "reset"]
        return Sequence(node.line, items, size=node.size, depth=node.depth, merged=node.merged)
    return node


def _mappings(base: Mapping, over: Mapping, findings: Findings, path: Path) -> Mapping:
    entries = dict(base.entries)
    for key, entry in over.entries.items():
        if entry.value.tag == "reset":
            entries.pop(key, None)
        elif key in entries:
            value = merge(entries[key].value, entry.value, findings, (*path, key))
            entries[key] = Entry(entry.line, value)
        else:
            entries[key] = entry
    return Mapping(over.line, entries, size=base.size + over.size)


def _alike(base: Node, over: Node, inside: Path) -> tuple[Node, Node]:
    """Both in one form, where there are several for the same."""
    if inside in _PAIRS and type(base) is not type(over):
        return _pairs(base), _pairs(over)
    if inside == ("extra_hosts",) and type(base) is not type(over):
        return _hosts(base), _hosts(over)
    if inside in _LISTS:
        return _list(base), _list(over)
    if inside[:1] and len(inside) == 1 and inside[0] in _NAMES:
        return _named(base, _NAMES[inside[0]]), _named(over, _NAMES[inside[0]])
    return base, over


def _pairs(node: Node) -> Node:
    if not isinstance(node, Sequence) or not all(isinstance(item, Scalar) for item in node.items):
        return node
    entries: dict[str, Entry] = {}
    for item in node.items:
        if isinstance(item, Scalar):
            name, equals, value = item.text.partition("=")
            given = Scalar(value if equals else "", item.line, plain=not equals)
            entries[name] = Entry(item.line, given)
    return Mapping(node.line, entries, size=node.size)


def _hosts(node: Node) -> Node:
    """A mapping of names to one address or several as the list of them."""
    if not isinstance(node, Mapping):
        return node
    items: list[Node] = []
    for name, entry in node.entries.items():
        value = entry.value
        items += [
            Scalar(f"{name}={address.text}", address.line, plain=False)
            for address in (value.items if isinstance(value, Sequence) else [value])
            if isinstance(address, Scalar)
        ]
    return Sequence(node.line, items, size=node.size)


def _list(node: Node) -> Node:
    return Sequence(node.line, [node]) if isinstance(node, Scalar) and not _is_null(node) else node


def _named(node: Node, condition: str) -> Node:
    """A list of names as a mapping of them."""
    if not isinstance(node, Sequence) or not all(isinstance(item, Scalar) for item in node.items):
        return node
    entries: dict[str, Entry] = {}
    for item in node.items:
        if isinstance(item, Scalar):
            value: Node = Scalar("", item.line)
            if condition:
                said = Entry(item.line, Scalar(condition, item.line))
                value = Mapping(item.line, {"condition": said})
            entries[item.text] = Entry(item.line, value)
    return Mapping(node.line, entries, size=node.size)


def _other_driver(base: Mapping, over: Mapping, inside: Path) -> bool:
    """Of `logging`: the options of one driver mean nothing to another one."""
    drivers = [each.entries["driver"].value for each in (base, over) if "driver" in each.entries]
    texts = {driver.text for driver in drivers if isinstance(driver, Scalar)}
    return inside == ("logging",) and len(texts) > 1


def _in_service(path: Path) -> Path:
    """The path below a service; () elsewhere."""
    return path[2:] if path[:1] == ("services",) else ()


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and kind(node.text) == "null"
