"""`/v1/images`: what there is, what a load would take, and the jobs that change it."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from agent.archives.config_needs import only_config
from agent.http.caller import TheCaller, TheNode
from agent.http.jobs import IdempotencyKey
from agent.protocol.access import may
from agent.protocol.compatibility import ImageNeeds
from agent.protocol.image_builds import BuildImageRequest
from agent.protocol.images import (
    CONFIG_LIMIT_BYTES,
    ImportRequest,
    LoadPlan,
    LoadRequest,
    Medium,
    NodeImage,
    RemoveRequest,
    TagRequest,
)
from agent.protocol.jobs import Job
from agent.rules.loading import checked_tag

# Configs travel in the request, in base64; eight of the largest.
REQUEST_LIMIT_BYTES = 12 * CONFIG_LIMIT_BYTES


@get("/v1/images", tags=["images"])
async def list_images(node: TheNode) -> list[NodeImage]:
    """The images of the runtime, those with tags first."""
    return await node.images.planner.images()


@get("/v1/images/needs", tags=["images"])
async def get_needs(
    node: TheNode,
    caller: TheCaller,
    image: Annotated[str, QueryParameter(min_length=1, max_length=512)],
    *,
    inside: FromQuery[bool] = False,
) -> ImageNeeds:
    """What an image needs to run, by its config; `inside` also looks at some of its files.

    For that a container is made from it, never started, and removed, so it is for operators; to
    others the config alone is told.
    """
    if not inside:
        return await node.runtime.image_needs(image)
    if not may(caller.role or "viewer", "operator"):
        return only_config(await node.runtime.image_needs(image), "that needs role operator")
    caller.doing("image.look", f"image/{image}")
    caller.mutating = True
    await caller.begin()
    return await node.runtime.image_needs(image, inside=True)


@post(
    "/v1/images/plan",
    tags=["images"],
    status_code=200,
    continues=True,  # it changes nothing
    request_max_body_size=REQUEST_LIMIT_BYTES,
)
async def plan_images(node: TheNode, data: JSONBody[LoadRequest]) -> LoadPlan:
    """What would have to be sent, freed and reserved. Nothing changes."""
    return await node.images.plan(data)


@post(
    "/v1/images/load",
    tags=["images"],
    status_code=202,
    role="operator",
    request_max_body_size=REQUEST_LIMIT_BYTES,
)
async def load_images(
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[LoadRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Have these images and files. The job waits for what lacks: send it to `/v1/uploads`."""
    caller.doing("image.load", f"image/{_names(data)}")
    return await node.images.load(data, owner=caller.owner, key=idempotency_key)


@post("/v1/images/import", tags=["images"], status_code=202, role="operator")
async def import_images(
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[ImportRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Load an archive that lies on the node itself."""
    caller.doing("image.import", f"file/{data.path}")
    return await node.images.import_from(data, owner=caller.owner, key=idempotency_key)


@post("/v1/images/build", tags=["images"], status_code=202, role="operator")
async def build_image(
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[BuildImageRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Build an image with the runtime's builder. Send the context to `/v1/uploads` before."""
    checked_tag(data.tag)
    caller.doing("image.build", f"image/{data.tag}", context=data.context)
    return await node.images.build(data, owner=caller.owner, key=idempotency_key)


@post("/v1/images/remove", tags=["images"], status_code=202, role="operator")
async def remove_images(
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[RemoveRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Remove images that no container was made from, or tags of images that have several."""
    caller.doing("image.remove", f"image/{', '.join(data.images)}"[:500])
    return await node.jobs.submit("image.remove", data, owner=caller.owner, key=idempotency_key)


@post("/v1/images/tag", tags=["images"], status_code=202, role="operator")
async def tag_image(
    node: TheNode,
    caller: TheCaller,
    data: JSONBody[TagRequest],
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Give an image a name, taken away from whichever had it."""
    checked_tag(data.tag)
    caller.doing("image.tag", f"image/{data.image}", tag=data.tag)
    return await node.jobs.submit("image.tag", data, owner=caller.owner, key=idempotency_key)


@get("/v1/media", tags=["images"])
async def list_media(node: TheNode) -> list[Medium]:
    """Removable media and shares, with the archives that lie on them."""
    return await node.images.media()


def _names(request: LoadRequest) -> str:
    names = [tag for image in request.images for tag in image.tags]
    names += [file.title for file in request.files]
    return (", ".join(names) or request.source)[:500]
