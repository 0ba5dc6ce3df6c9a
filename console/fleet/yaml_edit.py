"""Adding and taking out a node in the text of fleet.yaml, with comments and order kept.

Text is changed by position, not written anew. The caller parses the result and compares: where
somebody writes YAML in a way that is not foreseen here, nothing is written at all.
"""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from console.fleet.inventory import NodeEntry


def with_node(text: str, entry: NodeEntry) -> str:
    """`text` with `entry` behind the last node."""
    root, nodes = _tree(text)
    record = msgspec.to_builtins(entry)
    newline = "\r\n" if "\r\n" in text else "\n"
    if nodes is None:
        head = text if not text or text.endswith("\n") else text + newline
        return head + f"nodes:{newline}" + _block(record, 0, newline)
    items = nodes.value if isinstance(nodes.value, list) else []
    if items and nodes.flow_style:
        end = items[-1].end_mark.index
        return text[:end] + ", " + _flow(record) + text[end:]
    if root.flow_style:
        end = nodes.end_mark.index - 1
        return text[:end] + _flow(record) + text[end:]
    if not items:  # "nodes: []", "nodes: null" or nothing; a comment behind it stays
        head = text[: nodes.start_mark.index].rstrip()
        rest, _, below = text[nodes.end_mark.index :].partition("\n")
        return head + rest.rstrip() + newline + _block(record, 0, newline) + below
    dash = _dash(text, items[-1])
    block = _block(record, dash - _line_start(text, dash), newline)
    end = _line_end(text, items[-1])
    if not text.endswith("\n", 0, end):
        return text[:end] + newline + block
    return text[:end] + block + text[end:]


def without_node(text: str, index: int) -> str:
    """`text` without its node number `index`. Comments above it stay: they may be of more."""
    _, nodes = _tree(text)
    items = nodes.value
    if nodes.flow_style:
        start, end = items[index].start_mark.index, items[index].end_mark.index
        if index + 1 < len(items):
            end = items[index + 1].start_mark.index
        elif index:
            start = items[index - 1].end_mark.index
        return text[:start] + text[end:]
    start = _line_start(text, _dash(text, items[index]))
    end = _line_end(text, items[index])
    if len(items) > 1:
        return text[:start] + text[end:]
    # An empty block list would be nothing at all.
    newline = "\r\n" if "\r\n" in text else "\n"
    return text[:start] + f"  []{newline}" + text[end:]


def _tree(text: str) -> tuple[Any, Any]:
    """The root, and the node of `nodes:`; None where there is none."""
    root = yaml.compose(text, yaml.CSafeLoader)
    if root is None or not isinstance(root.value, list):
        return root, None
    return root, next((value for key, value in root.value if key.value == "nodes"), None)


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def _line_end(text: str, item: Any) -> int:
    """Behind the line end of the item's last line."""
    mark = _last(item).end_mark
    if mark.column == 0:  # a block scalar ends behind its line end
        return int(mark.index)
    return text.find("\n", mark.index) + 1 or len(text)


def _last(node: Any) -> Any:
    """The last scalar, or flow collection, inside `node`: block collections end too late."""
    while not isinstance(node, yaml.ScalarNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return node


def _dash(text: str, item: Any) -> int:
    """Where the dash in front of a block list's item is."""
    return text.rfind("-", 0, item.start_mark.index)


def _block(record: dict[str, Any], column: int, newline: str) -> str:
    """The record as an item of a block list."""
    body = yaml.safe_dump(record, sort_keys=False, allow_unicode=True, width=1000)
    first, *others = body.splitlines()
    indent = " " * column
    lines = [f"{indent}- {first}", *(f"{indent}  {line}" for line in others)]
    return "".join(line + newline for line in lines)


def _flow(record: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(
        record, sort_keys=False, allow_unicode=True, width=100_000, default_flow_style=True
    )
    return text.strip()
