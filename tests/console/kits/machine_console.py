"""`roost` with a fleet of its own, whose ssh leads to one machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from tests.real.bare_machine import BareMachine


class Console:
    """`roost` with a fleet of its own, whose ssh leads to one machine."""

    def __init__(self, folder: Path, machine: BareMachine) -> None:
        self.folder = folder
        self._environment = os.environ | {
            "ROOST_SSH": machine.ssh,
            "ROOST_FLEET": str(folder / "fleet.yaml"),
            "ROOST_STATE": str(folder / "state"),
            "XDG_RUNTIME_DIR": str(folder),
        }

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "console.cli.main", *words],
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
        )

    def killed_after(self, seconds: float, *words: str) -> None:
        """As far as it gets in that time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [sys.executable, "-m", "console.cli.main", *words],
                capture_output=True,
                check=False,
                env=self._environment,
                timeout=seconds,
            )
