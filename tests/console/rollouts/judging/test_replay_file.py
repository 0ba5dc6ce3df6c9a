"""A replay whose body is a file beside the release: an image, say."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocol.measures import REPLAY_BODY_LIMIT_BYTES, Replay
from console.compose.compose_file import read_compose
from console.rollouts.strategy_file import read_strategy

FILE = """x-roost:
  rollout:
    analysis:
      replay:
        - {workload: web, port: 8000, method: POST, %s}
services:
  web: {image: "edge/web:1"}
"""


def read(folder: Path, said: str) -> tuple[dict[str, Replay], list[str]]:
    file = folder / "app.yaml"
    file.write_text(FILE % said)
    strategy, problems = read_strategy(read_compose(file))
    return strategy.analysis.replays, [f"{each.what} {each.hint}" for each in problems]


def test_a_body_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "one.jpg").write_bytes(b"\xff\xd8\x00")
    replays, problems = read(tmp_path, "body_file: frames/one.jpg")
    assert problems == []
    assert replays == {"web": Replay(port=8000, method="POST", body=b"\xff\xd8\x00")}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("body_file: missing.jpg", "cannot be read: No such file"),
        ("body_file: .", "cannot be read: Is a directory"),
        ("body_file: large.jpg", "is longer than 256 KiB"),
        ("body_file: large.jpg, body: x", "stands beside a body"),
        ("body_fil: large.jpg", "body_file"),
    ],
)
def test_what_cannot_be_sent_is_said(tmp_path: Path, said: str, words: str) -> None:
    (tmp_path / "large.jpg").write_bytes(bytes(REPLAY_BODY_LIMIT_BYTES + 1))
    _, problems = read(tmp_path, said)
    assert len(problems) == 1
    assert words in problems[0]
