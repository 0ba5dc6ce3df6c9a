"""By which way a GPU gets into containers of a node, and why the others are none."""

from __future__ import annotations

import msgspec
import pytest

from agent.protocol.node import NodeFacts, RuntimeFacts, ToolkitFacts
from agent.rules.ways import best_way, known_cdi, toolkit_mode, ways
from tests.agent.rules.nodes_made import A10, CDI, DOCKER, HOOK, jetson, node

NOTHING = ToolkitFacts()
SPEC = ToolkitFacts(
    version="1.16.2", cdi_specs=["/etc/cdi/nvidia.yaml"], cdi_devices=["nvidia.com/gpu=0"]
)
BOTH = msgspec.structs.replace(CDI, runtimes=["runc", "nvidia"])
BARE = RuntimeFacts(state="ok", name="Docker Engine", version="28.5.2", runtimes=["runc"])
DIRS = msgspec.structs.replace(
    BARE, version="27.5.1", api_version="1.47", cdi_spec_dirs=["/etc/cdi"]
)
NEW_DIRS = msgspec.structs.replace(DIRS, version="28.5.2", api_version="1.51")
PODMAN = RuntimeFacts(state="ok", name="Podman", version="5.8.6", runtimes=["nvidia", "runc"])
OLD_PODMAN = msgspec.structs.replace(PODMAN, version="4.3.1")


def server(runtime: RuntimeFacts, toolkit: ToolkitFacts) -> NodeFacts:
    return node("535.183.01", A10, runtime=runtime, toolkit=toolkit)


def tegra(runtime: RuntimeFacts, toolkit: ToolkitFacts) -> NodeFacts:
    return msgspec.structs.replace(jetson("36.4.0", runtime=runtime), toolkit=toolkit)


@pytest.mark.parametrize(
    ("facts", "there", "mode"),
    [
        (server(BOTH, HOOK), ["cdi", "device_request", "runtime"], "cdi"),
        (server(DOCKER, HOOK), ["device_request", "runtime"], "legacy"),
        (server(DOCKER, NOTHING), ["runtime"], "legacy"),
        (server(BARE, NOTHING), [], None),
        (server(DIRS, SPEC), ["cdi"], "cdi"),  # Docker names folders, and not yet devices
        (server(DIRS, NOTHING), [], None),
        (server(NEW_DIRS, SPEC), [], None),  # Docker would name them if it knew any
        (server(BARE, SPEC), [], None),  # CDI is switched off
        (server(PODMAN, SPEC), ["cdi"], "cdi"),
        (server(PODMAN, HOOK), [], None),
        (server(OLD_PODMAN, SPEC), [], None),
        # A Jetson on Docker: by its runtime alone, whatever else is there.
        (tegra(BOTH, HOOK), ["runtime"], "csv"),
        (tegra(CDI, HOOK), [], None),
        (tegra(PODMAN, SPEC), ["cdi"], "cdi"),
    ],
)
def test_which_are_there(facts: NodeFacts, there: list[str], mode: str | None) -> None:
    found = ways(facts)
    assert [each.way for each in found] == ["cdi", "device_request", "runtime"]
    assert [each.way for each in found if each.there] == there
    assert best_way(facts) == (there[0] if there else None)
    assert toolkit_mode(facts) == mode
    assert all(each.why for each in found)


def test_other_makers_devices_are_none_of_nvidias() -> None:
    others = msgspec.structs.replace(CDI, cdi_devices=["amd.com/gpu=0", "nvidia.com/nic=0"])
    assert known_cdi(server(others, HOOK)) == set()
    [cdi, *_] = ways(server(others, HOOK))
    assert (cdi.there, cdi.why) == (False, "no CDI device of nvidia.com/gpu is known")


def test_why_none_is_there_on_a_jetson() -> None:
    assert [each.why for each in ways(tegra(CDI, HOOK))] == [
        "Docker gets a Jetson's GPU by the nvidia runtime",
        "on Tegra the hook refuses device requests",
        "no runtime named nvidia is configured",
    ]
