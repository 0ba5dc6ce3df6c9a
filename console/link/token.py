"""Bearer tokens for https, kept in files of their own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from agent.durable import write_whole
from agent.protocol.problems import ProblemError

LIMIT_BYTES = 4096


def read_token(file: Path, *, node: str) -> str:
    """The token in `file`, which must be yours alone (mode 0600 or less).

    Raises:
        ProblemError: `link.token_missing`.
    """
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            content = opened.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise _missing(
            node,
            f"{file}: {error.strerror}",
            f"Put the token there: roost-agent token make NAME on {node} prints one.",
        ) from None
    if mode & 0o077:
        raise _missing(
            node, f"{file} can be read by others (mode {mode:04o})", f"Run: chmod 600 {file}"
        )
    token = content.decode("ascii", "replace").strip()
    if not token or len(content) > LIMIT_BYTES or not token.isprintable() or not token.isascii():
        raise _missing(
            node, f"{file} does not hold a token", "It holds one line, as `token make` printed it."
        )
    return token


def write_token(file: Path, token: str) -> None:
    """Keep `token` in `file`, which becomes yours alone."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(file, f"{token}\n".encode("ascii"))


def _missing(node: str, detail: str, hint: str) -> ProblemError:
    return ProblemError("link.token_missing", detail, params={"node": node}, hint=hint)
