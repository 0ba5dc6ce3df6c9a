"""docs/agent-yaml.md names every key with its default, and its example is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.settings import HttpsSettings, Settings, parse_settings

TEXT = (Path(__file__).parents[2] / "docs" / "agent-yaml.md").read_text(encoding="utf-8")
LINES = [line.strip("|\n").split("|") for line in TEXT.splitlines() if line.startswith("| `")]
ROWS = {key.strip(" `"): default.strip(" `") for key, _, default in LINES}


def keys_of(settings: msgspec.Struct, before: str = "") -> Iterator[tuple[str, object]]:
    """Each key as the page writes it, and what it is if nothing is said."""
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        yield f"{before}{field.name}", value
        if isinstance(value, msgspec.Struct):
            yield from keys_of(value, f"{before}{field.name}.")


def written(value: object) -> str:
    if isinstance(value, msgspec.Struct):
        return ""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def test_every_key_is_named_with_its_default() -> None:
    known = {**dict(keys_of(Settings())), **dict(keys_of(HttpsSettings(), "https."))}
    known["name"] = "the host's name"
    assert {key: ROWS.get(key) for key in known} == {
        key: written(value) for key, value in known.items()
    }


def test_the_example_is_taken() -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    settings = parse_settings(example, file="agent.yaml")
    assert (settings.name, settings.policy.require_signature) == ("cam-7", True)
