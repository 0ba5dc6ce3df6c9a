"""From a runtime's answers to the wire's records: no I/O."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec

from agent.containers.gpu_asks import gpu_ask
from agent.containers.moments import unix_seconds
from agent.protocol.containers import (
    Container,
    ContainerDetails,
    ContainerFigures,
    ContainerState,
)

Json = Mapping[str, Any]
Health = Literal["none", "starting", "healthy", "unhealthy"]

DEFAULT_STOP_SECONDS = 10
# A command can be a whole script, and records go over slow links.
COMMAND_LIMIT = 256
RUNNING: frozenset[ContainerState] = frozenset(("running", "paused"))
_ENDED: frozenset[ContainerState] = frozenset(("exited", "dead", "restarting"))
_STATES: Mapping[str, ContainerState] = {
    **{state: state for state in get_args(ContainerState)},
    # Podman has states of its own.
    "configured": "created",
    "initialized": "created",
    "stopped": "exited",
    "stopping": "running",
}


class Inspected(msgspec.Struct, kw_only=True, frozen=True):
    """A container with what the agent itself needs of it."""

    container: Container
    pid: int | None = None  # of its init process, in the runtime's pid namespace
    tty: bool = False
    stop_seconds: int = DEFAULT_STOP_SECONDS
    memory_limit_bytes: int | None = None


def inspected(answer: Json) -> Inspected:
    """One container from `GET /containers/{id}/json`."""
    config, host = _part(answer, "Config"), _part(answer, "HostConfig")
    state = _part(answer, "State")
    status = state_of(state.get("Status"))
    ask = gpu_ask(host, config.get("Env") or [])
    command = [str(answer.get("Path") or ""), *(answer.get("Args") or [])]
    container = Container(
        id=answer["Id"],
        name=_name([str(answer.get("Name") or "")]) or answer["Id"][:12],
        image=str(config.get("Image") or answer.get("Image") or ""),
        image_id=_image_id(answer.get("Image")),
        state=status,
        health=_health(_part(state, "Health").get("Status")),
        created_at=unix_seconds(answer.get("Created")) or 0.0,
        started_at=unix_seconds(state.get("StartedAt")),
        finished_at=unix_seconds(state.get("FinishedAt")),
        exit_code=state.get("ExitCode") if status in _ENDED else None,
        restart_count=answer.get("RestartCount") or 0,
        ports=published_ports(_part(_part(answer, "NetworkSettings"), "Ports")),
        labels=config.get("Labels") or {},
        gpus=ask.gpus,
        gpu_way=ask.way,
        command=_command(shlex.join(part for part in command if part)),
    )
    return Inspected(
        container=container,
        pid=state.get("Pid") or None,
        tty=bool(config.get("Tty")),
        # Podman's compatible answer says 0 where its own default of 10 s holds.
        stop_seconds=config.get("StopTimeout") or DEFAULT_STOP_SECONDS,
        memory_limit_bytes=host.get("Memory") or None,
    )


def listed(entry: Json) -> Container:
    """One container from an entry of `GET /containers/json`: less, but never blocked.

    A container whose lock is stuck inside dockerd can still be listed.
    """
    return Container(
        id=entry["Id"],
        name=_name(entry.get("Names") or []) or entry["Id"][:12],
        image=str(entry.get("Image") or ""),
        image_id=_image_id(entry.get("ImageID")),
        state=state_of(entry.get("State")),
        created_at=float(entry.get("Created") or 0),
        labels=entry.get("Labels") or {},
        command=_command(str(entry.get("Command") or "")),
    )


def details(answer: Json, figures: ContainerFigures | None) -> ContainerDetails:
    """What a person sees of one container."""
    config, host = _part(answer, "Config"), _part(answer, "HostConfig")
    known = inspected(answer)
    policy = _part(host, "RestartPolicy")
    retries = policy.get("MaximumRetryCount")
    name = policy.get("Name") or "no"
    runtime = host.get("Runtime")
    return ContainerDetails(
        container=known.container,
        figures=figures,
        environment_names=[str(entry).partition("=")[0] for entry in config.get("Env") or []],
        mounts=[_mount(mount) for mount in answer.get("Mounts") or []],
        networks=sorted(_part(_part(answer, "NetworkSettings"), "Networks")),
        restart_policy=f"{name}:{retries}" if retries else name,
        runtime=None if runtime == "oci" else runtime,  # "oci" is Podman's word for any
        pid=known.pid,
        user=config.get("User") or None,
        log_driver=_part(host, "LogConfig").get("Type") or None,
    )


def _part(answer: Json, key: str) -> Json:
    part = answer.get(key)
    return part if isinstance(part, Mapping) else {}


def state_of(text: object) -> ContainerState:
    """In one set of words, whichever runtime said it."""
    return _STATES.get(str(text or "").lower(), "unknown")


def _health(text: object) -> Health:
    if text == "starting" or text == "healthy" or text == "unhealthy":
        return text
    return "none"


def _name(names: list[str]) -> str:
    """Its own name among the names that links gave it, which have a second slash."""
    own = [name for name in names if name.count("/") <= 1]
    return (own or names or [""])[0].lstrip("/")


def _command(text: str) -> str | None:
    cut = text if len(text) <= COMMAND_LIMIT else text[: COMMAND_LIMIT - 1] + "…"
    return cut or None


def _image_id(text: object) -> str:
    image_id = str(text or "")
    return image_id if not image_id or ":" in image_id else f"sha256:{image_id}"


def published_ports(ports: Json) -> list[str]:
    """As the wire shows them, from what the runtime binds to each port of the container."""
    found = []
    for inside, bindings in sorted(ports.items()):
        if not bindings:
            found.append(inside)
        for binding in bindings or []:
            address = binding.get("HostIp") or "0.0.0.0"  # noqa: S104 - shown, not listened on
            address = f"[{address}]" if ":" in address else address
            found.append(f"{address}:{binding.get('HostPort')}->{inside}")
    return found


def _mount(mount: Json) -> str:
    source = mount.get("Name") if mount.get("Type") == "volume" else mount.get("Source")
    mode = "" if mount.get("RW", True) else ":ro"
    return f"{source or mount.get('Type') or '?'}:{mount.get('Destination')}{mode}"
