"""An app whose nodes differ in what they can run."""

from __future__ import annotations

from pathlib import Path

from agent.protocol.compatibility import Found, ImageNeeds
from agent.protocol.problems import ProblemError
from console.fleet.picture import NodeView
from console.tui.app import RoostApp
from console.tui.compat import Compat
from console.tui.looking import Looking
from tests.console.tui.conftest import MakeApp
from tests.console.tui.fakes import A10, H200, T4, Board, make_image, make_node
from tests.console.tui.showing import fleet_of

AWAY = ProblemError("link.unreachable", "far: no route to host", hint="Is it on?")
CAPABILITIES = {T4.name: "7.5", A10.name: "8.6", H200.name: "9.0"}


def cuda(version: str, **fields: object) -> ImageNeeds:
    """An image of a CUDA release, by its config."""
    found = Found(version=version, where="env CUDA_VERSION")
    needs = ImageNeeds(architecture="amd64", wants_gpu=True, cuda=found)
    for name, value in fields.items():
        setattr(needs, name, value)
    return needs


def able_node(name: str, board: Board, count: int = 1, **fields: object) -> NodeView:
    """A node whose facts say what its GPUs and its toolkit can do."""
    view = make_node(name, board, count, containers=0, **fields)  # type: ignore[arg-type]
    facts = view.sections["facts"][""]
    facts["runtime"]["runtimes"] = ["runc", "nvidia"]
    facts["toolkit"]["hook_path"] = "/usr/bin/nvidia-container-runtime-hook"
    for gpu in facts["gpus"]:
        gpu["compute_capability"] = CAPABILITIES[board.name]
    return view


def nodes_of_all_kinds() -> list[NodeView]:
    """Old and new drivers, one that is away, one that never said anything."""
    lab = {"site": "lab"}
    return [
        able_node("a10", A10, labels=lab),
        able_node("far", T4, labels=lab, state="offline", seen_ago=7200, problem=AWAY),
        able_node("h200", H200, 4, production=True),
        make_node("new", None, state="connecting", seen_ago=None),
        able_node("t4", T4, 2, labels=lab),
    ]


NEEDS = {"app:11": cuda("11.4.3"), "app:12": cuda("12.4.1"), "app:13": cuda("13.0.0")}


def compat_app(
    make_app: MakeApp, first: str = "compat", *, nodes: list[NodeView] | None = None, **how: object
) -> RoostApp:
    """Every node that answers has all of `NEEDS`, and web:1, which wants no GPU."""
    app: RoostApp = make_app(nodes or nodes_of_all_kinds(), first=first, **how)
    for client in fleet_of(app).clients.values():
        client.held = [make_image(tag) for tag in [*NEEDS, "web:1"]]
        client.needs = dict(NEEDS)
    return app


def compat_of(folder: Path) -> Compat:
    """With caches in a folder of the test."""
    return Compat(Looking({"XDG_CACHE_HOME": str(folder)}, folder))
