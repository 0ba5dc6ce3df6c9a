"""Engines beside what the node is now: what changed since they were built."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from agent.engines.executors import Executors
from agent.engines.onnx_file import Digests
from agent.gpu.tegra_files import power_mode
from agent.protocol.engines import Engine
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.rules.engine_stale import Now, made_with, stale_reasons


class Staleness:
    """Looks at one node. Cheap when nothing changed: a model is read only where it was touched."""

    def __init__(
        self,
        executors: Executors,
        digests: Digests,
        facts: Callable[[], NodeFacts],
        root: Path = Path("/"),
    ) -> None:
        """`root` is the machine's."""
        self._executors, self._digests, self._facts = executors, digests, facts
        self._root = root

    async def told(self, engines: Sequence[Engine]) -> list[Engine]:
        """The same engines, each with why it is stale, what could not be compared, and whether
        the GPU that it was built on is gone.
        """
        here = {gpu.uuid for gpu in self._facts().gpus}
        images: dict[str, tuple[str | None, str | None]] = {}
        found = []
        for engine in engines:
            now = await self._now(engine, images)
            found.append(
                msgspec.structs.replace(
                    engine,
                    stale=stale_reasons(engine.manifest, now),
                    stale_unknown=list(now.unknown),
                    gpu_gone=engine.manifest.gpu_uuid not in {None, *here},
                )
            )
        return found

    async def _now(self, engine: Engine, images: dict[str, tuple[str | None, str | None]]) -> Now:
        facts, manifest = self._facts(), engine.manifest
        unknown: list[str] = []
        tensorrt, image, gone = None, None, False
        if made_with(manifest)[1] is None:
            tensorrt = await self._tensorrt(unknown)
        elif name := manifest.image_name:
            if name not in images:
                images[name] = await self._image(name)
            image, why = images[name]
            gone = image is None and why is None
            if why is not None:
                unknown.append(why)
        changed = await asyncio.to_thread(self._changed, engine, unknown)
        return Now(
            gpus=facts.gpus,
            driver_version=facts.gpu_stack.driver_version,
            power_mode=await asyncio.to_thread(power_mode, self._root),
            l4t=facts.gpu_stack.l4t_version,
            tensorrt=tensorrt,
            image=image,
            image_gone=gone,
            changed_files=changed,
            unknown=unknown,
        )

    async def _tensorrt(self, unknown: list[str]) -> str | None:
        gpus = self._facts().gpus
        try:
            builder = (await self._executors.host(gpus[0].uuid if gpus else None)).builder
        except ProblemError as problem:
            unknown.append(f"which TensorRT is here: {problem.detail}")
            return None
        return f"{builder.flavour} {builder.version}"

    async def _image(self, name: str) -> tuple[str | None, str | None]:
        """Its config digest, or why that is not known; neither: it is not here."""
        try:
            image = await self._executors.image(name)
        except ProblemError as problem:
            if problem.code == "image.not_found":
                return None, None
            return None, f"image {name}: {problem.detail}"
        return image.config_digest or image.id, None

    def _changed(self, engine: Engine, unknown: list[str]) -> list[str]:
        changed = []
        for file in engine.manifest.files:
            try:
                if self._digests.changed(file):
                    changed.append(file.path)
            except FileNotFoundError as error:
                if engine.manifest.imported is None:  # else it need not be here
                    unknown.append(f"{file.path}: {error.strerror}")
            except OSError as error:
                unknown.append(f"{file.path}: {error.strerror}")
            except ProblemError as problem:
                unknown.append(problem.detail)
        return changed
