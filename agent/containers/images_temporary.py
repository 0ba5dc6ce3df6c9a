"""Containers that are made from an image to look at it, never started, and removed at once."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
from collections.abc import AsyncIterator
from urllib.parse import quote

from anyio import CancelScope, move_on_after

from agent.containers.connection import Connection
from agent.protocol.problems import ProblemError

log = logging.getLogger(__name__)

LABEL = "roost.check"
# Unpacking some 10 GB, and taking away what an image's volumes were filled with.
CREATE_SECONDS = 1800.0
REMOVE_SECONDS = 120.0


class TemporaryContainers:
    """Those of one runtime; what is left of others is removed."""

    def __init__(self) -> None:
        self._used: set[str] = set()  # by their names

    @contextlib.asynccontextmanager
    async def made_from(self, connection: Connection, image_id: str) -> AsyncIterator[str]:
        """Its name, as long as the block lasts.

        Raises:
            ProblemError: `runtime.*`; `params["status"]` where the runtime makes none.
        """
        body = {
            "Image": image_id,
            "Cmd": ["roost-check"],  # an image may have no command, and none may be created then
            "Labels": {LABEL: ""},
            "HostConfig": {"NetworkMode": "none"},
        }
        name = f"roost-check-{secrets.token_hex(4)}"
        self._used.add(name)
        try:
            made = await connection.ask(
                "POST",
                "/containers/create",
                query={"name": name},
                body=body,
                seconds=CREATE_SECONDS,
            )
            if not isinstance(made, dict) or not made.get("Id"):
                raise ProblemError(
                    "runtime.refused",
                    "the runtime made no container from it",
                    params={"status": 201},
                )
            yield name
        finally:
            # Also when nobody waits any more: it may have been made a moment ago.
            with CancelScope(shield=True), move_on_after(REMOVE_SECONDS):
                await self._remove(connection, name)
            self._used.discard(name)

    async def remove_left(self, connection: Connection) -> None:
        """Remove those that nobody looks at, of an agent that was killed or of this one: a runtime
        may end making one after it was asked to remove it. Raises ProblemError `runtime.*`."""
        filters = json.dumps({"label": [LABEL]})
        query = {"all": "1", "filters": filters}
        for entry in await connection.ask("GET", "/containers/json", query=query) or []:
            if self._used.isdisjoint(each.lstrip("/") for each in entry.get("Names") or ()):
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
