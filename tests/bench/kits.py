"""Kits: how large they are, and how long a machine takes from bare to a node that answers.

The machines are whole Debians without a network in namespaces of this machine. Twenty of them would
share its processors, which machines of their own do not: so one and twenty are compared with a part
of a processor for each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from console.kits.making import make_kit
from console.kits.wheels import ARCHES, PYTHONS
from tests.bench.table import Row
from tests.real import roots
from tests.real.bare_machine import ROOTS, BareMachine
from tests.real.enclosure import Enclosure

MEGABYTE = 10**6
MANY, FEW = 20, 3
BOOT_AT_ONCE = 4
# So many are installed at a time, and have less than this machine's processors together.
SHARE = 0.15


def run(*, short: bool) -> list[Row]:
    """Sizes of both kits, one install, and twenty at once; `short`: this machine's kit, and 3."""
    if not roots.is_made(ROOTS[0]):
        raise RuntimeError(f"no {roots.folder(ROOTS[0])}: tests/real/make-roots makes it")
    with tempfile.TemporaryDirectory(prefix="rk", dir="/tmp") as name, ExitStack() as stack:
        folder = Path(name)
        here = os.uname().machine
        kits = {
            arch: make_kit(folder, arch=arch, pythons=PYTHONS, say=lambda _line: None)[0]
            for arch in ([here] if short else ARCHES)
        }
        rows = [
            Row(
                name=f"kit for {arch}, Python {PYTHONS[0]} to {PYTHONS[-1]}",
                value=path.stat().st_size / MEGABYTE,
                unit="MB",
                limit=40,
            )
            for arch, path in kits.items()
        ]
        count = FEW if short else MANY
        machines = _boot(stack, folder, count + 2)
        fresh = _install(folder / "fresh", machines[:1], kits[here])
        for machine in machines[1:]:
            machine.slow_down(SHARE)
        one = _install(folder / "one", machines[1:2], kits[here])
        many = _install(folder / "many", machines[2:], kits[here])
    return [
        *rows,
        Row(name="install on a fresh root, until it answers", value=fresh, unit="s", limit=60),
        Row(
            name=f"{count} installs at once, each machine with {SHARE:.0%} of a processor",
            value=many,
            unit="s",
            limit=4 * one,
            peer_name="one such",
            peer=one,
        ),
    ]


def _boot(stack: ExitStack, folder: Path, count: int) -> list[BareMachine]:
    def make(number: int) -> BareMachine:
        place = folder / f"m{number}"
        place.mkdir()
        enclosure = Enclosure(place, network=True)
        stack.callback(enclosure.close)
        machine = BareMachine(enclosure, ROOTS[0])
        machine.boot()
        stack.callback(machine.power_cut)
        # Each calls itself the same: they come from one folder.
        machine.enter("hostname", f"m{number}")
        return machine

    with ThreadPoolExecutor(BOOT_AT_ONCE) as pool:
        return list(pool.map(make, range(count)))


def _install(home: Path, machines: Sequence[BareMachine], kit: Path) -> float:
    """Seconds of one command for all of them."""
    home.mkdir()
    hosts = home / "hosts.txt"
    hosts.write_text("".join(f"ssh://node{number}\n" for number in range(len(machines))))
    ssh = home / "ssh"
    # Each machine's ssh leads into its network alone: the name of the host says into which.
    cases = "".join(
        f'*\\ node{number}\\ *|*\\ node{number}) exec {machine.ssh} "$@" ;;\n'
        for number, machine in enumerate(machines)
    )
    for number, machine in enumerate(machines):
        client = machine.folder / "client"
        text = client.read_text().replace("Host node\n", f"Host node{number}\n")
        client.write_text(text)
    ssh.write_text(f'#!/bin/sh\ncase " $* " in\n{cases}esac\nexit 255\n')
    ssh.chmod(0o755)
    environment = os.environ | {
        "ROOST_SSH": str(ssh),
        "ROOST_FLEET": str(home / "fleet.yaml"),
        "XDG_RUNTIME_DIR": str(home),
    }
    command = [sys.executable, "-m", "console.cli.main", "node", "install", "--list", str(hosts)]
    started = time.monotonic()
    done = subprocess.run(
        [*command, "--kit", str(kit), "--yes"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    if done.returncode:
        raise RuntimeError(f"not all were installed: {done.stderr[-2000:]}")
    return seconds
