"""What builders said while they built, as Docker's and Podman's wrote it, cut up anyhow."""

from __future__ import annotations

import json

import pytest

from agent.containers.api_stream import StreamBrokenError
from agent.containers.images_build import BuildAnswer
from agent.containers.images_messages import LINE_LIMIT_BYTES
from agent.protocol.problems import ProblemError

ID = "ab" * 32


def built(said: bytes, at_once: int = 10_000, told: list[str] | None = None) -> str:
    answer = BuildAnswer((lambda _: None) if told is None else told.append)
    for start in range(0, len(said), at_once):
        answer.feed(said[start : start + at_once])
    return answer.end()


def lines(*messages: object) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\r\n" for each in messages)


DOCKER = lines(
    {"stream": "Step 1/2 : FROM scratch"},
    {"stream": "\n"},
    {"stream": " ---> 0123456789ab\n"},
    {"aux": {"ID": f"sha256:{ID}"}},
    {"stream": "Successfully built abababababab\n"},
    {"stream": "Successfully tagged roost/x:1\n"},
)
PODMAN = lines(
    {"stream": "STEP 1/2: FROM scratch\n"},
    {"stream": "COMMIT roost/x:1\n"},
    {"stream": f"{ID}\n"},
)


@pytest.mark.parametrize("said", [DOCKER, PODMAN, PODMAN.rstrip()])
@pytest.mark.parametrize("at_once", [1, 7, 10_000])
def test_the_image_that_was_built(said: bytes, at_once: int) -> None:
    told: list[str] = []
    assert built(said, at_once, told) == f"sha256:{ID}"
    assert told[0] in ("Step 1/2 : FROM scratch", "STEP 1/2: FROM scratch")
    assert all(line.strip() for line in told)


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (
            lines({"errorDetail": {"message": "code 1"}, "error": ""}),
            "image.build_failed",
            "code 1",
        ),
        (lines({"error": "COPY failed"}), "image.build_failed", "COPY failed"),
        (lines({"errorDetail": {}}), "image.build_failed", "without a text"),
        (lines({"error": "write /x: no space left on device"}), "space.full", "no space"),
        (b"<html>502</html>\n", "image.build_failed", "<html>502</html>"),
        (b"<html>502</html>", "image.build_failed", "<html>502</html>"),
        (b"", "image.build_failed", "did not say"),
    ],
)
def test_a_build_that_failed(said: bytes, code: str, words: str) -> None:
    with pytest.raises(ProblemError) as caught:
        built(said)
    assert caught.value.code == code
    assert words in f"{caught.value.detail} {caught.value.hint}"


STEP = "Step 6/25 : RUN set -eu; exit 1"
SCRIPT = 'set -eu;\nif [ "a" ]; then exit 1; fi'


@pytest.mark.parametrize(
    "said",
    [
        lines(
            {"stream": STEP},
            {"stream": "\n ---> Running in 0123456789ab\n"},
            {"stream": "\x1b[91mno such wheel\n"},
            {"stream": "\x1b[0m"},
            {"stream": "Removing intermediate container 0123456789ab\n"},
            {"error": f"The command '/bin/sh -c {SCRIPT}' returned a non-zero code: 1"},
        ),
        lines(
            {"stream": f"[1/3] {STEP.upper()}\n"},
            {"stream": "no such wheel\n"},
            {"error": f'building at STEP "RUN {SCRIPT}": while running runtime: exit status 1'},
        ),
    ],
)
def test_a_command_that_failed_has_its_own_last_words(said: bytes) -> None:
    told: list[str] = []
    with pytest.raises(ProblemError) as caught:
        built(said, told=told)
    assert caught.value.detail == "a command of the Dockerfile failed (code 1): no such wheel"
    assert "no such wheel" in told


def test_a_line_without_end() -> None:
    answer = BuildAnswer(lambda _: None)
    answer.feed(b"x" * LINE_LIMIT_BYTES)
    with pytest.raises(StreamBrokenError):
        answer.feed(b"x")
