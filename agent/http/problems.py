"""Every error as problem+json, from one table of codes."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from agent.http.caller import caller_of
from agent.protocol.problems import MEDIA_TYPE, ProblemError
from agent.rules.service import LOG_HINT

log = logging.getLogger(__name__)

_BY_STATUS = {
    400: "request.invalid",
    404: "request.not_found",
    405: "request.method",
    413: "request.too_large",
    415: "request.media_type",
}


def answer_problem(
    request: Request[Any, Any, Any], error: ProblemError, headers: dict[str, str] | None = None
) -> Response[bytes]:
    """The answer to a problem; tells the audit log its code."""
    caller_of(request.scope).outcome = error.code
    problem = error.problem()
    return Response(
        content=msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={"WWW-Authenticate": "Bearer"} if problem.status == 401 else headers,
    )


def answer_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Litestar's own errors: no such route, wrong method, a query that does not fit."""
    detail = error.detail
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        places = [
            f"{entry.get('key', 'body')}: {entry.get('message', '')}"
            for entry in error.extra
            if isinstance(entry, dict)
        ]
        detail = "; ".join(places) or detail
    code = _BY_STATUS.get(error.status_code, "request.invalid")
    if error.status_code >= 500:
        return answer_unexpected(request, error)
    return answer_problem(
        request,
        ProblemError(code, detail, hint="The API is described at /openapi.json."),
        error.headers,
    )


def answer_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A mistake of ours: logged whole, told without its insides."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return answer_problem(
        request,
        ProblemError(
            "node.internal",
            f"{type(error).__name__} while answering {request.method} {request.url.path}",
            hint=f"{LOG_HINT}.",
        ),
    )
