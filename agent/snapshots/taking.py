"""Taking down how a node is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from agent.images.placed_files import PlacedFiles
from agent.protocol.engines import Engine
from agent.protocol.images import NodeImage
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import AppliedWorkload, NodeSnapshot, RecordedFile
from agent.protocol.workloads import Workload
from agent.snapshots.sealing import SEAL_KEY, Seals, seals_of
from agent.snapshots.withholding import check_nothing_told, withhold, withhold_settings
from agent.store.node_secrets import NodeSecrets
from agent.workloads.engine_use import engine_of
from agent.workloads.recipe import Recipe
from agent.workloads.records import WorkloadRecord

T = TypeVar("T")
NOT_APPLIED = (
    "it was not applied by Roost as it is now, so how it was asked for is not known here: apply its"
    " file once"
)


class Workloads(Protocol):
    """What is asked of the node's workloads."""

    async def applied(self) -> list[WorkloadRecord]: ...

    async def remembered(self) -> Mapping[str, Sequence[Workload]]: ...


class Taker:
    """Takes snapshots of one node. Nothing changes by it."""

    def __init__(
        self,
        *,
        facts: Callable[[], Awaitable[NodeFacts]],
        images: Callable[[], Awaitable[list[NodeImage]]],
        workloads: Workloads,
        states: Callable[[], Mapping[str, str]],
        engines: Callable[[], Awaitable[list[Engine]]],
        files: PlacedFiles,
        secrets: NodeSecrets,
        configuration: Mapping[str, str],
        sealed_beside: Path | None = None,
    ) -> None:
        """`states` tells those of containers by id; `configuration` is what agent.yaml came to.

        `sealed_beside` is the file beside which the key lies that withheld values are sealed with;
        None: they are not.
        """
        self._facts, self._images, self._workloads = facts, images, workloads
        self._states, self._engines, self._files = states, engines, files
        self._secrets, self._configuration = secrets, configuration
        self._seal_key = None if sealed_beside is None else sealed_beside.with_name(SEAL_KEY)

    async def take(self, *, environment: bool = False) -> NodeSnapshot:
        """How the node is now. What cannot be told is `unknown`, with the reason.

        Args:
            environment: whether values of workloads' environments may be told that do not look
                like secrets.

        Raises:
            ProblemError: `snapshot.secret`: it would tell a secret. `node.not_ready`,
                `secret.storage`: which values must not be told is not known.
        """
        secrets = await asyncio.to_thread(self._values)
        values = [value for _, value in secrets]
        path = self._seal_key
        seals = None if path is None else await asyncio.to_thread(seals_of, path)
        unknown: dict[str, str] = {}
        facts, images, records, engines, files = await asyncio.gather(
            self._facts(),
            _told("images", self._images, unknown),
            _told("workloads", self._workloads.applied, unknown),
            _told("engines", self._engines, unknown),
            _told("files", lambda: asyncio.to_thread(self._recorded), unknown),
        )
        configuration, configuration_seals = withhold_settings(self._configuration, values, seals)
        by_id = {image.id: image for image in images}
        states = self._states()
        snapshot = NodeSnapshot(
            node=facts.name,
            taken_at=time.time(),
            facts=facts,
            images=images,
            workloads=[
                _applied(each, by_id, states, values, seals, environment=environment)
                for each in records
            ],
            remembered=await self._remembered(),
            engines=engines,
            files=files,
            secrets=[name for name, _ in secrets],
            secret_seals={name: seals("", name, value) for name, value in secrets if seals},
            sealed_by="" if seals is None else seals.id,
            configuration=configuration,
            configuration_seals=configuration_seals,
            unknown=unknown,
        )
        await asyncio.to_thread(check_nothing_told, msgspec.json.encode(snapshot), secrets)
        return snapshot

    async def _remembered(self) -> dict[str, list[str]]:
        try:
            known = await self._workloads.remembered()
        except ProblemError:
            return {}  # it is told of the workloads
        return {
            name: sorted({variable for each in some for variable in each.environment})
            for name, some in sorted(known.items())
        }

    def _values(self) -> list[tuple[str, bytes]]:
        """Names and values of the node's secrets; none on a simulated node."""
        try:
            return self._secrets.values()
        except ProblemError as problem:
            if problem.code != "secret.simulated":
                raise
            return []

    def _recorded(self) -> list[RecordedFile]:
        found = []
        for file in self._files.list():
            try:
                digest = self._files.digest(file.kind, file.name)
            except ProblemError:
                digest = None
            found.append(
                RecordedFile(
                    kind=file.kind, name=file.name, size_bytes=file.size_bytes, sha256=digest
                )
            )
        return found


async def _told(
    what: str, ask: Callable[[], Awaitable[list[T]]], unknown: dict[str, str]
) -> list[T]:
    try:
        return await ask()
    except ProblemError as problem:
        unknown[what] = problem.detail
        return []


def _applied(
    record: WorkloadRecord,
    images: Mapping[str, NodeImage],
    states: Mapping[str, str],
    secrets: Sequence[bytes],
    seals: Seals | None,
    *,
    environment: bool,
) -> AppliedWorkload:
    recipe = record.recipe
    image = None if recipe is None else images.get(recipe.image)
    found = AppliedWorkload(
        name=record.name,
        release=record.release,
        image=None if image is None else image.id,
        config_digest=_config_of(recipe, image),
        state=states.get(record.stable or "", "missing"),
        gpus=record.gpus,
        gpu_way=record.gpu_way,
        engine=engine_of(recipe),
    )
    if record.applied is None:
        found.reason = NOT_APPLIED
        return found
    told = withhold(record.applied, secrets, environment=environment, seals=seals)
    found.workload, found.withheld, found.seals = told.workload, told.places, told.seals
    return found


def _config_of(recipe: Recipe | None, image: NodeImage | None) -> str | None:
    if recipe is not None and recipe.config_digest is not None:
        return recipe.config_digest
    return None if image is None else image.config_digest
