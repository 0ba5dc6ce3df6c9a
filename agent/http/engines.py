"""`/v1/engines`: TensorRT engines, and the job that builds one."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import JSONBody, PathParameter

from agent.http.caller import TheCaller, TheNode
from agent.http.jobs import IdempotencyKey
from agent.protocol.engines import BuildRequest, Engine
from agent.protocol.jobs import Job

ModelName = Annotated[str, PathParameter(min_length=1, max_length=63)]


@get("/v1/engines", tags=["engines"])
async def list_engines(node: TheNode) -> list[Engine]:
    """The engines that were built here, by model, newest first."""
    return await node.engines.list()


@get("/v1/engines/{model:str}", tags=["engines"])
async def show_engines(node: TheNode, model: ModelName) -> list[Engine]:
    """The engines of one model, newest first."""
    return await node.engines.show(model)


@post("/v1/engines/build", tags=["engines"], status_code=202, role="operator")
async def build_engine(
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[BuildRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Have the engine of a recipe. One with the same key is not built again."""
    caller.doing("engine.build", f"engine/{data.recipe.model}")
    return await node.engines.build(data, owner=caller.owner, key=idempotency_key)
