"""Building an image with the runtime's own builder, the context as a stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

from agent.containers.api_stream import ApiAnswer, StreamRefusedError
from agent.containers.connection import Connection
from agent.containers.container_problems import short
from agent.containers.images_answers import with_algorithm
from agent.containers.images_load import Chunks, streamed
from agent.containers.images_messages import Message, Messages
from agent.containers.images_problems import NO_SPACE, disk_full
from agent.protocol.image_builds import BuildImageRequest
from agent.protocol.problems import ProblemError

Told = Callable[[str], None]
# What the builders write at their end: Docker's classic one, and Podman's.
_BUILT = re.compile(r"Successfully built (?P<id>[0-9a-f]{12,64})")
_ALONE = re.compile(r"[0-9a-f]{64}")
# Colours, which Docker's gives to what a command wrote to its standard error.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# How they say that a command of a RUN failed: with all of it, which is long and says nothing.
_COMMAND_FAILED = (
    re.compile(r"The command '.*' returned a non-zero code: (?P<code>\d+)", re.DOTALL),
    re.compile(
        r'building at STEP ".*": while running runtime: exit status (?P<code>\d+)', re.DOTALL
    ),
)
# And what they say between its words and that.
_NOISE = (" --->", "-->", "Removing intermediate container", "Step ", "STEP ", "[")


async def build(
    connection: Connection, chunks: Chunks, request: BuildImageRequest, told: Told
) -> str:
    """See `runtime.ImageRuntime.build_image`."""
    query = {
        "t": request.tag,
        "dockerfile": request.dockerfile,
        "buildargs": json.dumps(request.arguments),
        "labels": json.dumps(request.labels),
        "rm": "1",
        "forcerm": "1",
        # The classic builder: BuildKit wants a session, which only its own clients have.
        "version": "1",
        **({"target": request.target} if request.target else {}),
        **({"nocache": "1"} if request.no_cache else {}),
    }
    answer = BuildAnswer(told)

    async def hear(said: ApiAnswer) -> str:
        while pieces := await said.read():
            for piece in pieces:
                answer.feed(piece.data)
        return answer.end()

    target = f"/v{connection.api_version}/build?{urlencode(query)}"
    building = streamed(connection, target, chunks, size_bytes=None, hear=hear)
    try:
        return await (_to_its_end(building, told) if connection.podman else building)
    except StreamRefusedError as error:
        raise build_failed(error.message) from error


async def _to_its_end(building: Coroutine[Any, Any, str], told: Told) -> str:
    """Also when cancelled, as long as that is waited for.

    Podman's service panics when the client of a build with several stages goes away (buildah's
    issue 7091; seen with 4.3.1 and 5.8.6), and the calls of all others end with it.
    """
    task = asyncio.ensure_future(building)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            told("cancelled: Podman builds on to its end, for its service would not survive less")
            with contextlib.suppress(ProblemError, StreamRefusedError):
                await asyncio.shield(task)
        raise


def build_failed(words: str, last: str = "") -> ProblemError:
    """That a build did not succeed, in the runtime's words; `space.full` where that is why.

    Args:
        last: what the builder said last before.
    """
    if NO_SPACE in words:
        return disk_full(words)
    for form in _COMMAND_FAILED:
        if last and (found := form.fullmatch(words.strip())):
            words = f"a command of the Dockerfile failed (code {found['code']}): {last}"
    return ProblemError(
        "image.build_failed",
        short(words) or "the runtime did not say that it built an image",
        hint="What the builder said before is in the job's log: roost job log",
    )


class BuildAnswer:
    """What `POST /build` says, message by message: the first error is the end of it."""

    def __init__(self, told: Told) -> None:
        """`told` hears each line of the builder."""
        self._told = told
        self._messages = Messages()
        self._text = self._last = ""
        self._id: str | None = None

    def feed(self, data: bytes) -> None:
        """Some of the body.

        Raises:
            StreamBrokenError: a line without end.
            ProblemError: `image.build_failed`, `space.full`.
        """
        for message in self._messages.feed(data):
            self._take(message)

    def end(self) -> str:
        """The image's id, at the proper end of the body. Raises ProblemError."""
        for message in self._messages.end():
            self._take(message)
        self._say("\n")
        if self._id is None:
            raise build_failed("")
        return with_algorithm(self._id)

    def _take(self, message: Message) -> None:
        if message.error is not None:
            self._say("\n")
            raise build_failed(message.error, self._last)
        aux = message.said.get("aux")
        if isinstance(aux, dict) and isinstance(aux.get("ID"), str):
            self._id = aux["ID"]
        self._say(str(message.said.get("stream") or ""))

    def _say(self, text: str) -> None:
        *lines, self._text = (self._text + text).replace("\r", "\n").split("\n")
        for line in (_COLOUR.sub("", each) for each in lines):
            found = _BUILT.match(line)
            if found and self._id is None:
                self._id = found["id"]
            elif self._id is None and _ALONE.fullmatch(line):
                self._id = line
            if line.strip():
                self._last = self._last if line.startswith(_NOISE) else line.strip()
                self._told(line.rstrip())
