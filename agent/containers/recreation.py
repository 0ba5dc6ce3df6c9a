"""Containers made, renamed and taken away; see `workload_runtime.WorkloadRuntime`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from anyio import CancelScope, move_on_after

from agent.containers.connection import Connection
from agent.protocol.problems import ProblemError

Json = Mapping[str, Any]

# The containerd store unpacks an image that is not unpacked yet.
CREATE_SECONDS = 600.0
REMOVE_SECONDS = 120.0
CALL_SECONDS = 30.0
# A health check has a limit of its own, 30 s unless said.
HEALTH_SECONDS = 120.0
NOT_FOUND = 404
# Where Podman puts files of its own; /changes shows the folders as changed, with nothing in them.
PODMAN_PLACES = frozenset(
    (
        *("/dev", "/etc", "/proc", "/run", "/run/secrets", "/sys"),
        *("/tmp", "/var", "/var/tmp"),  # noqa: S108 - of the container
        *("/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf", "/run/.containerenv"),
    )
)
# Docker takes several networks at creation from this on, one before it; Podman always does.
SEVERAL_NETWORKS_API = (1, 44)


async def create(
    connection: Connection, name: str, body: Json, networks: Mapping[str, Json]
) -> str:
    """Make a container in these networks. It is whole, or it is not there.

    Raises:
        ProblemError: `container.conflict` where the name is taken, `runtime.*`.
    """
    several = connection.podman or _version(connection.api_version) >= SEVERAL_NETWORKS_API
    names = list(networks)
    at_once = names if several else names[:1]
    whole = {
        **body,
        "NetworkingConfig": {"EndpointsConfig": {each: networks[each] for each in at_once}},
    }
    made = await _ask(
        connection,
        "POST",
        "/containers/create",
        container=name,
        query={"name": name},
        body=whole,
        seconds=CREATE_SECONDS,
    )
    container_id = str((made or {}).get("Id") or "")
    try:
        for each in names[len(at_once) :]:
            await _ask(
                connection,
                "POST",
                f"/networks/{quote(each, safe='')}/connect",
                container=name,
                body={"Container": container_id, "EndpointConfig": networks[each]},
            )
    except BaseException:
        with CancelScope(shield=True), move_on_after(REMOVE_SECONDS):
            await remove(connection, container_id)
        raise
    return container_id


async def rename(connection: Connection, container_id: str, name: str) -> None:
    """Raises ProblemError `container.conflict` where the name is taken, `container.not_found`."""
    await _ask(
        connection,
        "POST",
        f"/containers/{container_id}/rename",
        container=name,
        query={"name": name},
    )


async def remove(connection: Connection, container_id: str) -> None:
    """Remove a stopped container; its volumes stay."""
    with _passing_over("container.not_found"):
        await _ask(
            connection,
            "DELETE",
            f"/containers/{container_id}",
            container=container_id[:12],
            seconds=REMOVE_SECONDS,
        )


async def send_signal(connection: Connection, container_id: str, signal: str) -> None:
    """To its first process; Docker answers 409 where it does not run."""
    with _passing_over("container.not_found", "container.conflict"):
        await _ask(
            connection,
            "POST",
            f"/containers/{container_id}/kill",
            container=container_id[:12],
            query={"signal": signal},
        )


async def discard(connection: Connection, container_id: str) -> None:
    """Kill it, remove it, and its anonymous volumes with it."""
    # 409: whoever else removes it is not done yet.
    with _passing_over("container.not_found", "container.conflict"):
        await _ask(
            connection,
            "DELETE",
            f"/containers/{container_id}",
            container=container_id[:12],
            query={"force": "1", "v": "1"},
            seconds=REMOVE_SECONDS,
        )


async def set_restart_policy(connection: Connection, container_id: str, policy: Json) -> None:
    """Raises ProblemError `container.not_found`, `runtime.*`.

    An old Podman has no such call, and none of its containers that we touch has another policy
    than "no" (`agent.workloads.podman`). Its libpod call would take the ulimits away.
    """
    try:
        await _ask(
            connection,
            "POST",
            f"/containers/{container_id}/update",
            container=container_id[:12],
            body={"RestartPolicy": dict(policy)},
        )
    except ProblemError as problem:
        no_such_call = connection.podman and problem.params.get("status") == NOT_FOUND
        if not no_such_call or problem.code == "container.not_found" or policy["Name"] != "no":
            raise


async def run_health_check(connection: Connection, container_id: str) -> None:
    """Podman's own call; Docker needs none. Raises ProblemError `container.*`, `runtime.*`."""
    if not connection.podman:
        return
    path = f"/libpod/containers/{container_id}/healthcheck"
    await _ask(connection, "GET", path, container=container_id[:12], seconds=HEALTH_SECONDS)


async def labelled(connection: Connection, label: str) -> list[str]:
    """Ids of containers with this label, newest first."""
    query = {"all": "1", "filters": json.dumps({"label": [label]})}
    found = await connection.ask("GET", "/containers/json", query=query, seconds=CALL_SECONDS)
    entries = sorted(found or [], key=lambda entry: -float(entry.get("Created") or 0))
    return [str(entry["Id"]) for entry in entries]


async def changed_paths(connection: Connection, container_id: str) -> list[str]:
    """Files that were changed or made in the container, without the folders that hold them."""
    found = await connection.ask("GET", f"/containers/{container_id}/changes", seconds=CALL_SECONDS)
    paths = sorted(str(entry.get("Path") or "") for entry in found or [])
    holding = {path.rpartition("/")[0] for path in paths}
    own = PODMAN_PLACES if connection.podman else frozenset()
    return [path for path in paths if path not in holding | own]


async def image_environment(connection: Connection, image: str) -> list[str]:
    """What an image gives its containers. Raises ProblemError `runtime.*`, `image.not_found`."""
    try:
        found = await connection.ask("GET", f"/images/{image}/json", seconds=CALL_SECONDS)
    except ProblemError as problem:
        if problem.params.get("status") != 404:
            raise
        raise ProblemError(
            "image.not_found",
            f"image {image} is not on this node",
            params={"image": image},
            hint="`roost image ls NODE` shows what is.",
        ) from problem
    return [str(entry) for entry in (found.get("Config") or {}).get("Env") or []]


async def has_network(connection: Connection, name: str) -> bool:
    """Whether there is a network of that name."""
    return await _named(connection, "networks", name) is not None


async def volume_options(connection: Connection, name: str) -> Mapping[str, str] | None:
    """What a volume was made with, by its driver's words; None: there is none of that name."""
    found = await _named(connection, "volumes", name)
    if found is None:
        return None
    return {key: str(value) for key, value in (found.get("Options") or {}).items()}


async def _named(connection: Connection, kind: str, name: str) -> Any:
    """What the runtime says of a thing of that kind; None: there is none."""
    try:
        return await connection.ask("GET", f"/{kind}/{quote(name, safe='')}", seconds=CALL_SECONDS)
    except ProblemError as problem:
        if problem.params.get("status") != 404:
            raise
        return None


async def ensure_network(connection: Connection, name: str, settings: Json) -> bool:
    """Make a network where there is none of that name; True: it was made."""
    if await has_network(connection, name):
        return False
    await connection.ask(
        "POST",
        "/networks/create",
        body={"Name": name, "CheckDuplicate": True, **settings},
        seconds=CALL_SECONDS,
    )
    return True


async def _ask(
    connection: Connection,
    method: str,
    path: str,
    *,
    container: str,
    query: Mapping[str, str | int] | None = None,
    body: Json | None = None,
    seconds: float = CALL_SECONDS,
) -> Any:
    """`Connection.ask` about one container, whose problems are the container's."""
    try:
        return await connection.ask(method, path, query=query, body=body, seconds=seconds)
    except ProblemError as problem:
        status = problem.params.get("status")
        missing = "no such container" in problem.detail.lower()
        code = {404: "container.not_found" if missing else None, 409: "container.conflict"}.get(
            status if isinstance(status, int) else 0
        )
        if code is None:
            raise
        raise ProblemError(
            code,
            problem.detail,
            params={**problem.params, "container": container},
            hint="Look at it: roost container ls.",
        ) from problem


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


@contextmanager
def _passing_over(*codes: str) -> Iterator[None]:
    """For what may be so already. Raises every other ProblemError."""
    try:
        yield
    except ProblemError as problem:
        if problem.code not in codes:
            raise
