"""Where a runtime's socket may be, and what is wrong with one that cannot be used."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from agent.protocol.node import RuntimeState

SCHEME = "unix://"
DOCKER_SOCKET = "unix:///var/run/docker.sock"
PODMAN_SOCKET = "unix:///run/podman/podman.sock"


class Trouble(NamedTuple):
    """Why an address cannot be used."""

    state: RuntimeState
    reason: str


def usual_addresses(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Where Docker and Podman listen unless told otherwise, the first choice first."""
    found = [DOCKER_SOCKET, PODMAN_SOCKET]
    if runtime_dir := environment.get("XDG_RUNTIME_DIR"):
        found.append(f"{SCHEME}{runtime_dir}/podman/podman.sock")
    if docker_host := environment.get("DOCKER_HOST"):
        found.append(docker_host)
    return tuple(dict.fromkeys(found))


def socket_path(address: str) -> str:
    """The path of a unix address.

    Raises:
        ValueError: it is another kind of address; an agent and its runtime share a machine.
    """
    path = address.removeprefix(SCHEME) if address.startswith(SCHEME) else address
    if not path.startswith("/"):
        raise ValueError(f"{address} is not a unix socket, and Roost uses no other")
    return path


def try_address(address: str, *, timeout: float) -> Trouble | None:
    """Connect to it and hang up: blocks. None: somebody listens there and lets us in."""
    try:
        path = socket_path(address)
    except ValueError as error:
        return Trouble("unreachable", str(error))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout)
        try:
            probe.connect(path)
        except TimeoutError:
            return Trouble("unreachable", f"{path} took no connection in {timeout:g} s")
        except OSError as error:
            return _trouble(path, error)
    return None


def worst(troubles: Sequence[tuple[Trouble, str]]) -> tuple[Trouble, str | None]:
    """The trouble to tell of when no address works, with its address: one that can be mended."""
    for state in ("no_permission", "unreachable"):
        for trouble, address in troubles:
            if trouble.state == state:
                return trouble, address
    return Trouble("not_found", "; ".join(trouble.reason for trouble, _ in troubles)), None


def _trouble(path: str, error: OSError) -> Trouble:
    if error.errno in (errno.EACCES, errno.EPERM):
        return Trouble("no_permission", f"no permission for {path}{_owner(path)}")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Trouble("not_found", f"no socket at {path}")
    if error.errno == errno.ECONNREFUSED:
        return Trouble("unreachable", f"nobody listens on {path}")
    return Trouble("unreachable", f"{path}: {error.strerror or error}")


def _owner(path: str) -> str:
    """Who may use the socket, and who asked, as far as that can be seen."""
    with contextlib.suppress(OSError):
        found = Path(path).stat()
        mode = stat.S_IMODE(found.st_mode)
        return (
            f": it belongs to user {_user(found.st_uid)}, group {_group(found.st_gid)}, mode"
            f" {mode:04o}; the agent runs as user {_user(os.geteuid())}"
        )
    return f": the agent runs as user {_user(os.geteuid())}"


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
