"""One image against a large fleet: whether it can run, and which driver its nodes would need."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import msgspec

from agent.protocol.compatibility import CompatLibrary, Found, ImageNeeds
from agent.protocol.node import AgentInfo, NodeFacts
from agent.rules.compatibility import Judge
from agent.rules.tables import Tables, built_in
from agent.rules.upgrades import upgrade_plan
from agent.simulation.gpus import build_gpus
from agent.simulation.host import build_host
from agent.simulation.plan import NodePlan, plan_fleet
from tests.bench.table import Row

NODES = 1000
BRANDS = (
    *("unknown", "grid", "tesla", "nvidia", "quadro", "quadrortx", "nvidiartx"),
    *("vapps", "vpc", "vcs", "vws", "cloudgaming"),
)
BRANCHES = (470, 535, 550, 560, 565)


def run(*, short: bool) -> list[Row]:
    """The image of CUDA 12.8 with its real constraints; `short` with fewer rounds."""
    rounds = 3 if short else 15
    tables = built_in()
    needs = _image()
    fleet = [_facts(plan) for plan in plan_fleet(NODES)]
    all_different = [_other_driver(facts, number) for number, facts in enumerate(fleet)]
    return [
        Row(
            name=f"compatibility, one image, {NODES} nodes",
            value=_milliseconds(lambda: _judge(needs, tables, fleet), rounds),
            unit="ms",
            limit=200,
        ),
        Row(
            name="the same, every node with another driver",
            value=_milliseconds(lambda: _judge(needs, tables, all_different), rounds),
            unit="ms",
        ),
        Row(
            name=f"upgrade plan, one image, {NODES} nodes",
            value=_milliseconds(
                lambda: upgrade_plan({"image": Judge(needs, tables)}, fleet, tables), rounds
            ),
            unit="ms",
        ),
    ]


def _judge(needs: ImageNeeds, tables: Tables, fleet: list[NodeFacts]) -> None:
    judge = Judge(needs, tables)
    for facts in fleet:
        judge(facts)


def _milliseconds(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def _image() -> ImageNeeds:
    windows = " ".join(
        f"brand={brand},driver>={branch},driver<{branch + 1}"
        for branch in BRANCHES
        for brand in BRANDS
    )
    return ImageNeeds(
        architecture="amd64",
        wants_gpu=True,
        cuda=Found(version="12.8.1", where="env CUDA_VERSION"),
        tensorrt=Found(version="10.8.0.43", where="env TENSORRT_VERSION"),
        requires={"NVIDIA_REQUIRE_CUDA": f"cuda>=12.8 {windows}"},
        compat=CompatLibrary(path="/usr/local/cuda/compat", driver_version="570.124.06"),
        looked_inside=True,
    )


def _facts(plan: NodePlan) -> NodeFacts:
    stack, gpus = build_gpus(plan)
    host = build_host(plan, now=time.time)
    return NodeFacts(
        name=plan.name,
        agent=AgentInfo(version="0", api_version="1.0", boot="b", started_at=0.0, simulated=True),
        host=host.facts(),
        gpu_stack=stack,
        gpus=[each.gpu for each in gpus],
        toolkit=host.toolkit([]),
        runtime=plan.kind.runtime,
        disks=[],
    )


def _other_driver(facts: NodeFacts, number: int) -> NodeFacts:
    driver = f"{470 + number % 120}.{number}.01"
    stack = msgspec.structs.replace(
        facts.gpu_stack, driver_version=driver, module_version=driver, cuda_version=None
    )
    return msgspec.structs.replace(facts, gpu_stack=stack)
