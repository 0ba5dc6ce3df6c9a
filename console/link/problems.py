"""Problems with a node that are found on this side of the wire."""

from __future__ import annotations

import ast
import asyncio
import errno
import os
import re

from agent.protocol.problems import ProblemError

# `bytearray(b"...")` or `b"..."` at the end of what h11 says.
_QUOTED = re.compile(r"""\b(?:bytearray\()?(b(['"]).*\2)\)?$""", re.DOTALL)
NOT_AN_AGENT = "Check that the address is a Roost agent's."


def unreachable(node: str, error: BaseException | str, *, hint: str) -> ProblemError:
    """`link.unreachable`, with the system's word for `error`."""
    if isinstance(error, asyncio.TimeoutError):
        why = "no answer in time"
    elif isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        why = os.strerror(error.errno)  # asyncio puts a text of its own into strerror
    elif isinstance(error, OSError):
        why = error.strerror or str(error)  # getaddrinfo's codes are other ones
    else:
        why = str(error)
    return ProblemError(
        "link.unreachable", f"{node}: {why}", params={"node": node, "reason": why}, hint=hint
    )


def garbage(node: str, why: str) -> ProblemError:
    """`link.garbage`."""
    return ProblemError(
        "link.garbage", f"{node}: {why[:300]}", params={"node": node}, hint=NOT_AN_AGENT
    )


def not_http(node: str, error: Exception) -> ProblemError:
    """`link.garbage` for what h11 says of an answer, which quotes bytes as Python writes them."""
    text = str(error)
    quoted = _QUOTED.search(text)
    if quoted is None:
        return garbage(node, f"its answer is not proper HTTP: {text}")
    said = "".join(chr(b) if 32 <= b < 127 else "." for b in ast.literal_eval(quoted[1]))[:60]
    if text.startswith("illegal status line"):
        return garbage(node, f"what answers there does not speak HTTP, it says {said!r}")
    return garbage(node, f"its answer is not proper HTTP: {text[: quoted.start()]} {said!r}")


def too_large(node: str, limit: int, what: str = "bytes") -> ProblemError:
    """`link.too_large`."""
    return ProblemError(
        "link.too_large",
        f"{node}: more than {limit} {what}, and no end",
        params={"node": node, "limit": limit},
        hint=NOT_AN_AGENT,
    )


def fell_silent(node: str, seconds: float, *, hint: str) -> ProblemError:
    """`link.stale`."""
    return ProblemError(
        "link.stale",
        f"{node} has said nothing for {seconds:g} s",
        params={"node": node, "seconds": seconds},
        hint=hint,
    )


def too_slow(node: str) -> ProblemError:
    """`link.timeout`."""
    return ProblemError(
        "link.timeout",
        f"{node} was reached, and did not answer in time",
        params={"node": node},
        hint="Try again with a longer --timeout, or look at the agent's log there.",
    )
