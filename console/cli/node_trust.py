"""First contact over https: whose certificate it is, and with which token to come."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from agent.protocol.problems import ProblemError
from console.cli.output import say
from console.fleet.fleet_file import FINGERPRINT
from console.fleet.links import Links
from console.link.address import Address
from console.link.https import CONNECT_TIMEOUT_SECONDS, read_fingerprint
from console.link.token import read_token, write_token


def trusted_fingerprint(
    ways: Links, address: Address, stated: str | None, *, timeout: float | None, yes: bool
) -> str:
    """The fingerprint of the certificate at `address`, once it is known to be the right one.

    Raises:
        ProblemError: `link.*`, `console.usage`, `console.terminal`.
    """
    if stated is not None and not FINGERPRINT.fullmatch(stated):
        raise ProblemError(
            "console.usage",
            f"{stated[:80]!r} is not a fingerprint: sha256: and 64 hexadecimal digits",
            hint="On the node, this prints it: sudo roost-agent check",
        )
    found = asyncio.run(
        read_fingerprint(address, ways.tls, timeout=timeout or CONNECT_TIMEOUT_SECONDS)
    )
    if stated is not None:
        if found != stated:
            raise ProblemError(
                "link.fingerprint",
                f"{address} shows {found}, stated was {stated}",
                params={"found": found, "stated": stated},
                hint="Somebody may be in between, or it is another machine. Nothing was added.",
            )
        return found
    say(f"the certificate of {address} is {found}")
    if yes:
        say("it is pinned without having been compared (--yes)")
        return found
    if not sys.stdin.isatty():
        raise ProblemError(
            "console.terminal",
            f"nobody can be asked here whether {found} is the right certificate",
            params={"found": found},
            hint=f"Compare it on the node, then state it: --fingerprint {found}",
        )
    say("on the node, this prints its own: sudo roost-agent check")
    if not click.confirm("Are they the same?", default=False, err=True):
        raise ProblemError(
            "link.fingerprint",
            f"the certificate of {address} is not the node's",
            params={"found": found},
            hint="Nothing was added. Check the address, and who is in between.",
        )
    return found


@contextlib.contextmanager
def kept_token(folder: Path, address: Address, node: str, *, piped: bool) -> Iterator[str]:
    """Put a token from standard input or the keyboard into a file; its path below `folder`.

    The file goes again if what follows fails.

    Raises:
        ProblemError: `link.token_missing`.
    """
    file = folder / "tokens" / re.sub(r"[^A-Za-z0-9.-]", "_", f"{address.host}-{address.port}")
    before = read_token(file, node=node) if file.exists() else None
    token = _given_token(address, node, piped=piped)
    try:
        write_token(file, token)
    except OSError as error:
        raise ProblemError(
            "settings.unwritable",
            f"{file}: {error.strerror}",
            params={"file": str(file)},
            hint="Check the permissions of that folder, or keep the token elsewhere: --token-file.",
        ) from None
    try:
        read_token(file, node=node)
        yield str(file.relative_to(folder))
    except BaseException:
        if before is None:
            file.unlink(missing_ok=True)
        else:
            write_token(file, before)
        raise


def _given_token(address: Address, node: str, *, piped: bool) -> str:
    token = ""
    if piped:
        token = sys.stdin.readline().strip()
    elif sys.stdin.isatty():
        token = click.prompt("Token", hide_input=True, err=True).strip()
    if token.isascii() and token.isprintable() and token:
        return token
    raise ProblemError(
        "link.token_missing",
        f"{address} wants a token, and " + ("this is none" if token else "there is none"),
        params={"node": node},
        hint="Make one on the node: roost-agent token make NAME. Give it with --token-file.",
    )
