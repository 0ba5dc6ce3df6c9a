"""Where a person's signing key lies, and keys as they are typed."""

from __future__ import annotations

import os
from pathlib import Path

import click

from agent.protocol.problems import ProblemError
from agent.signatures.public_keys import PublicKey, parse_public_key

PUBLIC_LIMIT_BYTES = 4096

key_option = click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The private key to sign with; without it, the one that `roost key make` made.",
)


def default_key_file() -> Path:
    """The person's own key; it need not be there."""
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "roost" / "signing.key"


def public_line(text: str) -> str:
    """What was typed: the path of a .pub file is its line, all else is passed on.

    Raises:
        ProblemError: `key.unreadable`, `key.invalid`.
    """
    path = Path(text)
    if " " in text.strip() or not (path.suffix == ".pub" or path.exists()):
        return text
    return read_public(path).line


def read_public(path: Path) -> PublicKey:
    """The key in a .pub file.

    Raises:
        ProblemError: `key.unreadable`, `key.invalid`.
    """
    try:
        with path.open("rb") as file:
            line = file.read(PUBLIC_LIMIT_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise ProblemError(
            "key.unreadable",
            f"{path}: {error.strerror}",
            params={"file": str(path)},
            hint="Name the .pub file that `roost key make` wrote beside the private key.",
        ) from None
    return parse_public_key(line)
