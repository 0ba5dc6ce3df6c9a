"""`/v1/uploads`: layers, sent by tus 1.0.0 with any tus client (see `agent.protocol.tus`).

Beyond the protocol: POST for a layer whose upload the same encoder began answers 201 with that
upload and its Upload-Offset, so that a second or restarted console goes on with it, or 423 while
another request writes it; POST for a layer that is on the node already is problem `blob.exists`.
The last byte's PATCH is answered
when the layer is verified and stored. Not in /openapi.json, which cannot say what tus says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from litestar import Response, delete, head, patch, post
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from agent.http import tus as headers
from agent.http.caller import Caller, TheCaller, TheNode
from agent.http.tus import TusRequest, answer_tus_problem
from agent.images import upload_problems as problems
from agent.images.upload_record import new_record
from agent.images.uploads import UploadState
from agent.node import Node
from agent.protocol import tus
from agent.protocol.access import may
from agent.protocol.problems import ProblemError

if TYPE_CHECKING:
    from litestar.types import ExceptionHandlersMap

PATH = "/v1/uploads"
ONE = PATH + "/{upload:str}"
ERRORS: ExceptionHandlersMap = {ProblemError: answer_tus_problem}


@HTTPRouteHandler(
    [PATH, ONE], http_method=[HttpMethod.OPTIONS], status_code=204, include_in_schema=False
)
async def upload_options() -> Response[None]:
    """What of tus is spoken here."""
    return Response(None, status_code=204, headers=headers.capabilities())


@post(
    PATH,
    include_in_schema=False,
    status_code=201,
    role="operator",
    request_max_body_size=None,
    exception_handlers=ERRORS,
)
async def create_upload(request: TusRequest, node: TheNode, caller: TheCaller) -> Response[None]:
    """Begin an upload, or find the one to go on with; its first bytes may come along."""
    headers.check_version(request)
    said, header = headers.metadata(request)
    record = new_record(said, length=headers.new_length(request), header=header)
    caller.doing(
        "upload.create",
        f"layer/{record.diff_id}",
        size_bytes=record.size_bytes,
        encoder=record.encoder,
    )
    checksum = headers.checksum(request)
    uploads = node.images.uploads
    state = await uploads.create(record)
    if headers.sends_bytes(request) and state.offset == 0 and not state.done:
        state = await uploads.receive(state.record.id, 0, _bytes_of(request), checksum=checksum)
    location = f"{PATH}/{state.record.id}"
    return Response(
        None, status_code=201, headers={"Location": location, **headers.state_headers(state)}
    )


@head(ONE, include_in_schema=False, exception_handlers=ERRORS)
async def get_upload(
    request: TusRequest, node: TheNode, caller: TheCaller, upload: FromPath[str]
) -> Response[None]:
    """Where an upload is: Upload-Offset counts the bytes that are on disk."""
    headers.check_version(request)
    return await _head(node, caller, upload)


@patch(
    ONE,
    include_in_schema=False,
    status_code=204,
    role="operator",
    continues=True,
    request_max_body_size=None,
    exception_handlers=ERRORS,
)
async def write_upload(request: TusRequest, node: TheNode, upload: FromPath[str]) -> Response[None]:
    """Send bytes from Upload-Offset on."""
    headers.check_version(request)
    return await _patch(request, node, upload)


@delete(ONE, include_in_schema=False, status_code=204, role="operator", exception_handlers=ERRORS)
async def remove_upload(
    request: TusRequest, node: TheNode, caller: TheCaller, upload: FromPath[str]
) -> Response[None]:
    """Forget an upload, also while it is written. A layer that is complete stays."""
    headers.check_version(request)
    return await _delete(node, caller, upload)


@post(
    ONE,
    include_in_schema=False,
    status_code=204,
    role="operator",
    continues=True,
    request_max_body_size=None,
    exception_handlers=ERRORS,
)
async def override_method(
    request: TusRequest, node: TheNode, caller: TheCaller, upload: FromPath[str]
) -> Response[None]:
    """For clients that can only POST: the method is in X-HTTP-Method-Override."""
    headers.check_version(request)
    method = request.headers.get(tus.METHOD_OVERRIDE, "").upper()
    if method == "PATCH":
        return await _patch(request, node, upload)
    if method == "HEAD":
        return await _head(node, caller, upload)
    if method == "DELETE":
        await caller.begin()
        return await _delete(node, caller, upload)
    raise ProblemError(
        "request.method",
        f"POST to one upload needs {tus.METHOD_OVERRIDE}: PATCH, DELETE or HEAD",
        hint="Use the method itself, or name it in that header.",
    )


async def _patch(request: TusRequest, node: Node, upload: str) -> Response[None]:
    headers.need_bytes(request)
    state = await node.images.uploads.receive(
        upload,
        headers.needed_count(request, tus.UPLOAD_OFFSET),
        _bytes_of(request),
        length=headers.count(request, tus.UPLOAD_LENGTH),
        checksum=headers.checksum(request),
    )
    return Response(None, status_code=204, headers=headers.state_headers(state))


async def _head(node: Node, caller: Caller, upload: str) -> Response[None]:
    uploads = node.images.uploads
    may_write = caller.role is not None and may(caller.role, "operator")
    state = await uploads.settled(upload) if may_write else uploads.state(upload)
    return Response(
        None,
        status_code=200,
        headers={
            **headers.state_headers(state),
            **_length(state),
            **({tus.UPLOAD_METADATA: state.record.metadata} if state.record.metadata else {}),
            "Cache-Control": "no-store",
        },
    )


async def _delete(node: Node, caller: Caller, upload: str) -> Response[None]:
    state = node.images.uploads.state(upload)
    caller.doing("upload.remove", f"layer/{state.record.diff_id}", received_bytes=state.offset)
    await node.images.uploads.remove(upload)
    return Response(None, status_code=204, headers={tus.RESUMABLE: tus.VERSION})


def _length(state: UploadState) -> dict[str, str]:
    length = state.record.length_bytes
    return {tus.UPLOAD_DEFER_LENGTH: "1"} if length is None else {tus.UPLOAD_LENGTH: str(length)}


async def _bytes_of(request: TusRequest) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except HTTPException:
        raise problems.cut() from None
