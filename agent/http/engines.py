"""`/v1/engines`: TensorRT engines, and the jobs that build, try, import and measure them."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.response import Stream

from agent.http.bodies import BYTES, file_stream
from agent.http.caller import TheCaller, TheNode
from agent.http.jobs import IdempotencyKey
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
from agent.protocol.jobs import Job

LOG_BYTES, LOG_LIMIT_BYTES = 256 * 1024, 8 * 1024 * 1024

ModelName = Annotated[str, PathParameter(min_length=1, max_length=63)]
Key = Annotated[str, PathParameter(min_length=4, max_length=64)]
JobId = Annotated[str, PathParameter(min_length=1, max_length=64)]
LogBytes = Annotated[int, QueryParameter(ge=1, le=LOG_LIMIT_BYTES)]


@get("/v1/engines", tags=["engines"])
async def list_engines(node: TheNode) -> list[Engine]:
    """The engines that are here, by model, newest first, each with why it is stale."""
    return await node.engines.list()


@get("/v1/engines/{model:str}", tags=["engines"])
async def show_engines(node: TheNode, model: ModelName) -> list[Engine]:
    """The engines of one model, newest first."""
    return await node.engines.show(model)


@get("/v1/engines/{model:str}/{key:str}/log", tags=["engines"])
async def get_engine_log(
    node: TheNode, model: ModelName, key: Key, limit_bytes: LogBytes = LOG_BYTES
) -> EngineLog:
    """The end of what an engine's builder printed."""
    return await node.engines.log(model, key, limit_bytes=limit_bytes)


@get("/v1/engines/{model:str}/{key:str}/plan", tags=["engines"], media_type=BYTES, role="operator")
async def get_engine_plan(node: TheNode, model: ModelName, key: Key) -> Stream:
    """The bytes of an engine's plan, in pieces."""
    return file_stream(await node.engines.open_plan(model, key))


@post("/v1/engines/build", tags=["engines"], status_code=202, role="operator")
async def build_engine(
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[BuildRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Have the engine of a recipe. One with the same key is not built again."""
    recipe = data.recipe
    caller.doing(
        "engine.build", f"engine/{recipe.model}", executor=recipe.executor, image=recipe.image
    )
    return await node.engines.build(data, owner=caller.owner, key=idempotency_key)


@post("/v1/engines/look", tags=["engines"], status_code=202, role="operator")
async def look_engine(
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[BuildRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Say which engine a recipe makes here, and whether it is there. Nothing is built."""
    caller.doing("engine.look", f"engine/{data.recipe.model}")
    return await node.engines.look(data, owner=caller.owner, key=idempotency_key)


@post("/v1/engines/import", tags=["engines"], status_code=202, role="operator")
async def import_engine(
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[PlanImportRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Take in a plan that lies on the node, once it was tried."""
    caller.doing("engine.import", f"engine/{data.model}", plan=data.plan)
    return await node.engines.take_in(data, owner=caller.owner, key=idempotency_key)


@post("/v1/engines/bench", tags=["engines"], status_code=202, role="operator")
async def bench_engine(
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[BenchRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Measure an engine for each batch size and precision; the table is an `EngineBench`."""
    caller.doing("engine.bench", f"engine/{data.recipe.model}")
    return await node.engines.bench(data, owner=caller.owner, key=idempotency_key)


@post("/v1/engines/{model:str}/verify", tags=["engines"], status_code=202, role="operator")
async def verify_engine(
    node: TheNode,
    caller: TheCaller,
    model: ModelName,
    data: JSONBody[VerifyRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Try an engine again where it lies."""
    caller.doing("engine.verify", f"engine/{model}", key=data.key)
    return await node.engines.verify(model, data, owner=caller.owner, key=idempotency_key)


@post("/v1/engines/{model:str}/use", tags=["engines"], status_code=200, role="operator")
async def use_engine(
    node: TheNode, caller: TheCaller, model: ModelName, data: JSONBody[UseRequest]
) -> Engine:
    """Have `current` point at an engine that was found good."""
    caller.doing("engine.use", f"engine/{model}", key=data.key)
    return await node.engines.use(model, data)


@post("/v1/engines/{model:str}/remove", tags=["engines"], status_code=200, role="operator")
async def remove_engine(
    node: TheNode, caller: TheCaller, model: ModelName, data: JSONBody[EngineRemoveRequest]
) -> list[Engine]:
    """Remove an engine; what is left of its model."""
    caller.doing("engine.remove", f"engine/{model}", key=data.key, force=data.force)
    return await node.engines.remove(model, data)


@get("/v1/engine-benches", tags=["engines"])
async def list_benches(node: TheNode) -> list[EngineBench]:
    """What was measured here, newest first."""
    return await node.engines.benches()


@get("/v1/engine-benches/{job:str}", tags=["engines"])
async def show_bench(node: TheNode, job: JobId) -> EngineBench:
    """The table of one bench, as far as it is."""
    return await node.engines.show_bench(job)
