"""Names of images."""

from __future__ import annotations

import pytest

from agent.protocol.problems import ProblemError
from agent.rules.references import familiar, full, split_tag


@pytest.mark.parametrize(
    ("name", "short", "long"),
    [
        ("app", "app:latest", "docker.io/library/app:latest"),
        ("app:1", "app:1", "docker.io/library/app:1"),
        ("edge/app:1.4-cuda12", "edge/app:1.4-cuda12", "docker.io/edge/app:1.4-cuda12"),
        ("docker.io/library/app:1", "app:1", "docker.io/library/app:1"),
        ("index.docker.io/edge/app:1", "edge/app:1", "docker.io/edge/app:1"),
        ("localhost/app:1", "localhost/app:1", "localhost/app:1"),
        ("plant:5000/a/b/c:x_Y", "plant:5000/a/b/c:x_Y", "plant:5000/a/b/c:x_Y"),
        ("plant.local/a", "plant.local/a:latest", "plant.local/a:latest"),
    ],
)
def test_short_and_full(name: str, short: str, long: str) -> None:
    assert familiar(name) == short
    assert full(name) == long
    assert familiar(long) == short
    assert ":".join(split_tag(name)) == short


@pytest.mark.parametrize(
    "name",
    ["", ":1", "Upper/case", "a b", "x:", "x:-1", "/x", "x/", "x@sha256:00", "ü:1", "a//b", "..",
     "x:" + "1" * 129, "a" * 256, "../../etc/passwd", "x\n"],
)  # fmt: skip
def test_what_can_be_none(name: str) -> None:
    with pytest.raises(ProblemError) as raised:
        split_tag(name)
    assert raised.value.code == "image.reference"
    assert familiar(name) == name
