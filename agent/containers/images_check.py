"""Whether an image in the runtime is whole: its layers by name, and a container made from it.

The containerd store lists an image, with its tag and all its layers' names, when their content is
missing or wrong (seen on Docker 28.5). Creating a container finds out there: it unpacks what is not
unpacked yet. It is never started.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Sequence
from urllib.parse import quote

from anyio import CancelScope, move_on_after

from agent.containers.connection import Connection
from agent.containers.images_problems import broken
from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError

log = logging.getLogger(__name__)

LABEL = "roost.check"
# Unpacking some 10 GB, and taking away what an image's volumes were filled with.
CREATE_SECONDS = 1800.0
REMOVE_SECONDS = 120.0
_SERVER_ERROR = 500


class Checker:
    """Checks images of one runtime; containers that an agent before it left are removed."""

    def __init__(self) -> None:
        self._mine = secrets.token_hex(8)

    async def check(
        self, connection: Connection, image: NodeImage, diff_ids: Sequence[str] | None
    ) -> None:
        """Raise if the image is not whole, or not of these layers.

        Raises:
            ProblemError: `image.broken`, `space.full`, `runtime.*`.
        """
        if not image.diff_ids and not image.os:
            # What the containerd store says when a blob is missing, also of a layer that another
            # image has unpacked: then a container can be made, but the image cannot be saved.
            raise broken(image, "part of it is missing: its layers are not told")
        if diff_ids is not None and list(diff_ids) != image.diff_ids:
            raise broken(image, _difference(list(diff_ids), image.diff_ids))
        await self._remove_left(connection)
        body = {
            "Image": image.id,
            "Cmd": ["roost-check"],  # an image may have no command, and none may be created then
            "Labels": {LABEL: self._mine},
            "HostConfig": {"NetworkMode": "none"},
        }
        name = f"roost-check-{secrets.token_hex(4)}"
        try:
            made = await connection.ask(
                "POST",
                "/containers/create",
                query={"name": name},
                body=body,
                seconds=CREATE_SECONDS,
            )
        except ProblemError as problem:
            if problem.params.get("status") is None:
                raise
            raise broken(image, f"no container can be made from it: {problem.detail}") from problem
        finally:
            # Also when nobody waits any more: it may have been made a moment ago.
            with CancelScope(shield=True), move_on_after(REMOVE_SECONDS):
                await self._remove(connection, name)
        if not isinstance(made, dict) or not made.get("Id"):
            raise broken(image, "the runtime made no container from it")

    async def _remove_left(self, connection: Connection) -> None:
        filters = json.dumps({"label": [LABEL]})
        query = {"all": "1", "filters": filters}
        for entry in await connection.ask("GET", "/containers/json", query=query) or []:
            if (entry.get("Labels") or {}).get(LABEL) != self._mine:
                await self._remove(connection, str(entry["Id"]))

    async def _remove(self, connection: Connection, name: str) -> None:
        try:
            await connection.ask(
                "DELETE",
                f"/containers/{quote(name, safe='')}",
                query={"v": "1"},
                seconds=REMOVE_SECONDS,
            )
        except ProblemError as problem:
            if problem.params.get("status") != 404:
                log.warning("container %s was not removed: %s", name, problem.detail)


def _difference(wanted: list[str], found: list[str]) -> str:
    if len(wanted) != len(found):
        return f"it has {len(found)} layers instead of {len(wanted)}"
    number = next(
        at for at, (one, other) in enumerate(zip(wanted, found, strict=True)) if one != other
    )
    return f"its layer {number + 1} is {found[number]} instead of {wanted[number]}"
