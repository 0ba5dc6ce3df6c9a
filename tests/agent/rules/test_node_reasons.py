"""What a node lacks before a single GPU is looked at."""

from __future__ import annotations

import msgspec
import pytest

from agent.protocol.compatibility import Ability, ImageNeeds
from agent.protocol.gpus import GpuStack
from agent.protocol.node import NodeFacts, RuntimeFacts, ToolkitFacts
from agent.rules.compatibility import judge
from agent.rules.tables import built_in
from tests.agent.rules.nodes_made import A10, CDI, DOCKER, HOOK, T4, image, node

TABLES = built_in()
PLAIN = ImageNeeds(architecture="amd64", wants_gpu=False)
CUDA = image("12.2.0")
PODMAN = RuntimeFacts(state="ok", name="Podman", version="5.4.2")


def judged(needs: ImageNeeds, facts: NodeFacts) -> tuple[Ability, list[str], str | None]:
    verdict = judge(needs, facts, TABLES)
    for reason in verdict.reasons:
        assert reason.what.endswith("."), reason
        assert reason.mend.endswith("."), reason
        assert reason.source, reason
    return verdict.ability, [reason.code for reason in verdict.reasons], verdict.needs_driver


def at(facts: NodeFacts, **stack: object) -> NodeFacts:
    """The node with another state of its driver."""
    changed = msgspec.convert(msgspec.to_builtins(facts.gpu_stack) | stack, GpuStack)
    return msgspec.structs.replace(facts, gpu_stack=changed, gpus=[])


@pytest.mark.parametrize(
    ("architecture", "variant", "host", "ability", "code"),
    [
        ("amd64", "", "amd64", "runs", None),
        ("x86_64", "", "amd64", "runs", None),
        ("AMD64", "v1", "amd64", "runs", None),
        ("386", "", "amd64", "runs", None),
        ("amd64", "v3", "amd64", "warns", "cpu.variant"),
        ("arm64", "v8", "arm64", "runs", None),
        ("aarch64", "", "arm64", "runs", None),
        ("arm64", "v9.2", "arm64", "warns", "cpu.variant"),
        ("arm", "v7", "arm64", "warns", "cpu.architecture"),
        ("arm64", "v8", "amd64", "fails", "cpu.architecture"),
        ("amd64", "", "arm64", "fails", "cpu.architecture"),
        ("amd64", "", "386", "fails", "cpu.architecture"),
        ("riscv64", "", "riscv64", "runs", None),
        ("", "", "amd64", "unknown", "cpu.unknown"),
    ],
)
def test_cpus(architecture: str, variant: str, host: str, ability: str, code: str | None) -> None:
    needs = ImageNeeds(architecture=architecture, variant=variant, wants_gpu=False)
    facts = node("535.183.01", A10, architecture=host)
    assert judged(needs, facts) == (ability, [code] if code else [], None)


def test_another_system() -> None:
    needs = ImageNeeds(os="windows", architecture="amd64", wants_gpu=False)
    assert judged(needs, node("535.183.01", A10)) == ("fails", ["image.os"], None)


@pytest.mark.parametrize(
    ("state", "ability", "code"),
    [
        ("simulated", "runs", None),
        ("not_found", "fails", "runtime.not_found"),
        ("unreachable", "unknown", "runtime.unreachable"),
        ("no_permission", "unknown", "runtime.unreachable"),
    ],
)
def test_the_runtime(state: str, ability: str, code: str | None) -> None:
    runtime = msgspec.convert({"state": state, "reason": "it is so"}, RuntimeFacts)
    found = judge(PLAIN, node("535.183.01", A10, runtime=runtime), TABLES)
    assert (found.ability, [reason.code for reason in found.reasons]) == (
        ability,
        [code] if code else [],
    )
    # A runtime that does not answer has no ways to a GPU either; that is not said twice.
    if code:
        assert judged(CUDA, node("535.183.01", A10, runtime=runtime))[:2] == (ability, [code])


@pytest.mark.parametrize(
    ("state", "ability", "code", "driver"),
    [
        ("no_gpu", "fails", "gpu.none", None),
        ("no_library", "fails", "driver.no_library", "525.60.13"),
        ("driver_not_loaded", "fails", "driver.driver_not_loaded", None),
        ("driver_mismatch", "fails", "driver.driver_mismatch", None),
        ("ok", "fails", "gpu.none", None),
        ("no_permission", "unknown", "driver.unknown", None),
        ("hung", "unknown", "driver.unknown", None),
        ("error", "unknown", "driver.unknown", None),
    ],
)
def test_the_driver(state: str, ability: str, code: str, driver: str | None) -> None:
    facts = at(node("535.183.01", A10), state=state, reason="it is so")
    assert judged(CUDA, facts) == (ability, [code], driver)
    assert judged(PLAIN, facts) == ("runs", [], None)


def test_gpus_seen_before_the_driver_hung_are_still_judged() -> None:
    facts = node("535.183.01", T4)
    facts.gpu_stack.state = "hung"
    verdict = judge(CUDA, facts, TABLES)
    assert (verdict.ability, verdict.gpus[0].ability) == ("unknown", "runs")


NOTHING = ToolkitFacts()
SILENT = ToolkitFacts(unknown={"version": "nvidia-ctk did not answer in 5 s"})
BASE = ToolkitFacts(version="1.17.8", ctk_path="/usr/bin/nvidia-ctk")
SPEC = ToolkitFacts(
    version="1.18.0", cdi_specs=["/etc/cdi/nvidia.yaml"], cdi_devices=["nvidia.com/gpu=0"]
)
BARE = RuntimeFacts(state="ok", name="Docker Engine", version="24.0.7", runtimes=["runc"])
DIRS = msgspec.structs.replace(
    BARE, version="25.0.5", api_version="1.44", cdi_spec_dirs=["/etc/cdi"]
)
OTHERS = msgspec.structs.replace(BARE, cdi_devices=["vendor.com/fpga=0"])


@pytest.mark.parametrize(
    ("runtime", "toolkit", "code"),
    [
        (DOCKER, HOOK, None),
        (BARE, HOOK, None),
        (DOCKER, BASE, None),
        (CDI, NOTHING, None),
        (DIRS, SPEC, None),
        (PODMAN, SPEC, None),
        (BARE, NOTHING, "toolkit.missing"),
        (BARE, SILENT, "toolkit.unknown"),
        (BARE, BASE, "toolkit.no_way"),
        (BARE, SPEC, "toolkit.no_way"),
        (OTHERS, BASE, "toolkit.no_way"),
        (PODMAN, HOOK, "cdi.no_spec"),
        (PODMAN, NOTHING, "toolkit.missing"),
    ],
)
def test_the_way_to_a_gpu(runtime: RuntimeFacts, toolkit: ToolkitFacts, code: str | None) -> None:
    facts = node("535.183.01", A10, runtime=runtime, toolkit=toolkit)
    ability, codes, _ = judged(CUDA, facts)
    assert codes == ([code] if code else [])
    assert ability == ("runs" if code is None else "unknown" if "unknown" in code else "fails")
    assert judged(PLAIN, facts) == ("runs", [], None)


@pytest.mark.parametrize(
    ("runtime", "toolkit", "refused"),
    [
        (DOCKER, HOOK, True),
        (CDI, HOOK, False),
        (PODMAN, SPEC, False),
        (DOCKER, BASE, True),
        (DOCKER, msgspec.structs.replace(BASE, version="1.18.0"), False),
        (DOCKER, msgspec.structs.replace(BASE, version="1.18.0", mode="legacy"), True),
        (DOCKER, msgspec.structs.replace(BASE, mode="cdi"), False),
    ],
)
def test_who_looks_at_constraints(
    runtime: RuntimeFacts, toolkit: ToolkitFacts, refused: bool
) -> None:
    facts = node("535.183.01", A10, runtime=runtime, toolkit=toolkit)
    verdict = judge(image("12.2.0", require="cuda>=99"), facts, TABLES)
    assert verdict.ability == ("fails" if refused else "warns")


def test_what_a_silent_runtime_can_do_is_not_guessed() -> None:
    silent = RuntimeFacts(state="unreachable", reason="it is so")
    facts = node("535.183.01", A10, runtime=silent, toolkit=NOTHING)
    assert judged(CUDA, facts) == ("unknown", ["runtime.unreachable"], None)


def test_a_driver_is_proposed_only_where_nothing_else_is_amiss() -> None:
    old = node("470.256.02", T4)
    assert judge(CUDA, old, TABLES).needs_driver == "525.60.13"
    old.toolkit = NOTHING
    old.runtime = BARE
    assert judge(CUDA, old, TABLES).needs_driver is None
