"""What a client did wrong, in words."""

from __future__ import annotations

from http import HTTPStatus


class RequestError(Exception):
    """An answer that is an error. `detail` says what is wrong, `hint` what to do."""

    def __init__(self, status: HTTPStatus, code: str, detail: str, hint: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.hint = status, code, detail, hint

    def body(self) -> dict[str, str | int]:
        """As problem+json; `error` is what KServe's clients show."""
        return {
            "code": self.code,
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
            "hint": self.hint,
            "error": self.detail,
        }


def bad(code: str, detail: str, hint: str) -> RequestError:
    """The request itself is wrong."""
    return RequestError(HTTPStatus.BAD_REQUEST, code, detail, hint)


def too_long(limit_bytes: int) -> RequestError:
    """413."""
    return RequestError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "request.too_large",
        f"the body is longer than {limit_bytes} bytes",
        "Send fewer or smaller images at a time, or set DETECTOR_BODY_LIMIT_BYTES.",
    )
