"""A private sshd on loopback: its own keys, configuration, accounts and log."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.real import keeper
from tests.real.commands import run
from tests.real.enclosure import Enclosure

START_SECONDS = 20
PASSPHRASE = "not a secret"
ROOST_GROUP = 61000

# What the client offers, and what it knows of the host's key.
Identity = Literal["plain", "passphrase", "stranger"]
KnownHost = Literal["right", "nothing", "wrong"]


@dataclass(frozen=True)
class Account:
    """Someone who may log in. The accounts beside root exist inside the enclosure only."""

    name: str
    number: int
    group: int
    shell: str


ROOT = Account("root", 0, 0, "/bin/sh")
MEMBER = Account("member", 61001, ROOST_GROUP, "/bin/sh")
OUTSIDER = Account("outsider", 61002, 61002, "/bin/sh")
SHELL_LESS = Account("shell-less", 61003, ROOST_GROUP, "/usr/sbin/nologin")
ACCOUNTS = (ROOT, MEMBER, OUTSIDER, SHELL_LESS)


class SshServer:
    """sshd in mounts of its own and on the machine's loopback; its sessions end with it.

    `settings` are sshd_config's, which win over ours: MaxStartups, AllowTcpForwarding,
    AllowStreamLocalForwarding, ForceCommand. Every account takes both the plain key and the one
    with a passphrase; nobody takes the stranger's.
    """

    host = "127.0.0.1"
    alias = "node"

    def __init__(self, enclosure: Enclosure, settings: Mapping[str, str] | None = None) -> None:
        self.enclosure = enclosure
        self.folder = enclosure.folder
        self.settings = dict(settings or {})
        self.port = 0
        self.pid: int | None = None
        self._log = self.folder / "sshd.log"
        self._home = self.folder / "home"
        self.folder.chmod(0o755)  # sshd reads a user's keys as that user
        self._make_keys()
        self._make_accounts()

    def start(self) -> None:
        """Listen on a free port. Raises RuntimeError with the log's end."""
        program = shutil.which("sshd")
        assert program  # it starts itself again by this path, so it must be absolute
        deadline = time.monotonic() + START_SECONDS
        while self.pid is None:
            self.port = _free_port()
            self._write_config()
            argv = [program, "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self._log)]
            pid = self.enclosure.start(argv, log=self.folder / "sshd.out")
            while self.enclosure.wait(pid, 0.01) is None and not self._listens():
                if time.monotonic() > deadline:
                    raise RuntimeError(f"sshd does not listen: {self.log()[-3000:]}")
            if self.enclosure.wait(pid) is None:
                self.pid = pid
            elif "Address already in use" not in self.log():
                raise RuntimeError(f"sshd did not start: {self.log()[-3000:]}")

    def stop(self) -> None:
        """No new connection; those that are there stay, as with a real sshd."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGTERM)
        self.enclosure.wait(self.pid, 10)
        self.pid = None

    def drop_connections(self) -> int:
        """Kill every session at the server's end; how many processes that were."""
        sessions = [pid for pid in self.enclosure.processes() if pid != self.pid]
        keeper.send(sessions, signal.SIGKILL)
        return len(sessions)

    def client_config(
        self,
        *,
        account: Account = ROOT,
        identity: Identity = "plain",
        known: KnownHost = "right",
    ) -> Path:
        """A file for `ssh -F`: the server is `node`, and `behind` is the same through a jump."""
        path = self.folder / f"client-{account.name}-{identity}-{known}"
        path.write_text(
            "Host node behind\n"
            f"  HostName {self.host}\n"
            f"  Port {self.port}\n"
            f"  User {account.name}\n"
            f"  IdentityFile {self.folder / identity}\n"
            "  IdentitiesOnly yes\n"
            "  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.folder / f'known-{known}'}\n"
            "  GlobalKnownHostsFile none\n"
            "Host behind\n"
            "  ProxyJump node\n"
        )
        (self.folder / "known-right").write_text(self._known_host("host"))
        (self.folder / "known-wrong").write_text(self._known_host("stranger"))
        (self.folder / "known-nothing").write_text("")
        return path

    @property
    def config(self) -> Path:
        """The plain client's file: root, the right key, a known host."""
        return self.client_config()

    def ssh(
        self, *args: str, config: Path | None = None, check: bool = True, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `ssh -F CONFIG -o BatchMode=yes ARGS...`. Raises CommandFailedError if `check`."""
        words = ("ssh", "-F", str(config or self.config), "-o", "BatchMode=yes")
        return run(*words, *args, text=text, check=check, seconds=30)

    def home(self, account: Account) -> Path:
        """An account's home."""
        return self._home / account.name

    def log(self) -> str:
        """What sshd said so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        """End sshd with its sessions, and remove the folder."""
        self.pid = None
        self.enclosure.close()

    def _make_keys(self) -> None:
        for name in ("host", "plain", "passphrase", "stranger"):
            secret = PASSPHRASE if name == "passphrase" else ""
            # One round: it is the default number of rounds that makes this slow.
            words = ("-q", "-t", "ed25519", "-a", "1", "-N", secret, "-C", name)
            run("ssh-keygen", *words, "-f", str(self.folder / name))

    def _make_accounts(self) -> None:
        allowed = "".join(
            (self.folder / f"{name}.pub").read_text() for name in ("plain", "passphrase")
        )
        (self.folder / "authorized_keys").write_text(allowed)
        passwd, shadow = Path("/etc/passwd").read_text(), Path("/etc/shadow").read_text()
        kept = [[*lines.splitlines()] for lines in (passwd, shadow)]
        for lines in kept:
            lines[:] = [line for line in lines if not line.startswith("root:")]
        for account in ACCOUNTS:
            home = self.home(account)
            home.mkdir(parents=True)
            os.chown(home, account.number, account.group)
            numbers = f"{account.number}:{account.group}"
            kept[0].append(f"{account.name}:x:{numbers}::{home}:{account.shell}")
            kept[1].append(f"{account.name}:*:20000:0:99999:7:::")
        for name, lines in (("passwd", kept[0]), ("shadow", kept[1])):
            self.enclosure.enter("tee", f"/etc/{name}", text="\n".join(lines) + "\n")
        self.enclosure.enter("tee", "-a", "/etc/group", text=f"roost:x:{ROOST_GROUP}:\n")

    def _write_config(self) -> None:
        settings = {
            "ListenAddress": f"{self.host}:{self.port}",
            "HostKey": str(self.folder / "host"),
            "PidFile": "none",
            "AuthorizedKeysFile": str(self.folder / "authorized_keys"),
            "AuthenticationMethods": "publickey",
            "PermitRootLogin": "prohibit-password",
            # The folder lies below /tmp, which everybody may write to.
            "StrictModes": "no",
            "UsePAM": "no",
            "UseDNS": "no",
            "PrintMotd": "no",
            "PrintLastLog": "no",
            "LogLevel": "VERBOSE",
            # Slow tests must not be taken for a flood, unless they ask for it.
            "MaxStartups": "100",
        }
        if _version() >= (9, 8):
            # Else a test that is refused locks the next one out.
            settings["PerSourcePenalties"] = "no"
        # The first value of a setting counts; ours must not stand before a test's.
        wanted = {name.lower() for name in self.settings}
        ours = {name: value for name, value in settings.items() if name.lower() not in wanted}
        text = "".join(f"{name} {value}\n" for name, value in (self.settings | ours).items())
        (self.folder / "sshd_config").write_text(text)

    def _known_host(self, key: str) -> str:
        kind, public = (self.folder / f"{key}.pub").read_text().split()[:2]
        return f"[{self.host}]:{self.port} {kind} {public}\n"

    def _listens(self) -> bool:
        return f"Server listening on {self.host} port {self.port}." in self.log()


def _version() -> tuple[int, ...]:
    """OpenSSH's, such as (9, 2)."""
    said = run("ssh", "-V").stderr
    found = re.match(r"OpenSSH_(\d+)\.(\d+)", said)
    if found is None:
        raise RuntimeError(f"not OpenSSH: {said}")
    return tuple(int(part) for part in found.groups())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
