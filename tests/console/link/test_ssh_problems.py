"""What OpenSSH says, as problems with the command to run once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from console.link.address import parse_address
from console.link.ssh_keys import locked_keys
from console.link.ssh_known_hosts import forget_command
from console.link.ssh_look import read_answer
from console.link.ssh_problems import no_agent, no_sudo, ssh_problem

# As OpenSSH 9.2 prints them.
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Host key for cam-7 has changed and you have requested strict checking.
Host key verification failed.
"""
JUMP_CHANGED = (
    "Offending ED25519 key in /home/m/.ssh/known_hosts:3\r\n"
    "Host key for [gate]:2022 has changed and you have requested strict checking.\r\n"
)
DENIED = "ops@cam-7: Permission denied (publickey).\r\n"


@pytest.mark.parametrize(
    ("complaints", "locked", "code", "hint"),
    [
        (CHANGED, [], "ssh.host_key_changed", "ssh-keygen -R cam-7, then"),
        (
            "Host key verification failed.\r\n",
            [],
            "ssh.host_key_unknown",
            "ssh -p 2222 ops@cam-7 true",
        ),
        (DENIED, [Path("/home/m/.ssh/id")], "ssh.passphrase", "ssh-add /home/m/.ssh/id"),
        (DENIED, [], "ssh.denied", "ssh-copy-id -p 2222 ops@cam-7"),
        (
            "Received disconnect from 10.0.0.7: 2: Too many authentication failures",
            [],
            "ssh.denied",
            "ssh-copy-id",
        ),
        ("WARNING: UNPROTECTED PRIVATE KEY FILE!\n" + DENIED, [], "ssh.denied", "chmod 600"),
        (
            "ssh: Could not resolve hostname cam-7: Name or service not known",
            [],
            "link.unreachable",
            "ssh -p 2222 ops@cam-7 true",
        ),
        (
            "kex_exchange_identification: Connection closed by remote host",
            [],
            "link.unreachable",
            "refuses now",
        ),
        ("", [], "link.unreachable", "Look closer"),
    ],
)
def test_each_complaint_has_its_problem(
    complaints: str, locked: list[Path], code: str, hint: str
) -> None:
    address = parse_address("ssh://ops@cam-7:2222")
    problem = ssh_problem("cam-7", address, complaints, locked=locked)
    assert problem.code == code
    assert hint in (problem.hint or "")
    assert "cam-7" in problem.detail


@pytest.mark.parametrize(
    ("complaints", "settings", "command"),
    [
        ("", {}, "ssh-keygen -R '[cam-7]:2222'"),
        ("", {"hostname": ["10.0.0.7"], "port": ["22"]}, "ssh-keygen -R 10.0.0.7"),
        ("", {"hostname": ["10.0.0.7"], "port": ["2200"]}, "ssh-keygen -R '[10.0.0.7]:2200'"),
        ("", {"hostkeyalias": ["cam"], "port": ["2200"]}, "ssh-keygen -R cam"),
        (
            "",
            {"userknownhostsfile": ["/home/m/.ssh/known /home/m/.ssh/more"]},
            "ssh-keygen -f /home/m/.ssh/known -R '[cam-7]:2222'",
        ),
        (  # behind a jump host whose key it is
            JUMP_CHANGED,
            {"hostname": ["10.0.0.7"], "userknownhostsfile": ["/home/m/.ssh/other"]},
            "ssh-keygen -f /home/m/.ssh/known_hosts -R '[gate]:2022'",
        ),
    ],
)
def test_how_a_host_key_is_forgotten(
    complaints: str, settings: dict[str, list[str]], command: str
) -> None:
    address = parse_address("ssh://ops@cam-7:2222")
    assert forget_command(address, complaints, settings) == command


@pytest.mark.parametrize("kind", [["-t", "ed25519"], ["-t", "rsa", "-b", "2048", "-m", "PEM"]])
def test_only_keys_with_a_passphrase_that_nobody_gave_are_locked(
    kind: list[str], tmp_path: Path
) -> None:
    for name, passphrase in (("open", ""), ("shut", "secret")):
        subprocess.run(
            ["ssh-keygen", "-q", *kind, "-N", passphrase, "-f", str(tmp_path / name)], check=True
        )
    (tmp_path / "junk").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n!!!\n-----END")
    files = [str(tmp_path / name) for name in ("open", "shut", "junk", "missing")]
    assert locked_keys(files, "") == [tmp_path / "shut"]
    if kind[1] == "ed25519":  # the old format does not say its public key
        assert locked_keys(files, (tmp_path / "shut.pub").read_text()) == []


def test_how_an_agent_there_is_started() -> None:
    address = parse_address("ssh://ops@cam-7")
    for said, start in (
        ("asked there yours unit silent", "systemctl start roost-agent"),
        ("asked there yours silent", "roost-agent serve"),
    ):
        seen = read_answer(said)
        assert seen.listens is False
        problem = no_agent("cam", address, "nobody listens", service=seen.service)
        assert problem.hint == f"Start the agent there: ssh -t ops@cam-7 sudo {start}"


def test_sudo_that_would_ask() -> None:
    address = parse_address("ssh://ops@cam-7")
    problem = no_sudo("cam", address, "Warning: x\nsudo: a password is required\n")
    assert problem.code == "ssh.sudo"
    assert problem.detail.endswith("sudo: a password is required")
    assert "NOPASSWD: /usr/bin/roost-agent dial-stdio --admin (" in (problem.hint or "")
    assert "ssh -t ops@cam-7" in (problem.hint or "")
