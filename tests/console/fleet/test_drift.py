"""Which facts are off, which are not known, and a finding for each."""

from __future__ import annotations

import msgspec
import pytest

from agent.protocol.gpus import GpuStack
from agent.protocol.node import NodeFacts, RuntimeFacts, ToolkitFacts
from console.fleet.drift import _HAD, Drift, drift_of, expected_of, finding_of
from console.fleet.expectations import FACTS, Expectation, Value
from tests.agent.rules.nodes_made import A10, T4, jetson, node

GOOD = node("535.183.01", T4)
NONE = "no container runtime"
NO_DRIVER = GpuStack(state="no_library", source="none", reason="libnvidia-ml.so.1 is not there")
NO_RIGHT = GpuStack(state="no_permission", source="none", reason="/dev/nvidiactl: not allowed")


def look(fact: str, value: Value, facts: NodeFacts) -> Drift:
    (found,) = drift_of([Expectation(fact, value, "gpu=t4")], facts)
    return found


def with_persistence(*modes: bool | None) -> NodeFacts:
    gpus = [
        msgspec.structs.replace(
            T4, index=index, persistence=mode, unknown={"persistence": "not_supported"}
        )
        for index, mode in enumerate(modes)
    ]
    return node("535.183.01", *gpus)


def test_every_fact_that_can_be_expected_can_be_looked_at() -> None:
    assert set(_HAD) == set(FACTS)


@pytest.mark.parametrize(
    ("fact", "value", "facts", "state", "has"),
    [
        ("driver", ">=535,<560", GOOD, "as_expected", "535.183.01"),
        ("driver", ">=560", GOOD, "off", "535.183.01"),
        ("driver", ">=535", node(None, stack=NO_DRIVER), "off", "no library"),
        ("driver", ">=535", node(None, stack=NO_RIGHT), "unknown", None),
        ("cuda", ">=12.2", GOOD, "as_expected", "12.2"),
        ("runtime", ">=20.10", GOOD, "as_expected", "24.0.7"),
        ("runtime", ">=20.10", node("535", runtime=RuntimeFacts(state="not_found")), "off", NONE),
        ("runtime", ">=1", node("535", runtime=RuntimeFacts(state="unreachable")), "unknown", None),
        ("runtime_name", "Podman", GOOD, "off", "Docker Engine"),
        ("runtime_name", ["Podman", "Docker Engine"], GOOD, "as_expected", "Docker Engine"),
        ("toolkit", ">=1.17", GOOD, "as_expected", "1.17.8"),
        ("toolkit", ">=1.17", node("535", toolkit=ToolkitFacts()), "off", "not installed"),
        ("l4t", ">=36", jetson("36.4.0"), "as_expected", "36.4.0"),
        ("l4t", ">=36", GOOD, "off", "no Jetson"),
        ("gpus", 1, GOOD, "as_expected", "1"),
        ("gpus", 2, GOOD, "off", "1"),
        ("gpus", 2, node(None, stack=NO_RIGHT), "unknown", None),
        ("gpu", "Tesla T4", node("535", T4, A10), "off", "Tesla T4, NVIDIA A10"),
        ("persistence", True, with_persistence(True, True), "as_expected", "on"),
        ("persistence", True, with_persistence(True, False), "off", "on, off"),
        ("persistence", True, with_persistence(True, None), "unknown", "on"),
        ("persistence", True, with_persistence(False, None), "off", "off"),
        ("timezone", "UTC", GOOD, "unknown", None),
        ("kernel", ">=5", GOOD, "as_expected", "6"),
    ],
)
def test_a_fact(fact: str, value: Value, facts: NodeFacts, state: str, has: str | None) -> None:
    found = look(fact, value, facts)
    assert (found.state, found.has) == (state, has)
    assert found.state != "unknown" or found.reason


def test_a_version_without_numbers_is_unknown_and_not_off() -> None:
    facts = node("535", runtime=RuntimeFacts(state="ok", name="X", version="dev"))
    found = look("runtime", ">=20.10", facts)
    assert (found.state, found.has) == ("unknown", "dev")
    assert "no number" in str(found.reason)


def test_a_finding_says_what_is_off_and_where_that_is_said() -> None:
    finding = finding_of(look("driver", ">=560", GOOD), "cam-7")
    assert finding.key == "node.drift:fact/driver"
    assert finding.title == "driver is 535.183.01; expected is >=560"
    assert "'gpu=t4'" in finding.cause
    unknown = finding_of(look("timezone", "UTC", GOOD), "cam-7")
    assert unknown.code == "node.drift_unknown"
    assert "not known" in unknown.title


def test_what_a_node_was_can_be_expected_of_it_and_of_no_other() -> None:
    expected = expected_of(GOOD, "last-week.snapshot")
    assert {each.state for each in drift_of(expected, GOOD)} == {"as_expected"}
    assert Expectation("driver", "=535.183.01", "last-week.snapshot") in expected
    newer = {each.fact for each in drift_of(expected, node("550.1", T4)) if each.state == "off"}
    assert newer == {"driver", "cuda"}
    # A distribution's next kernel has the same numbers, and the driver's module is built for one.
    updated = node("535.183.01", T4)
    was = msgspec.structs.replace(GOOD.host, kernel="5.15.0-91-generic")
    updated.host = msgspec.structs.replace(GOOD.host, kernel="5.15.0-105-generic")
    expected = expected_of(msgspec.structs.replace(GOOD, host=was), "last-week.snapshot")
    (kernel,) = (each for each in drift_of(expected, updated) if each.state == "off")
    assert (kernel.fact, kernel.expected) == ("kernel", "5.15.0-91-generic")
    # Two kinds of GPU are no one name; what was not known is not expected.
    unlike = {each.fact for each in expected_of(node("535", T4, A10), "x")}
    assert not unlike & {"gpu", "timezone"}
