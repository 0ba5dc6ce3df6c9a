"""What a runtime, or the way to it, can answer instead of what was asked, as problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import requests
import urllib3
from docker.errors import APIError, DockerException

from agent.containers.addresses import Trouble
from agent.containers.api_stream import StreamBrokenError, StreamRefusedError
from agent.containers.container_problems import short
from agent.containers.workers import WorkersBusyError
from agent.protocol.problems import ProblemError

T = TypeVar("T")

HINT_UNREACHABLE = "Look whether dockerd or Podman runs on the node."
HINT_PERMISSION = "Run the agent as root, or put its user into the group that owns the socket."
HINT_NOT_FOUND = "Install Docker or Podman, or name the socket in agent.yaml."


# What a call into the SDK raises when the runtime is at fault, or the way to it.
CALL_ERRORS = (
    DockerException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    WorkersBusyError,
    StreamRefusedError,
    StreamBrokenError,
    OSError,  # TimeoutError too
    ValueError,
)


def problem_of_trouble(trouble: Trouble, address: str | None) -> ProblemError:
    """The problem that a socket which cannot be used stands for."""
    code = "runtime.permission" if trouble.state == "no_permission" else "runtime.unreachable"
    hint = {"no_permission": HINT_PERMISSION, "not_found": HINT_NOT_FOUND}.get(trouble.state)
    return ProblemError(
        code, trouble.reason, params={"address": address}, hint=hint or HINT_UNREACHABLE
    )


def problem_of(error: Exception, address: str, *, container: str | None = None) -> ProblemError:
    """The problem that a failed call stands for.

    `container` is the name that was asked for, where the call was about one.
    """
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, APIError):
        return _refused(error.status_code or 0, error.explanation or str(error), address, container)
    if isinstance(error, StreamRefusedError):
        return _refused(error.status, error.message, address, container)
    if isinstance(error, requests.exceptions.JSONDecodeError | ValueError):
        return ProblemError(
            "runtime.refused",
            f"{address} answered what is not the API of a container runtime",
            params={"address": address},
            hint="Look what listens on that socket.",
        )
    if any(isinstance(cause, PermissionError) for cause in _chain(error)):
        return problem_of_trouble(Trouble("no_permission", f"no permission for {address}"), address)
    return problem_of_trouble(Trouble("unreachable", _reason(error, address)), address)


def _refused(status: int, message: str, address: str, container: str | None) -> ProblemError:
    message = short(message)
    params = {"address": address, "container": container, "status": status}
    if container is not None and status == 404:
        return ProblemError(
            "container.not_found",
            f"the runtime knows no container {container!r}",
            params=params,
            hint="`roost container ls` shows the containers that there are.",
        )
    if container is not None and status == 409:
        return ProblemError(
            "container.conflict",
            message,
            params=params,
            hint="Look at the container's state, and try again.",
        )
    return ProblemError(
        "runtime.refused",
        message,
        params=params,
        hint="The text is the runtime's own; its log on the node may say more.",
    )


def _reason(error: Exception, address: str) -> str:
    for cause in _chain(error):
        if isinstance(cause, requests.exceptions.Timeout | TimeoutError):
            return f"{address} does not answer"
        if isinstance(cause, WorkersBusyError):
            return f"{address} does not answer: {cause}"
        if isinstance(cause, FileNotFoundError):
            return f"no socket at {address}"
        if isinstance(cause, ConnectionRefusedError):
            return f"nobody listens on {address}"
        if isinstance(cause, StreamBrokenError | ConnectionResetError | BrokenPipeError):
            return f"{address} closed the connection"
    return short(f"{address}: {error}")


def _chain(error: BaseException) -> list[BaseException]:
    """The error and all that it wraps, outermost first; requests hides causes in `args`."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [*one.args, one.__cause__, one.__context__]
    return found


def understood(parse: Callable[[], T], address: str) -> T:
    """What `parse` makes of an answer.

    Raises:
        ProblemError: `runtime.refused`, the answer has not the shape that it should.
    """
    try:
        return parse()
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise problem_of(ValueError(repr(error)), address) from error
