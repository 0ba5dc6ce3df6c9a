"""Whose containers an agent removes, over a runtime that only remembers them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from agent.containers.runtime import NodeRuntime
from agent.engines.container_executor import ContainerExecutor
from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError
from tests.agent.engines.engine_side import Node, facts


class Runtime:
    """Nothing starts in it, and what was made stays until it is swept."""

    def __init__(self) -> None:
        self.made: dict[str, dict[str, str]] = {}
        self.sweeping = False

    async def image(self, reference: str) -> NodeImage:
        return NodeImage(id=reference, diff_ids=[], tags=[reference], size_bytes=1)

    async def create_container(self, name: str, body: dict[str, Any], _: object) -> str:
        self.made[name] = body["Labels"]
        return name

    async def act(self, *_: object) -> None:
        raise _gone()

    async def signal_container(self, *_: object) -> None:
        raise _gone()

    async def discard_container(self, name: str) -> None:
        if not self.sweeping:
            raise _gone()  # as if the agent had been killed before
        del self.made[name]

    async def labelled(self, label: str) -> list[str]:
        return [name for name, labels in self.made.items() if label in labels]

    async def inspect(self, name: str) -> dict[str, Any]:
        return {"Config": {"Labels": self.made[name]}}


def _gone() -> ProblemError:
    return ProblemError("runtime.unreachable", "it went away", hint="Start it.")


async def test_containers_of_another_agent_are_left_alone(tmp_path: Path) -> None:
    runtime = Runtime()

    def executor(folder: Path) -> ContainerExecutor:
        return ContainerExecutor(cast("NodeRuntime", runtime), lambda: facts(Node()), folder)

    one, other = tmp_path / "one", tmp_path / "other"
    first = executor(one)
    with pytest.raises(ProblemError):
        await first.look("detector:1", None)
    assert len(runtime.made) == 1
    runtime.sweeping = True
    for each in (first, executor(other)):  # it may be at work in it; it is none of its business
        await each.sweep()
        assert len(runtime.made) == 1
    await executor(one).sweep()  # the one after it
    assert runtime.made == {}
