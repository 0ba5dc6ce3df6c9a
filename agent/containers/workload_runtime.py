"""What workloads need of a container runtime: containers made, renamed, taken away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Json = Mapping[str, Any]


class WorkloadRuntime(Protocol):
    """Bodies and answers are those of Docker's own API, version 1.41 or what the runtime speaks.

    All methods raise `runtime.*`, `container.not_found` and `container.conflict`. Each says done
    only when the runtime did; repeated, it finds done what is done.
    """

    async def inspect(self, name: str) -> Json:
        """All that the runtime knows of one container, values of its environment included."""

    async def create_container(self, name: str, body: Json, networks: Mapping[str, Json]) -> str:
        """Make a container and put it into `networks`, endpoint settings by name; its id.

        It is not started. One that cannot be put into all of them is removed again.
        """

    async def rename_container(self, container_id: str, name: str) -> None: ...

    async def remove_container(self, container_id: str) -> None:
        """Remove a stopped container, never its volumes. One that is gone already is well."""

    async def signal_container(self, container_id: str, signal: str) -> None:
        """Have its first process get "SIGTERM", say. One that has ended or is gone is well."""

    async def discard_container(self, container_id: str) -> None:
        """Kill it if it runs, remove it and its anonymous volumes; one that is gone is well."""

    async def set_restart_policy(self, container_id: str, policy: Json) -> None:
        """`policy` is `{"Name": "always", "MaximumRetryCount": 0}`."""

    async def run_health_check(self, container_id: str) -> None:
        """Have its health check run now, where the runtime leaves that to systemd's timers.

        What it says is in the container's health then. Raises `runtime.timeout` where the check
        takes too long.
        """

    async def labelled(self, label: str) -> list[str]:
        """Ids of all containers, running or not, with this label ("key=value"), newest first."""

    async def changed_paths(self, container_id: str) -> list[str]:
        """Files of the writable layer: changed or new, folders that only hold others left out."""

    async def image_environment(self, image: str) -> list[str]:
        """What an image, by its id, gives its containers: NAME=VALUE. Raises `image.not_found`."""

    async def has_network(self, name: str) -> bool: ...

    async def volume_options(self, name: str) -> Mapping[str, str] | None:
        """What a volume was made with, by its driver's words; None: there is none of that name."""

    async def ensure_network(self, name: str, settings: Json) -> bool:
        """Make a network where there is none of that name; True: it was made."""
