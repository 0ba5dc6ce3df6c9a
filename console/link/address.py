"""Addresses of nodes: `unix:///path`, `ssh://[user@]host[:port]`, `https://host[:port]`."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from agent.protocol.problems import ProblemError

AGENT_SOCKET = "/run/roost/agent.sock"
ADMIN_SOCKET = "/run/roost/admin.sock"
HTTPS_PORT = 7443

# A host or user that begins with "-" would be an option to ssh.
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_PLACE = re.compile(
    rf"(?:(?P<user>{_NAME})@)?"
    rf"(?P<host>{_NAME}|\[[0-9A-Fa-f:.]+(?:%{_NAME})?\])"
    r"(?::(?P<port>\d{1,5}))?"
    r"(?P<path>/.*)?"
)
_HINT = "Addresses are unix:///run/roost/agent.sock, ssh://user@host or https://host:7443."


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where an agent is. `path` is the socket: on this machine (unix) or on the host (ssh)."""

    kind: Literal["unix", "ssh", "https"]
    host: str = ""  # without brackets
    user: str | None = None
    port: int | None = None
    path: str = ""

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        path = self.path if self.path != AGENT_SOCKET else ""
        return f"{self.kind}://{user}{host}{port}{path}"


def parse_address(text: str) -> Address:
    """Read an address.

    An ssh address may end with the path of a socket other than `AGENT_SOCKET`, such as the
    viewers': `ssh://host/run/roost/view.sock`.

    Raises:
        ProblemError: `fleet.address`.
    """
    kind, separator, rest = text.strip().partition("://")
    if kind == "unix" and separator:
        if not rest.startswith("/") or not rest.isprintable():
            raise _bad(text, "a unix address needs an absolute path")
        return Address(kind="unix", path=rest)
    if kind not in ("ssh", "https"):
        what = f"{kind}:// is not a way to reach a node" if separator else "it names no way"
        if kind == "http" and separator:
            what = "there is no plaintext TCP: tokens would travel open"
        meant = "" if separator or not _PLACE.fullmatch(text) else f"Did you mean ssh://{text}? "
        raise _bad(text, what, meant + _HINT)
    match = _PLACE.fullmatch(rest)
    if not match:
        raise _bad(text, "it has no host that could be meant" if rest else "it names no host")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise _bad(text, f"{port} is not a port")
    host, path = match["host"].strip("[]"), match["path"] or ""
    if kind == "ssh":
        if not path.isprintable():
            raise _bad(text, "the path of the socket has control characters")
        path = AGENT_SOCKET if path in ("", "/") else path
        return Address(kind="ssh", host=host, user=match["user"], port=port, path=path)
    if match["user"] or path not in ("", "/"):
        raise _bad(text, "an https address has a host and a port, nothing else")
    return Address(kind="https", host=host, port=port or HTTPS_PORT)


def admin_address(address: Address) -> Address:
    """Where the same agent takes an admin's calls: over a socket, `admin.sock` beside that one.

    Over https the token tells the role, and the address is the same.
    """
    if address.kind == "https":
        return address
    folder = address.path.rpartition("/")[0]
    return msgspec.structs.replace(address, path=f"{folder}/admin.sock")


def _bad(text: str, why: str, hint: str = _HINT) -> ProblemError:
    return ProblemError(
        "fleet.address",
        f"{text[:200]!r}: {why}",
        params={"address": text[:200]},
        hint=hint,
    )
