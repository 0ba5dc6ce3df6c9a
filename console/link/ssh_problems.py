"""What ssh complains of, as problems, each with the command to run once."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from agent.protocol.problems import ProblemError
from agent.rules.service import start_command
from console.link.address import Address
from console.link.problems import unreachable
from console.link.ssh_known_hosts import forget_command

SSH = ("ssh",)
# In this order: a changed host key is also told as a failed verification.
_SIGNS = (
    ("changed", r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for .* has changed"),
    ("unknown", r"Host key verification failed|host key is known for .* strict checking"),
    ("key_mode", r"UNPROTECTED PRIVATE KEY FILE"),
    ("denied", r"Permission denied|Too many authentication failures"),
    ("startups", r"kex_exchange_identification|Connection (?:closed|reset) by"),
)


def command_line(address: Address, program: Sequence[str] = SSH) -> str:
    """How a person types it: `ssh -p 2222 ops@cam-7`."""
    return shlex.join([*program, *target(address)])


def target(address: Address) -> list[str]:
    """Port and host, as arguments of ssh."""
    port = ["-p", str(address.port)] if address.port else []
    return [*port, f"{address.user}@{address.host}" if address.user else address.host]


def ssh_problem(
    node: str,
    address: Address,
    complaints: str,
    *,
    locked: Sequence[Path],
    settings: Mapping[str, Sequence[str]] = MappingProxyType({}),
    program: Sequence[str] = SSH,
) -> ProblemError:
    """Why `program` ended before it was up.

    `locked`: the keys that want their passphrase. `settings`: what `ssh -G` says of the host.
    """
    sign = next((name for name, found in _SIGNS if re.search(found, complaints)), "")
    ssh = command_line(address, program)
    last = _last_line(complaints)
    if sign == "changed":
        forget = forget_command(address, complaints, settings)
        return _problem(
            "ssh.host_key_changed",
            node,
            f"the SSH key of {address.host} is not the one in known_hosts",
            f"Somebody may be in between, or it was installed anew. If that is so:"
            f" {forget}, then {ssh} true",
        )
    if sign == "unknown":
        return _problem(
            "ssh.host_key_unknown",
            node,
            f"known_hosts has no key for {address.host}",
            f"Compare its fingerprint and say yes, once: {ssh} true",
        )
    if sign == "key_mode":
        return _problem(
            "ssh.denied",
            node,
            "your private key can be read by others, so ssh does not use it",
            f"Run {ssh} true to see which, and chmod 600 it.",
        )
    if sign == "denied":
        if locked:
            return _problem(
                "ssh.passphrase",
                node,
                f"{locked[0]} wants its passphrase, and no ssh-agent holds it",
                f"Give it once: ssh-add {locked[0]}  (without an agent, first: eval $(ssh-agent))",
            )
        return _problem(
            "ssh.denied",
            node,
            last,
            f"Put your key there: ssh-copy-id {' '.join(target(address))}",
        )
    if sign == "startups":
        return unreachable(
            node, last, hint=f"The host or its jump host refuses now; look closer: {ssh} true"
        )
    return unreachable(node, last or "ssh ended without a word", hint=f"Look closer: {ssh} true")


def no_agent(
    node: str, address: Address, why: str, program: Sequence[str] = SSH, *, service: bool = False
) -> ProblemError:
    """`service`: systemd there knows the agent."""
    return _problem(
        "ssh.no_agent",
        node,
        f"{why} on {address.host}",
        f"Start the agent there: {_asking(address, program)} {start_command(service=service)}",
    )


def not_in_group(node: str, address: Address, program: Sequence[str] = SSH) -> ProblemError:
    return _problem(
        "ssh.group",
        node,
        f"your user on {address.host} may not use {address.path}",
        f"Run once: {_asking(address, program)} 'sudo usermod -aG roost $(id -un)'",
    )


def no_forwarding(node: str, address: Address, why: str) -> ProblemError:
    return _problem(
        "ssh.forwarding",
        node,
        f"{address.path} answers on {address.host}, but its sshd refuses to forward sockets,"
        f" and {why}",
        "Set AllowStreamLocalForwarding yes in its sshd_config, or put roost-agent into the PATH.",
    )


def no_dial(node: str, address: Address, why: str, *, forwarded: bool) -> ProblemError:
    """Nobody there could tell more. `forwarded`: forwarding the socket was tried too."""
    if forwarded:
        detail = f"{address.path} on {address.host} does not answer through ssh, and "
        hint = (
            "Start the agent there, if it does not run; if it does, allow"
            " AllowStreamLocalForwarding in sshd_config."
        )
    else:
        detail = f"no agent answers on {address.host}: "
        hint = "Install the agent there, or put roost-agent into the PATH that a command by ssh has"
    return _problem("ssh.no_agent", node, detail + why, hint)


def no_sudo(
    node: str, address: Address, complaints: str, program: Sequence[str] = SSH
) -> ProblemError:
    return _problem(
        "ssh.sudo",
        node,
        f"sudo on {address.host} does not let you become an admin here: {_last_line(complaints)}",
        # No wildcard: `--socket` would reach any socket as root.
        "Let it, in sudoers there: YOU ALL=(root) NOPASSWD: /usr/bin/roost-agent dial-stdio --admin"
        f" (the path as `which roost-agent` says). Or work on the node:"
        f" {_asking(address, program)}",
    )


def _asking(address: Address, program: Sequence[str]) -> str:
    """With a terminal, in which sudo can ask for a password."""
    return command_line(address, [*program, "-t"])


def _problem(code: str, node: str, detail: str, hint: str) -> ProblemError:
    return ProblemError(code, f"{node}: {detail}", params={"node": node}, hint=hint)


def _last_line(complaints: str) -> str:
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
