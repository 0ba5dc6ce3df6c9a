"""Problems with one container, told alike by every runtime."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from agent.protocol.containers import Container
from agent.protocol.problems import ProblemError

MESSAGE_LIMIT = 600


def not_found(name: str, containers: Mapping[str, Container]) -> ProblemError:
    """That there is no such container, with the nearest name that there is."""
    near = difflib.get_close_matches(name, [one.name for one in containers.values()], n=1)
    return ProblemError(
        "container.not_found",
        f"no container is named {name!r}",
        params={"container": name, "nearest": near[0] if near else None},
        hint=(
            f"Did you mean {near[0]!r}?"
            if near
            else "`roost container ls` shows the containers that there are."
        ),
    )


def not_run(command: list[str], reason: str, code: int | None) -> ProblemError:
    """That a command could not even begin, in the runtime's words."""
    shown = command[0] if command else ""
    return ProblemError(
        "exec.command",
        f"the container cannot run {shown!r}: {short(reason) or 'no reason given'}",
        params={"command": command, "exit_code": code},
        hint="Name a program that is in the image, by its full path if it is not in PATH.",
    )


def not_running(name: str, state: str) -> ProblemError:
    """That nothing can be run in a container, because of its state."""
    return ProblemError(
        "container.not_running",
        f"container {name!r} is {state}",
        params={"container": name, "state": state},
        hint=f"Start it first: `roost container start NODE {name}`.",
    )


def conflict(detail: str, name: str) -> ProblemError:
    """That a container's state, or another one's name, is in the way."""
    return ProblemError(
        "container.conflict",
        detail,
        params={"container": name},
        hint="Look at it: roost container ls.",
    )


def short(message: str) -> str:
    """A runtime's message on one line and of bounded length."""
    line = " ".join(message.split())
    return line if len(line) <= MESSAGE_LIMIT else line[: MESSAGE_LIMIT - 1] + "…"
