"""Images against Jetsons, and Jetson's images against servers."""

from __future__ import annotations

import pytest

from agent.protocol.compatibility import ImageNeeds
from agent.protocol.gpus import GpuStack
from agent.protocol.node import NodeFacts
from tests.agent.rules.judging import (
    BY_LIBRARY,
    C131,
    OLDER,
    TOO_OLD,
    Expected,
    expect,
    fails,
    runs,
    unknown,
    warns,
)
from tests.agent.rules.nodes_made import CDI, GB10, XAVIER, board, image, jetson, library, node

ARM = "arm64"
JETSONS: list[tuple[str, ImageNeeds, NodeFacts, Expected]] = [
    ("its own", image("12.6.1", architecture=ARM, l4t="36.4.0"), jetson("36.4.0"), runs()),
    ("by l4t alone", image(None, architecture=ARM, l4t="r36.4.0"), jetson("36.4.0"), runs()),
    ("older CUDA", image("11.4.0", architecture=ARM, l4t="36.2"), jetson("36.4.0"), runs()),
    ("newer minor", image("12.9.1", architecture=ARM, l4t="36.4"), jetson("36.4.0"), warns(OLDER)),
    (
        "JetPack 5, 12.2",
        image("12.2.0", architecture=ARM, l4t="35.4"),
        jetson("35.4.1"),
        fails(TOO_OLD),
    ),
    (
        "older than its GPU: other Amperes' code is none for it",
        image("11.0.3", architecture=ARM, l4t="35.4"),
        jetson("35.4.1"),
        warns("warns:gpu.too_new_for_cuda"),
    ),
    (
        "JetPack 6, 13.2 with Orin's library",
        image("13.2.1", architecture=ARM, l4t="36.4", compat=library("595.58.03", "13.2")),
        jetson("36.4.3"),
        warns(BY_LIBRARY),
    ),
    (
        "a server's library is none for it",
        image("13.1.0", architecture=ARM, l4t="36.4", compat=C131),
        jetson("36.4.3"),
        fails(TOO_OLD),
    ),
    (
        "JetPack 5's on JetPack 6",
        image("11.4.0", architecture=ARM, l4t="35.4.1"),
        jetson("36.4.0"),
        warns("warns:jetson.l4t"),
    ),
    (
        "JetPack 4's finds its CUDA on the host",
        image("10.2.300", architecture=ARM, l4t="32.7.1"),
        jetson("35.4.1", XAVIER),
        fails("fails:jetson.l4t"),
    ),
    (
        "a server's",
        image("12.4.1", architecture=ARM),
        jetson("36.4.0"),
        warns("warns:jetson.server_image"),
    ),
    (
        "an amd64 one",
        image("12.4.1"),
        jetson("36.4.0"),
        fails("fails:cpu.architecture warns:jetson.server_image"),
    ),
    (
        "no such JetPack",
        image("12.6.0", architecture=ARM, l4t="36.4"),
        jetson(""),
        unknown("unknown:driver.unknown"),
    ),
    (
        "Jetson's image on a server",
        image("12.6.1", architecture=ARM, l4t="36.4.0"),
        node("580.65.06", GB10, architecture=ARM),
        fails("fails:jetson.image warns:gpu.too_new_for_cuda"),
    ),
    (
        "without its runtime",
        image("12.6.1", architecture=ARM, l4t="36.4.0"),
        jetson("36.4.0", runtime=CDI),
        fails("fails:toolkit.no_nvidia_runtime"),
    ),
]


@pytest.mark.parametrize(
    ("needs", "facts", "expected"),
    [pytest.param(*case[1:], id=f"{number}: {case[0]}") for number, case in enumerate(JETSONS)],
)
def test_jetsons(needs: ImageNeeds, facts: NodeFacts, expected: Expected) -> None:
    expect(needs, facts, expected)


def test_a_jetson_that_says_its_cuda_itself_as_jetpack_7_does() -> None:
    stack = GpuStack(state="ok", source="nvml", l4t_version="38.2", cuda_version="13.0")
    thor = board("Thor", "11.0", None)
    facts = node(None, thor, stack=stack, architecture="arm64")
    expect(image("13.0.1", architecture="arm64", l4t="38.2"), facts, runs())


def test_jetpack_variables_make_an_image_one_for_jetson() -> None:
    needs = image("12.6.1", architecture="arm64")
    needs.requires["NVIDIA_REQUIRE_JETPACK"] = "csv-mounts=all"
    expect(needs, jetson("36.4.0"), runs())
