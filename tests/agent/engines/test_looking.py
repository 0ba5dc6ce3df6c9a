"""What is remembered of a look at a builder, and what is asked again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from agent.containers.runtime import NodeRuntime
from agent.engines.container_executor import ContainerExecutor
from agent.engines.host_executor import HostExecutor, Looked
from agent.host.real_paths import ROOT
from agent.protocol.engines import Builder
from agent.protocol.images import NodeImage
from tests.agent.engines.engine_side import A10, Node, content, facts, put, stand_in

# In the second one a program is run as an agent in a container runs its machine's.
ROOTS = [ROOT, Path("/proc/self/root")] if os.geteuid() == 0 else [ROOT]
DEVICE = {
    "name": A10.name,
    "compute_capability": "8.6",
    "multiprocessors": 72,
    "memory_bytes": 24 * 2**30,
}


@pytest.mark.parametrize("root", ROOTS)
async def test_a_gpu_that_was_away_for_one_look_on_the_host(tmp_path: Path, root: Path) -> None:
    executor, script = HostExecutor([stand_in(tmp_path)], root=root), tmp_path / "python"
    assert (await executor.look(A10.uuid)).sm_count is None
    said = content(script).decode()
    put(
        script,
        said.replace("'python': '3.10.12'", f"'python': '3.10.12', 'device': {DEVICE}").encode(),
    )
    assert (await executor.look(A10.uuid)).sm_count == 72
    stand_in(tmp_path)
    assert (await executor.look(A10.uuid)).sm_count == 72, "what was seen is remembered"


@pytest.mark.parametrize(("gpu", "asked"), [(A10.uuid, 2), (None, 1)])
async def test_a_gpu_that_was_away_for_one_look_in_an_image(
    tmp_path: Path, gpu: str | None, asked: int
) -> None:
    executor = Asked(tmp_path, [None, 72, 71])
    found = [(await executor.look("detector:1", gpu)).sm_count for _ in range(3)]
    assert executor.asked == asked
    assert found == ([None, 72, 72] if gpu else [None, None, None])


class Images:
    """A runtime with one image."""

    async def image(self, reference: str) -> NodeImage:
        return NodeImage(id="sha256:1", diff_ids=[], tags=[reference], size_bytes=1)


class Asked(ContainerExecutor):
    """Whose containers see so many multiprocessors, one after the other."""

    def __init__(self, folder: Path, seen: Sequence[int | None]) -> None:
        super().__init__(cast("NodeRuntime", Images()), lambda: facts(Node()), folder)
        self._seen, self.asked = seen, 0

    async def _ask(self, image: NodeImage, gpu: str | None) -> tuple[str, Looked]:
        seen = self._seen[self.asked]
        self.asked += 1
        builder = Builder(flavour="tensorrt", version="10.13.2.6", python="3.10.12")
        return "python3", Looked(builder=builder, sm_count=seen, image_id=image.id)
