"""Draws docs/fleet.svg, the picture in the README: the real `roost` on the demo's nodes.

`make picture`. Textual itself takes the screenshot (its TEXTUAL_SCREENSHOT settings) of the
command running in a pseudo-terminal.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import msgspec
import yaml

from tests.simulated import simulator_process
from tests.terminal import Terminal

HERE = Path(__file__).parent
COLUMNS, LINES = 110, 30
# Long enough for the slowest node of the demo, which takes four seconds to answer.
SECONDS = 9


def main() -> None:
    """Start the nodes and `roost`, and wait until the picture is drawn."""
    with (
        tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as name,
        simulator_process(24) as simulator,
    ):
        home = Path(name)
        fleet = home / "demo.yaml"
        fleet.write_text(yaml.safe_dump(msgspec.to_builtins(simulator.nodes)), encoding="utf-8")
        environment = {
            "HOME": str(home),
            "COLORTERM": "truecolor",
            "TEXTUAL_SCREENSHOT": str(SECONDS),
            "TEXTUAL_SCREENSHOT_LOCATION": str(HERE),
            "TEXTUAL_SCREENSHOT_FILENAME": "fleet.svg",
        }
        command: list[str | Path] = [Path(sys.executable).parent / "roost", "--fleet", fleet]
        with Terminal(command, columns=COLUMNS, lines=LINES, env=environment) as terminal:
            terminal.wait_exit(SECONDS + 20)


if __name__ == "__main__":
    main()
