"""Proxies in containers: where the node has no HAProxy, or no systemd to run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.containers.inspection import RUNNING
from agent.containers.runtime import NodeRuntime
from agent.protocol.containers import Container
from agent.protocol.problems import ProblemError
from agent.traffic.config import FILE
from agent.traffic.homes import ARGUMENTS, OPEN_FILES, PREFIX, STOP_SECONDS
from agent.traffic.problems import not_started

LABEL = "roost.traffic"
INSIDE = "/roost"
LAST_LINES = 5
# A proxy that gives a port up has let its requests end by then, or cuts them.
GIVE_UP_SECONDS = 10


class Gateways:
    """Containers on the host's network, from an image that has `haproxy` in its PATH.

    Args:
        image: its name.
        files: the folder with one folder for each workload.
    """

    def __init__(self, runtime: NodeRuntime, image: str, files: Path) -> None:
        self._runtime, self._image, self._files = runtime, image, files

    async def why_not(self) -> str | None:
        """Without the image there is nothing to run."""
        try:
            await self._runtime.image(self._image)
        except ProblemError as problem:
            if not problem.code.startswith("image."):
                raise
            return f"it has no HAProxy that systemd could run, and no image {self._image}"
        return None

    def folder(self, workload: str) -> str:
        """The same in each container."""
        del workload
        return INSIDE

    def shown(self, workload: str) -> str:
        return f"container {_name(workload)}"

    async def running(self, workload: str) -> bool:
        container = await self._find(workload)
        return container is not None and container.state in RUNNING

    async def start(self, workload: str) -> None:
        container = await self._find(workload)
        if container is None:
            image = await self._runtime.image(self._image)
            made = await self._runtime.create_container(
                _name(workload), self._body(workload, image.id), {}
            )
        else:
            made = container.id
        try:
            await self._runtime.act(made, "start")
        except ProblemError as problem:
            if problem.code.startswith("runtime.unreachable"):
                raise
            raise not_started(workload, problem.detail) from problem

    async def restart(self, workload: str) -> None:
        container = await self._find(workload)
        if container is not None:
            await self._runtime.act(container.id, "stop", timeout_seconds=1)
        await self.start(workload)

    async def remove(self, workload: str) -> None:
        container = await self._find(workload)
        if container is not None:
            await self._runtime.act(container.id, "stop", timeout_seconds=GIVE_UP_SECONDS)
            await self._runtime.discard_container(container.id)

    async def last_words(self, workload: str) -> str:
        lines: list[str] = []
        try:
            async for batch in self._runtime.logs(_name(workload), follow=False, tail=LAST_LINES):
                lines += [line.text for line in batch]
        except ProblemError as problem:
            return problem.detail
        return " / ".join(lines[-LAST_LINES:])[-500:]

    async def _find(self, workload: str) -> Container | None:
        """Its container. Raises ProblemError `traffic.not_started`: the name is another's."""
        try:
            container = (await self._runtime.details(_name(workload))).container
        except ProblemError as problem:
            if problem.code != "container.not_found":
                raise
            return None
        if container.name != _name(workload):
            return None
        if container.labels.get(LABEL) != workload:
            raise not_started(workload, f"a container {container.name} is there, not by Roost")
        return container

    def _body(self, workload: str, image: str) -> dict[str, Any]:
        return {
            "Image": image,
            "Entrypoint": ["haproxy"],
            "Cmd": [*ARGUMENTS, f"{INSIDE}/{FILE}"],
            "User": "0",
            "Labels": {LABEL: workload},
            "StopSignal": "SIGUSR1",
            "StopTimeout": STOP_SECONDS,
            "HostConfig": {
                "NetworkMode": "host",
                "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
                "Mounts": [
                    {"Type": "bind", "Source": str(self._files / workload), "Target": INSIDE}
                ],
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "CapAdd": ["NET_BIND_SERVICE", "SETGID", "SETUID"],
                "SecurityOpt": ["no-new-privileges"],
                "Ulimits": [{"Name": "nofile", "Soft": OPEN_FILES, "Hard": OPEN_FILES}],
            },
        }


def _name(workload: str) -> str:
    return f"{PREFIX}-{workload}"
