"""Start, stop and restart, with what became of the container read back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from agent.containers.connection import Connection, Patience
from agent.containers.inspection import Inspected, inspected
from agent.containers.refusals import understood
from agent.protocol.containers import Container, ContainerChange
from agent.protocol.problems import ProblemError

Action = Literal["start", "stop", "restart"]

# A thread waits as long as the container may take to stop.
LONGEST_STOP_SECONDS = 600
_LOOK_EVERY_SECONDS = 0.1


async def inspect(connection: Connection, name: str) -> Inspected:
    """A container as it is now.

    Raises:
        ProblemError: `container.not_found`, `runtime.*`.
    """
    answer = await connection.inspect(name)
    return understood(lambda: inspected(answer), connection.address)


async def act(
    connection: Connection,
    before: Inspected,
    action: Action,
    *,
    timeout_seconds: int | None,
    patience: Patience,
    seen: Callable[[Inspected], None],
) -> ContainerChange:
    """Do it and tell what was found after. Doing what is done already changes nothing.

    A container that was started is watched for `patience.settle`: one that ends at once is
    answered as ended, with its exit code.

    Args:
        before: the container as it was found just now.
        timeout_seconds: how long it may take to stop by itself before it is killed; where None,
            what the container says.
        seen: called with the container as it was found after.

    Raises:
        ProblemError: `request.invalid`, `container.not_found`, `container.conflict`, `runtime.*`.
    """
    if timeout_seconds is not None and not 0 <= timeout_seconds <= LONGEST_STOP_SECONDS:
        raise ProblemError(
            "request.invalid",
            f"a time-out of {timeout_seconds} s is not between 0 and {LONGEST_STOP_SECONDS}",
            params={"timeout_seconds": timeout_seconds},
            hint="0 kills the container at once.",
        )
    container = before.container
    _check(container, action)
    grace = before.stop_seconds if timeout_seconds is None else timeout_seconds
    grace = min(grace, LONGEST_STOP_SECONDS)
    container_id = container.id
    if action == "start":
        await connection.call(lambda client: client.start(container_id), container=container.name)
    elif action == "stop":
        await connection.call(
            lambda client: client.stop(container_id, timeout=grace),
            container=container.name,
            seconds=grace + patience.call + 2,
        )
    else:
        await connection.call(
            lambda client: client.restart(container_id, timeout=grace),
            container=container.name,
            seconds=grace + patience.call + 2,
        )
    after = await inspect(connection, container_id)
    if action != "stop" and after.container.started_at != container.started_at:
        after = await _settled(connection, after, patience)
    seen(after)
    return ContainerChange(
        action=action, container=after.container, changed=_changed(container, after.container)
    )


async def _settled(connection: Connection, one: Inspected, patience: Patience) -> Inspected:
    """The container as it is after a while, or as soon as it does not run any more."""
    waited = 0.0
    while one.container.state == "running" and waited < patience.settle:
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
        waited += _LOOK_EVERY_SECONDS
        one = await inspect(connection, one.container.id)
    return one


def _check(container: Container, action: Action) -> None:
    if container.state == "removing" or (action == "start" and container.state == "paused"):
        raise ProblemError(
            "container.conflict",
            f"container {container.name!r} is {container.state}, so it cannot {action}",
            params={"container": container.name, "state": container.state},
            hint=(
                "Resume it on the node with `docker unpause`, or restart it."
                if container.state == "paused"
                else "It is being removed; look again."
            ),
        )


def _changed(before: Container, after: Container) -> bool:
    return (
        before.state != after.state
        or before.started_at != after.started_at
        or before.finished_at != after.finished_at
    )
