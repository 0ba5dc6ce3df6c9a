"""OPTIONS of paths that several handlers share: Litestar's own names the methods of one of them."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Response
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler


def options_handlers(handlers: Sequence[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """One for each such path that has none of its own."""
    methods: dict[str, list[str]] = {}
    several: set[str] = set()
    for handler in handlers:
        for path in handler.paths:
            if path in methods:
                several.add(path)
            methods.setdefault(path, []).extend(map(str, handler.http_methods))
    return [
        _handler(path, sorted({*methods[path], "OPTIONS"}))
        for path in sorted(several)
        if "OPTIONS" not in methods[path]
    ]


def _handler(path: str, methods: Sequence[str]) -> HTTPRouteHandler:
    @HTTPRouteHandler(
        [path], http_method=[HttpMethod.OPTIONS], status_code=204, include_in_schema=False
    )
    async def options() -> Response[None]:
        """What may be asked here."""
        return Response(None, status_code=204, headers={"Allow": ", ".join(methods)})

    return options
