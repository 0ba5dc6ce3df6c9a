"""This machine's own agent on a private socket, for as long as a command needs it."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from agent.protocol.problems import ProblemError
from console.cli.children import AGENT_PART, AgentProcess
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient

AGENT_SECONDS = 30.0
POLL_SECONDS = 0.05
READY_SECONDS = 30.0
READY_POLL_SECONDS = 0.1

CONFIG = "agent.yaml"
_SOCKET = "this-machine.sock"


def agent_yaml(folder: Path, name: str, more: Mapping[str, Any] | None = None) -> str:
    """The text of an agent.yaml that keeps everything in `folder`, with `more` settings in it."""
    settings = {
        "name": name,
        "state": str(folder / "state"),
        "operator_socket": str(folder / _SOCKET),
        "admin_socket": None,
        "viewer_socket": None,
        "group": _own_group(),
        **(more or {}),
    }
    return yaml.safe_dump(settings)


def runtime_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """For `agent_yaml`: the runtime that the docker command would ask here, where that is said.

    Raises:
        ProblemError: `console.usage`: DOCKER_HOST is another machine's, or reached another way.
    """
    host = environment.get("DOCKER_HOST", "")
    if host and not host.startswith("unix://"):
        raise ProblemError(
            "console.usage",
            f"DOCKER_HOST is {host}, and an agent asks a runtime of its own machine only",
            params={"docker_host": host},
            hint="Unset it to use this machine's runtime; for another machine's, add it as a node.",
        )
    return {"runtime": host} if host else {}


@contextlib.contextmanager
def own_agent(folder: Path, name: str) -> Iterator[NodeEntry]:
    """The node while it runs.

    `folder`, whose path is short, has the agent.yaml that `agent_yaml` gave for it.

    Raises:
        ProblemError: `console.agent_missing`, with its last words where it does not start.
    """
    path = folder / _SOCKET
    with AgentProcess(["serve", f"--config={folder / CONFIG}"]) as agent:
        if not _answers(path, agent):
            raise ProblemError(
                "console.agent_missing",
                f"this machine's own agent did not start: {agent.last_words()}",
                hint=AGENT_PART,
            )
        yield NodeEntry(name=name, address=f"unix://{path}")


async def until_ready(client: NodeClient) -> None:
    """Wait: it answers before it has read what it kept. Raises ProblemError."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            await client.jobs(limit=1)
        except ProblemError as problem:
            if problem.code != "node.not_ready" or time.monotonic() > deadline:
                raise
        else:
            return
        await asyncio.sleep(READY_POLL_SECONDS)


def short_place() -> str | None:
    """A unix socket's path is short: not below a TMPDIR that is long."""
    return None if len(os.fsencode(tempfile.gettempdir())) <= 40 else "/tmp"  # noqa: S108 - a folder made anew in it, for its owner only


def _own_group() -> str:
    with contextlib.suppress(KeyError):
        return grp.getgrgid(os.getgid()).gr_name
    return str(os.getgid())


def _answers(path: Path, agent: AgentProcess) -> bool:
    deadline = time.monotonic() + AGENT_SECONDS
    while time.monotonic() < deadline and not agent.ended:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            return True
        time.sleep(POLL_SECONDS)
    return False
