"""Two nodes of a site: real agents that build with NVIDIA's TensorRT-RTX, and a recipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from console.fleet.inventory import NodeEntry
from tests import onnx_made
from tests.agent_process import AgentProcess
from tests.console.cli.commands import Done, roost, write_fleet

RECIPE = """\
model: detector
onnx: {onnx}
compute_capabilities: ["8.6"]
profiles:
  - images: {{min: [1, 3, 64, 64], opt: [4, 3, 64, 64], max: [8, 3, 64, 64]}}
"""


class Site(NamedTuple):
    """Nodes a and b."""

    home: Path
    fleet: Path
    agents: dict[str, AgentProcess]
    recipe: Path

    def roost(self, *arguments: str | Path) -> Done:
        return roost(self.home, "--fleet", self.fleet, "engine", *arguments)

    def model(self, **changes: Any) -> None:
        """What the recipe names, on both nodes."""
        (self.home / "detector.onnx").write_bytes(onnx_made.detector(**changes))


@contextmanager
def engine_site(folder: Path, home: Path, *, serves: str | None = None) -> Iterator[Site]:
    """Both run. `serves`: the node that others of its site may fetch from."""
    recipe = home / "detector.yaml"
    recipe.write_text(RECIPE.format(onnx=home / "detector.onnx"))
    with ExitStack() as stack:
        agents, entries = {}, []
        for name in ("a", "b"):
            (folder / name).mkdir()
            settings: dict[str, Any] = {"name": name, "engines": {"python": sys.executable}}
            if name == serves:
                settings["site_listen"] = "127.0.0.1:0"
            agents[name] = stack.enter_context(AgentProcess(folder / name, settings))
            address = f"unix://{agents[name].sockets['operator']}"
            entries.append(NodeEntry(name=name, address=address, labels={"site": "lab"}))
        made = Site(home, write_fleet(home / "fleet.yaml", entries), agents, recipe)
        made.model()
        yield made
