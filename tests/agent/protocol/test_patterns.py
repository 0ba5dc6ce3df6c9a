"""A name ends where its pattern ends: no line break comes in behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from agent.http import openapi
from agent.protocol.decoding import from_json
from agent.protocol.digest import Digest
from agent.protocol.engines import KeyStart, ModelPath
from agent.protocol.node_files import FileName
from agent.protocol.site import LanAddress
from agent.protocol.workloads import Name


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        (Name, "detector"),
        (Digest, "sha256:" + "0" * 64),
        (KeyStart, "abcd"),
        (FileName, "models/a.onnx"),
        (ModelPath, "models/a.onnx"),
        (LanAddress, "10.0.0.5:7444"),
    ],
)
def test_no_line_break_follows_a_name(kind: Any, good: str) -> None:
    assert from_json(msgspec.json.encode(good), kind) == good
    for bad in (good + "\n", "\n" + good, f"{good}\n{good}"):
        with pytest.raises(msgspec.ValidationError):
            from_json(msgspec.json.encode(bad), kind)


def patterns(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, below in schema.items():
            if key == "pattern" and isinstance(below, str):
                yield below
            yield from patterns(below)
    elif isinstance(schema, list):
        for below in schema:
            yield from patterns(below)


def test_each_pattern_of_a_body_ends_for_certain() -> None:
    found = set(patterns(openapi._schemas()))
    assert len(found) > 5
    assert [one for one in found if re.search(r"\$(?!\(\?!\\n\))", one)] == []
