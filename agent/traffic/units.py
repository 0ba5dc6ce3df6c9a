"""Proxies in systemd units: one instance of a template for each workload.

A file, for transient units die at a reboot. Never `daemon-reload`, which may take containers their
GPUs: systemd reads a unit that it does not know from its file, and enabling makes a link.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from anyio import fail_after

from agent.durable import write_whole
from agent.host.real_paths import ROOT, command_there, here
from agent.traffic.config import FILE
from agent.traffic.homes import ARGUMENTS, OPEN_FILES, PREFIX, STOP_SECONDS
from agent.traffic.problems import not_started

UNITS = Path("/etc/systemd/system")
OLDEST = (2, 6)
COMMAND_SECONDS = 60.0
LAST_LINES = 5

_UNIT = """\
# Written by Roost. It runs the traffic of a weighted workload, with or without the agent.
[Unit]
Description=Roost: traffic of the workload %i
After=network.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={haproxy} {arguments} {inside}/%i/{file}
Restart=always
RestartSec=100ms
KillMode=mixed
KillSignal=SIGUSR1
TimeoutStopSec={stop_seconds}
LimitNOFILE={open_files}
RuntimeDirectory={runtime}/%i
BindPaths={files}/%i:{inside}/%i
{sandbox}
[Install]
WantedBy={wanted_by}
"""
_SANDBOX = """\
ReadWritePaths={inside}/%i
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID
"""


class Units:
    """Instances of `roost-traffic@.service`.

    Args:
        haproxy: the program.
        files: the folder with one folder for each workload.
        units: where the template is written.
        systemctl: the command; of a user's manager in tests.
        runtime: where systemd makes the folders of units that run.
        root: the machine's.
    """

    def __init__(
        self,
        haproxy: Path,
        files: Path,
        *,
        units: Path = UNITS,
        systemctl: Sequence[str] = ("systemctl",),
        runtime: Path = Path("/run"),
        wanted_by: str = "multi-user.target",
        sandbox: bool = True,
        root: Path = ROOT,
    ) -> None:
        self._haproxy, self._systemctl, self._root = haproxy, systemctl, root
        self._units = here(units, root)
        self._inside = runtime / PREFIX
        self._text = _UNIT.format(
            haproxy=haproxy,
            arguments=" ".join(ARGUMENTS),
            inside=self._inside,
            runtime=PREFIX,
            file=FILE,
            files=files,
            stop_seconds=STOP_SECONDS,
            open_files=OPEN_FILES,
            wanted_by=wanted_by,
            sandbox=_SANDBOX.format(inside=self._inside) if sandbox else "",
        )

    async def why_not(self) -> str | None:
        """HAProxy is there, and may be too old."""
        said = (await _said(*command_there([str(self._haproxy), "-v"], self._root)))[1]
        found = re.search(r"version (\d+)\.(\d+)", said)
        if found is None:
            return f"{self._haproxy} does not say its version"
        version = (int(found[1]), int(found[2]))
        if version < OLDEST:
            return f"its HAProxy is {version[0]}.{version[1]}, and at least 2.6 is needed"
        return None

    def folder(self, workload: str) -> str:
        """A path of the unit's own view."""
        return str(self._inside / workload)

    def shown(self, workload: str) -> str:
        return f"systemd unit {_unit(workload)}"

    async def running(self, workload: str) -> bool:
        code, _ = await self._run("is-active", "--quiet", _unit(workload))
        return code == 0

    async def start(self, workload: str) -> None:
        await asyncio.to_thread(self._write)
        await self._must(workload, "enable", "--no-reload", _unit(workload))
        await self._must(workload, "start", _unit(workload))

    async def restart(self, workload: str) -> None:
        await self._run("kill", "--signal=SIGTERM", _unit(workload))
        await self._must(workload, "restart", _unit(workload))

    async def remove(self, workload: str) -> None:
        await self._run("disable", "--no-reload", _unit(workload))
        await self._must(workload, "stop", _unit(workload))
        await self._run("reset-failed", _unit(workload))

    async def last_words(self, workload: str) -> str:
        _, said = await self._run("status", "--no-pager", f"--lines={LAST_LINES}", _unit(workload))
        return " / ".join(said.splitlines()[-LAST_LINES:])[-500:]

    def _write(self) -> None:
        file = self._units / f"{PREFIX}@.service"
        if not file.exists() or file.read_text(encoding="utf-8") != self._text:
            write_whole(file, self._text.encode(), mode=0o644)

    async def _must(self, workload: str, *words: str) -> None:
        code, said = await self._run(*words)
        if code != 0:
            raise not_started(workload, f"systemctl {' '.join(words)}: {said.strip()[-300:]}")

    async def _run(self, *words: str) -> tuple[int, str]:
        return await _said(*command_there([*self._systemctl, *words], self._root))


async def _said(*command: str) -> tuple[int, str]:
    """Exit code and words. One that does not answer, or is not there, is one that refuses."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        return 1, f"{command[0]}: {error.strerror}"
    try:
        with fail_after(COMMAND_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return 1, f"{command[0]} did not answer within {COMMAND_SECONDS:g} s"
    return process.returncode or 0, said.decode(errors="replace")


def _unit(workload: str) -> str:
    return f"{PREFIX}@{workload}.service"
