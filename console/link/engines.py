"""Asking a node about its TensorRT engines: see `agent.protocol.engines`."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator
from urllib.parse import quote

import msgspec

from agent.protocol.engine_figures import EngineBench
from agent.protocol.engines import (
    BenchRequest,
    BuildRequest,
    Engine,
    EngineLog,
    EngineRemoveRequest,
    PlanImportRequest,
    UseRequest,
    VerifyRequest,
)
from agent.protocol.jobs import IDEMPOTENCY_HEADER, Job
from agent.protocol.problems import ProblemError
from console.link.requests import Call, Requests, decode

ENGINES, BENCHES = "/v1/engines", "/v1/engine-benches"
# What is posted beside the models' names.
_VERBS = ("build", "look", "import", "bench")
# A plan that changed hands since it was read last is read whole before its first byte comes.
PLAN_SECONDS = 300.0


class EngineClient:
    """One node's engines. All methods raise ProblemError: the agent's own, or `link.*`.

    Those that answer a Job take an Idempotency-Key: repeated with it, they find the same job.
    """

    def __init__(self, node: str, requests: Requests) -> None:
        self._node, self._requests = node, requests

    async def list(self) -> builtins.list[Engine]:
        """The engines that are there, by model, newest first."""
        content = await self._requests.exchange(Call(target=ENGINES))
        return decode(self._node, content, builtins.list[Engine])

    async def show(self, model: str) -> builtins.list[Engine]:
        """Those of one model, newest first."""
        if model in _VERBS:
            return await self._found(model)
        content = await self._requests.exchange(Call(target=_of(model)))
        return decode(self._node, content, builtins.list[Engine])

    async def log(self, model: str, key: str, *, limit_bytes: int | None = None) -> EngineLog:
        """The end of what an engine's builder printed; `key` may be its start."""
        query = "" if limit_bytes is None else f"?limit_bytes={limit_bytes}"
        target = f"{_of(model)}/{quote(key, safe='')}/log{query}"
        return decode(self._node, await self._requests.exchange(Call(target=target)), EngineLog)

    def plan(self, model: str, key: str) -> AsyncGenerator[bytes, None]:
        """The bytes of an engine's plan, in pieces."""
        target = f"{_of(model)}/{quote(key, safe='')}/plan"
        return self._requests.pieces(
            Call(target=target, timeout=PLAN_SECONDS), silence=PLAN_SECONDS
        )

    async def build(self, request: BuildRequest, key: str) -> Job:
        """Begin, or find, the job that has the engine."""
        return await self._begin(f"{ENGINES}/build", request, key)

    async def look(self, request: BuildRequest, key: str) -> Job:
        """Begin the job that says which engine that would be, and whether it is there."""
        return await self._begin(f"{ENGINES}/look", request, key)

    async def import_plan(self, request: PlanImportRequest, key: str) -> Job:
        """Begin the job that takes in a plan that lies on the node."""
        return await self._begin(f"{ENGINES}/import", request, key)

    async def bench(self, request: BenchRequest, key: str) -> Job:
        """Begin the job whose table `show_bench` answers, row by row as it is measured."""
        return await self._begin(f"{ENGINES}/bench", request, key)

    async def verify(self, model: str, request: VerifyRequest, key: str) -> Job:
        """Begin the job that tries an engine again."""
        return await self._begin(f"{_of(model)}/verify", request, key)

    async def use(self, model: str, request: UseRequest) -> Engine:
        """Have `current` point at an engine that was found good."""
        return decode(self._node, await self._post(f"{_of(model)}/use", request), Engine)

    async def remove(self, model: str, request: EngineRemoveRequest) -> builtins.list[Engine]:
        """Remove an engine; what is left of its model."""
        content = await self._post(f"{_of(model)}/remove", request)
        return decode(self._node, content, builtins.list[Engine])

    async def benches(self) -> builtins.list[EngineBench]:
        """What was measured there, newest first."""
        content = await self._requests.exchange(Call(target=BENCHES))
        return decode(self._node, content, builtins.list[EngineBench])

    async def show_bench(self, job: str) -> EngineBench:
        """The table of one bench, as far as it is."""
        target = f"{BENCHES}/{quote(job, safe='')}"
        return decode(self._node, await self._requests.exchange(Call(target=target)), EngineBench)

    async def _found(self, model: str) -> builtins.list[Engine]:
        """Out of all that are there: the model's own address is that of a verb."""
        found = [engine for engine in await self.list() if engine.model == model]
        if not found:
            raise ProblemError(
                "engine.not_found",
                f"there is no engine of {model} here",
                params={"model": model},
                hint="roost engine ls lists them.",
            )
        return found

    async def _begin(self, target: str, request: msgspec.Struct, key: str) -> Job:
        return decode(self._node, await self._post(target, request, key), Job)

    async def _post(self, target: str, request: msgspec.Struct, key: str | None = None) -> bytes:
        call = Call(
            method="POST",
            target=target,
            headers=[] if key is None else [(IDEMPOTENCY_HEADER, key)],
            body=msgspec.json.encode(request),
        )
        return await self._requests.exchange(call)


def _of(model: str) -> str:
    return f"{ENGINES}/{quote(model, safe='')}"
