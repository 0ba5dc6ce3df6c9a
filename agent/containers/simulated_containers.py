"""Containers that are made on a simulated node: what they are, from what was asked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from agent.containers.gpu_asks import gpu_ask
from agent.containers.inspection import published_ports
from agent.protocol.containers import Container

Json = Mapping[str, Any]

_PORT = re.compile(r"(?:(?P<ip>.*):)?(?P<published>\d+)->(?P<target>\d+/\w+)")


def made(name: str, body: Json, *, number: int, image_id: str, now: float) -> Container:
    """The container that `POST /containers/create` makes."""
    host = body.get("HostConfig") or {}
    ask = gpu_ask(host, body.get("Env") or [])
    return Container(
        id=hashlib.sha256(f"{name}/{number}/{now}".encode()).hexdigest(),
        name=name,
        image=str(body.get("Image") or ""),
        image_id=image_id,
        state="created",
        created_at=now,
        ports=published_ports(host.get("PortBindings") or {}),
        labels=dict(body.get("Labels") or {}),
        gpus=ask.gpus,
        gpu_way=ask.way,
        command=" ".join(body.get("Cmd") or []) or None,
    )


def body_of(container: Container) -> Json:
    """What a container that the node started with was made from, as far as its record tells."""
    request = {"Driver": "", "DeviceIDs": container.gpus, "Capabilities": [["gpu"]]}
    bindings: dict[str, list[Json]] = {}
    for port in container.ports:
        if found := _PORT.fullmatch(port):
            binding = {"HostIp": found["ip"] or "", "HostPort": found["published"]}
            bindings.setdefault(found["target"], []).append(binding)
    return {
        "Image": container.image,
        "Labels": container.labels,
        "Cmd": (container.command or "").split() or None,
        "HostConfig": {
            "NetworkMode": "bridge",
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            "DeviceRequests": [request] if container.gpus else [],
            "PortBindings": bindings,
        },
    }


def answer(container: Container, body: Json) -> Json:
    """What `GET /containers/{id}/json` says of it."""
    return {
        "Id": container.id,
        "Name": f"/{container.name}",
        "Image": container.image_id,
        "Created": container.created_at,
        "Config": {key: value for key, value in body.items() if key != "HostConfig"},
        "HostConfig": body.get("HostConfig") or {},
        "State": {
            "Status": container.state,
            "Running": container.state == "running",
            "StartedAt": container.started_at,
            "ExitCode": container.exit_code or 0,
            "Health": {"Status": container.health} if container.health != "none" else None,
        },
        "Mounts": [],
        "NetworkSettings": {"Networks": {"bridge": {}}},
    }
