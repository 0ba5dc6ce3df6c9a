"""Every page of /metrics keeps to the letter of Prometheus' text format 0.0.4."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec
import pytest

from agent.http.metrics import COUNTED, SAMPLED, render_metrics
from agent.protocol.containers import Container
from agent.protocol.exposition import Exposition
from agent.simulation.plan import NodePlan, plan_fleet
from tests.agent.doubles import FixedRuntime, make_node
from tests.agent.simulation.test_node import started

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)')
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")


class Page(NamedTuple):
    kinds: dict[str, str]
    samples: dict[tuple[str, str], float]


def parse(text: str) -> Page:
    """Strict: each metric in one group, head first, no series twice."""
    assert text.endswith("\n")
    page, current, helped = Page({}, {}), "", set[str]()
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            current = line.split(" ", 3)[2]
            assert NAME.fullmatch(current), line
            assert current not in helped, f"{current} comes in two groups"
            helped.add(current)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == current, line
            assert kind in {"gauge", "counter"}, line
            page.kinds[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match[1], match[2] or "", match[3]
            assert name == current, f"{line} stands in the group of {current}"
            assert "".join(one[0] for one in LABEL.finditer(labels)) == labels, line
            names = [one[1] for one in LABEL.finditer(labels)]
            assert len(names) == len(set(names)), line
            assert (name, labels) not in page.samples, f"{line} comes twice"
            page.samples[name, labels] = float(value)
    return page


@pytest.mark.parametrize("plan", plan_fleet(24), ids=lambda plan: plan.name)
async def test_pages_of_all_kinds_of_nodes(plan: NodePlan) -> None:
    simulated = await started(plan)
    page = parse(render_metrics(simulated.node))
    known = {sampled.name for sampled in SAMPLED} | {counted.name for counted in COUNTED}
    ours = {name for name in page.kinds if name.startswith("roost_")}
    assert set(page.kinds) - ours <= known | {"DCGM_FI_DEV_XID_ERRORS"}
    assert all(page.samples[key] >= 0 for key in page.samples)


async def test_names_from_elsewhere_cannot_break_the_page() -> None:
    node = make_node()
    runtime = node.runtime
    assert isinstance(runtime, FixedRuntime)
    evil = 'a"} 1\nroost_evil{b="\\'
    runtime.container = msgspec.structs.replace(runtime.container, name=evil, image="\x1b[31m\r")
    await node.refresh_facts()
    await node.sampler.tick()
    page = parse(render_metrics(node))
    assert "roost_evil" not in page.kinds
    assert isinstance(runtime.container, Container)


def test_numbers_are_numbers() -> None:
    page = Exposition()
    for number, value in enumerate([0, 1.0, 2**53, 0.1, 1e300, 1e-9, True]):
        page.add("m", "gauge", "Help.", value, {"n": str(number)})
    page.add("unknown", "gauge", "Help.", None, {})
    parsed = parse(page.render())
    assert list(parsed.samples.values()) == [0, 1, 2**53, 0.1, 1e300, 1e-9, 1]
    assert "unknown" not in parsed.kinds
