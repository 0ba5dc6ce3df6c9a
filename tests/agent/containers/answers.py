"""Answers as runtimes gave them, cut to what matters, and records made from them."""

from __future__ import annotations

from typing import Any

from agent.containers.inspection import Inspected
from agent.protocol.containers import Container, ContainerState

Json = dict[str, Any]

ID = "2e097222d9b840777a0081a9de248ef2c7016bf556b8e86d70f1c2e494fe289c"


def inspect_answer(**more: Any) -> Json:
    """`GET /containers/{id}/json` of Docker 20.10.24; `more` replaces parts of it."""
    answer: Json = {
        "Id": ID,
        "Created": "2026-11-21T07:47:25.8205535Z",
        "Path": "sleep",
        "Args": ["1000"],
        "State": {
            "Status": "running",
            "Pid": 2255,
            "ExitCode": 0,
            "StartedAt": "2026-11-21T07:47:26.055747403Z",
            "FinishedAt": "0001-01-01T00:00:00Z",
        },
        "Image": "sha256:b681685599e322b9fd20a9b9f2ebdeb0bd7991fb355ad2aac9a8c825e07a953a",
        "Name": "/silent",
        "RestartCount": 0,
        "HostConfig": {
            "LogConfig": {"Type": "json-file", "Config": {}},
            "RestartPolicy": {"Name": "", "MaximumRetryCount": 0},
            "Runtime": "runc",
            "Memory": 0,
            "Devices": None,
            "DeviceRequests": None,
        },
        "Mounts": [],
        "Config": {"User": "", "Tty": False, "Env": None, "Image": "bb:1", "Labels": {}},
        "NetworkSettings": {"Ports": {}, "Networks": {"bridge": {}}},
    }
    return answer | more


def container(number: int, name: str | None = None, state: ContainerState = "running") -> Container:
    """A record with an id of its own."""
    return Container(
        id=f"{number:064x}",
        name=name or f"c{number}",
        image="bb:1",
        image_id="sha256:1",
        state=state,
        created_at=1.0,
        started_at=2.0 if state == "running" else None,
    )


def looked_at(one: Container, *, pid: int | None = None) -> Inspected:
    """What an inspection would give for a record."""
    return Inspected(container=one, pid=pid)
