"""The command that forgets a host key, as known_hosts has it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

from console.link.address import Address

_STANDARD_PORT = "22"


def forget_command(address: Address, complaints: str, settings: Mapping[str, Sequence[str]]) -> str:
    """`ssh-keygen -f FILE -R NAME` for the key that ssh complains of.

    What ssh says comes first: behind a jump host it may be the jump's key. `settings` is what
    `ssh -G` says: a host behind an alias stands there by its real name and port.
    """
    said = re.search(r"Host key for (\S+) has changed", complaints)
    name = said[1] if said else _name(address, settings)
    place = re.search(r"^Offending .*key .*in (.+):\d+\s*$", complaints, re.MULTILINE)
    files = shlex.split(_first(settings, "userknownhostsfile"))
    file = place[1] if place else files[0] if files else ""
    return shlex.join(["ssh-keygen", *(("-f", file) if file else ()), "-R", name])


def _name(address: Address, settings: Mapping[str, Sequence[str]]) -> str:
    alias = _first(settings, "hostkeyalias")
    if alias not in {"", "none"}:
        return alias
    host = _first(settings, "hostname") or address.host
    port = _first(settings, "port") or str(address.port or _STANDARD_PORT)
    return host if port == _STANDARD_PORT else f"[{host}]:{port}"


def _first(settings: Mapping[str, Sequence[str]], key: str) -> str:
    return next(iter(settings.get(key, ())), "")
