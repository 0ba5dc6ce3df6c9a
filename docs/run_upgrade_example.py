"""Prints what docs/install.md shows of an upgrade: `python -m docs.run_upgrade_example`, as root.

On a whole machine (tests/real/make-roots) with a real kit, another version of it, and one whose
agent crashes. It takes a minute or two, and what it prints is put into the page by hand.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from console.kits.making import make_kit
from tests.broken_kits import AGENTS, Changes
from tests.kits_made import other_version
from tests.real.bare_machine import BareMachine
from tests.real.enclosure import Enclosure

VERSIONS: tuple[tuple[str, Changes], ...] = (
    ("1.1.0", {}),
    ("1.2.0", AGENTS["crashes at import"]),
)


def main() -> None:
    """Install the first, upgrade to the second, fail with the third."""
    with tempfile.TemporaryDirectory(prefix="rd", dir="/tmp") as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "m").mkdir()
        enclosure = Enclosure(folder / "m", network=True)
        stack.callback(enclosure.close)
        machine = BareMachine(enclosure, "machine-trixie")
        machine.boot()
        arch = os.uname().machine
        kit, _ = make_kit(folder, arch=arch, pythons=("3.13",), say=lambda _line: None)
        environment = os.environ | {
            "ROOST_SSH": machine.ssh,
            "ROOST_FLEET": str(folder / "fleet.yaml"),
            "ROOST_STATE": str(folder / "journal"),
            "XDG_RUNTIME_DIR": str(folder / "m"),
            "COLUMNS": "100",
            "PYTHONPATH": str(Path(__file__).parent.parent),
        }

        def roost(*words: str) -> None:
            click.echo(f"$ roost {' '.join(words)}")
            argv = [sys.executable, "-m", "console.cli.main", *words]
            done = subprocess.run(
                argv, cwd=folder, env=environment, text=True, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            click.echo(done.stdout.replace(f"{folder}/", "").rstrip())

        roost("node", "install", "ssh://node", "--kit", kit.name, "--name", "plant-7", "--yes")
        for version, changes in VERSIONS:
            made = other_version(kit, folder, version, changes)
            named = made.with_name(f"roost-agent-{version}-{arch}.pyz")
            made.rename(named)
            roost("agent", "upgrade", "@plant-7", "--kit", named.name, "--soak", "10s", "--yes")
        roost("node", "show", "plant-7")


if __name__ == "__main__":
    main()
