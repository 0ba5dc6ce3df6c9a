"""What looks like a secret is taken away, and nothing else of a text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.rules.secretive import REMOVED, plain_without_secrets, without_secrets

TOKEN = "roost_" + "Ab3-_" * 8 + "xyz"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIHunter2\nabc\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("DB_PASSWORD=hunter2 next", f"DB_PASSWORD={REMOVED} next"),
        ("password: hunter2", f"password: {REMOVED}"),
        ('{"api_key": "hunter2", "n": 1}', f'{{"api_key": {REMOVED}, "n": 1}}'),
        ("run --api-key=hunter2 -v", f"run --api-key={REMOVED} -v"),
        ("run --auth-token hunter2 -v", f"run --auth-token {REMOVED} -v"),
        ("run --token='hunter 2' -v", f"run --token={REMOVED} -v"),
        ("rtsp://admin:hunter2@10.0.0.7/cam", f"rtsp://{REMOVED}@10.0.0.7/cam"),
        ("Authorization: Bearer hunter2hunter2", f"Authorization: {REMOVED} {REMOVED}"),
        (f"with {TOKEN}.", f"with {REMOVED}."),
        (f"key:\n{PEM}\nend", f"key:\n{REMOVED}\nend"),
        (PEM[:50], REMOVED),
    ],
)
def test_what_goes(text: str, left: str) -> None:
    assert without_secrets(text) == left
    assert "unter" not in without_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "roost_container_memory_used_bytes 17",
        "agent of edge-1 is up",
        "ssh://ops@cam-7 and https://cam-7:7443/v1",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "--verbose --gpus all",
    ],
)
def test_what_stays(text: str) -> None:
    assert without_secrets(text) == text


def test_documents_by_the_names_of_their_fields() -> None:
    document: Any = {
        "environment": {"MODE": "hunter2", "EMPTY": ""},
        "inner": [{"env": ["MODE=hunter2", "hunter2"]}],
        "labels": {"com.acme.password": "hunter2", "site": "x"},
        "command": ["serve", "--password", "hunter2", "--level", "3", "--token", "-v"],
        "secrets": [{"name": "camera", "target": "/run/secrets/camera"}],
        "count": 3,
        "none": None,
        "log": f"{PEM} and token=hunter2",
    }
    told = plain_without_secrets(document)
    assert "unter" not in json.dumps(told)
    assert told["environment"] == {"MODE": REMOVED, "EMPTY": REMOVED}
    assert told["labels"]["site"] == "x"
    assert told["command"][3:] == ["--level", "3", "--token", "-v"]
    assert told["secrets"] == document["secrets"]
    assert (told["count"], told["none"]) == (3, None)


PIECES = ("a", "pass", "-", "://a", "token", "--token-", "-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize("piece", PIECES)
def test_a_megabyte_of_anything_comes_back(piece: str) -> None:
    """Bounded forms: none of them looks at a long text again from each of its letters."""
    without_secrets(piece * (300_000 // len(piece)))
