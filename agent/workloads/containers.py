"""Single steps with containers. Each looks first, so that repeated it finds done what is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent.containers.runtime import NodeRuntime
from agent.host.real_paths import ROOT, here
from agent.jobs.finishing import finish
from agent.protocol.containers import Container
from agent.protocol.deployments import GpuWay
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuRequest
from agent.workloads.gpu_ways import asks_gpus, cdi_names, with_gpus
from agent.workloads.recipe import DEPLOYMENT, NO_RESTART, WORKLOAD, Recipe
from agent.workloads.records import OldContainer, Part

# A stop that was asked for before goes on in the runtime, and may end what was just started.
START_TRIES = 5
RUNNING = ("running", "restarting", "paused")


class Containers:
    """What a deployment does to the containers of one node.

    All methods raise ProblemError `runtime.*` and `container.*`.
    """

    def __init__(
        self, runtime: NodeRuntime, facts: Callable[[], NodeFacts], *, root: Path = ROOT
    ) -> None:
        """`root` is the machine's."""
        self._runtime, self._facts, self._root = runtime, facts, root

    async def find(self, container_id: str | None) -> Container | None:
        """A container as it is now; None: it is gone."""
        if container_id is None:
            return None
        try:
            return (await self._runtime.details(container_id)).container
        except ProblemError as problem:
            if problem.code != "container.not_found":
                raise
            return None

    @property
    def losses(self) -> int:
        """How often the runtime was there, and was not any more."""
        return self._runtime.losses

    async def reach(self) -> None:
        """The runtime still takes new connections. Raises ProblemError where it does not."""
        await self._runtime.labelled(f"{DEPLOYMENT}=")

    async def candidate(self, part: Part, deployment: str) -> str | None:
        """The candidate's id, also of one that was made and not written down."""
        if part.new is not None and await self.find(part.new) is not None:
            return part.new
        for container_id in await self._runtime.labelled(f"{DEPLOYMENT}={deployment}"):
            container = await self.find(container_id)
            if container is not None and container.labels.get(WORKLOAD) == part.name:
                return container_id
        return None

    async def make(self, part: Part, deployment: str, owner: str | None = None) -> str:
        """The candidate, made under a name of its own, not started.

        Args:
            owner: the container whose network it is in.

        Raises:
            ProblemError: also `gpu.*`, where the GPUs it shall have are not there.
        """
        found = await self.candidate(part, deployment)
        if found is not None:
            return found
        recipe = self._with_gpus(part)
        if owner is not None:
            recipe = recipe.sharing(f"container:{owner}")
        name = spare_name(part.name, "next", deployment)
        image = await self._named(recipe)
        body = recipe.made_for(part.name, deployment, image=image)
        made = await finish(self._runtime.create_container(name, body, recipe.networks))
        container = await self.find(made)
        if container is None or container.image_id == recipe.image:
            return made
        # The name went to another image in between.
        await self.remove(made)
        body = recipe.made_for(part.name, deployment, image=recipe.image)
        return await finish(self._runtime.create_container(name, body, recipe.networks))

    async def make_old(
        self, part: Part, old: OldContainer, deployment: str, owner: str | None = None
    ) -> str:
        """A container that is gone, once more from its recipe and image, GPUs and all.

        Args:
            owner: the container whose network it is in.
        """
        recipe = old.recipe if owner is None else old.recipe.sharing(f"container:{owner}")
        if old.gpus and not asks_gpus(recipe):  # Podman does not say; Roost wrote it down
            recipe = self._given(recipe, old.gpus, old.gpu_way, old.gpu)
        host = {**(recipe.body.get("HostConfig") or {}), "RestartPolicy": dict(NO_RESTART)}
        body = {**recipe.body, "Image": await self._named(recipe), "HostConfig": host}
        name = spare_name(part.name, "old", deployment)
        try:
            return await finish(self._runtime.create_container(name, body, recipe.networks))
        except ProblemError as problem:
            found = await self.find(name) if problem.code == "container.conflict" else None
            if found is None:
                raise
            return found.id

    async def prepare(self, recipe: Recipe) -> list[str]:
        """Have the networks and folders that it needs; what was made, for people."""
        made = [
            f"network {name}"
            for name, settings in recipe.makes_networks.items()
            if await self._runtime.ensure_network(name, settings)
        ]
        folders = await asyncio.to_thread(_make_folders, recipe.folders, self._root)
        return made + [f"folder {folder}" for folder in folders]

    async def name(self, container_id: str, name: str) -> None:
        """Give it this name, unless it has it."""
        container = await self.find(container_id)
        if container is not None and container.name != name:
            await finish(self._runtime.rename_container(container_id, name))

    async def stop(self, container_id: str) -> None:
        """It does not run, and does not come up by itself. One that is gone is well."""
        container = await self.find(container_id)
        if container is None:
            return
        await finish(self._runtime.set_restart_policy(container_id, NO_RESTART))
        if container.state in RUNNING:
            await finish(self._stop(container_id))

    async def restart(self, container_id: str) -> None:
        """Stop and start it, or only start it; the runtime does both, whatever becomes of us."""
        await finish(self._restart(container_id))

    async def start(self, container_id: str) -> None:
        """It was started: it may have ended since."""
        await finish(self._start(container_id))

    async def keep_running(self, container_id: str) -> bool:
        """Start it until it stays; False: it does not."""
        for _ in range(START_TRIES):
            container = await self.find(container_id)
            if container is not None and container.state in RUNNING:
                return True
            await self.start(container_id)
        container = await self.find(container_id)
        return container is not None and container.state in RUNNING

    async def remove(self, container_id: str) -> None:
        """Stop and remove it; its volumes stay."""
        await self.stop(container_id)
        await finish(self._runtime.remove_container(container_id))

    async def set_policy(self, container_id: str, recipe: Recipe) -> None:
        """The restart policy that it has once it is stable."""
        await finish(self._runtime.set_restart_policy(container_id, recipe.restart))

    async def last_lines(self, container_id: str, count: int) -> list[str]:
        """The end of its output, for the log of whoever removes it."""
        lines: list[str] = []
        async for batch in self._runtime.logs(container_id, follow=False, tail=count):
            lines += [line.text for line in batch]
        return lines[-count:]

    async def _named(self, recipe: Recipe) -> str:
        """The image by the name that people know, as long as that is this image's; else its id."""
        if not recipe.reference or recipe.reference.startswith("sha256:"):
            return recipe.image
        try:
            named = await self._runtime.image(recipe.reference)
        except ProblemError as problem:
            if not problem.code.startswith("image."):
                raise
            return recipe.image
        return recipe.reference if named.id == recipe.image else recipe.image

    async def _stop(self, container_id: str) -> None:
        await self._runtime.act(container_id, "stop")

    async def _restart(self, container_id: str) -> None:
        await self._runtime.act(container_id, "restart")

    async def _start(self, container_id: str) -> None:
        await self._runtime.act(container_id, "start")

    def _with_gpus(self, part: Part) -> Recipe:
        if not part.gpus or part.gpu_way == "none":
            return part.recipe
        return self._given(part.recipe, part.gpus, part.gpu_way, part.gpu)

    def _given(
        self, recipe: Recipe, gpus: list[str], way: GpuWay, request: GpuRequest | None
    ) -> Recipe:
        facts = self._facts()
        return with_gpus(
            recipe,
            gpus,
            way,
            cdi_names=cdi_names(facts, gpus) if way == "cdi" else {},
            capabilities=request.capabilities if request else (),
            tegra=facts.gpu_stack.source == "tegra",
        )


async def inspect_if_there(runtime: NodeRuntime, name: str) -> Mapping[str, Any] | None:
    """All that the runtime knows of one; None: it is gone. Raises ProblemError `runtime.*`."""
    try:
        return await runtime.inspect(name)
    except ProblemError as problem:
        if problem.code != "container.not_found":
            raise
        return None


def spare_name(name: str, what: str, deployment: str) -> str:
    """A name beside the workload's own, that nobody else uses."""
    return f"{name}.{what}-{deployment[:6]}"


def _make_folders(paths: list[str], root: Path) -> list[str]:
    made = [path for path in paths if not here(path, root).exists()]
    for path in made:
        here(path, root).mkdir(parents=True, exist_ok=True)
    return made
