"""What changes from one release to another, in words."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from console.compose.compose_file import NodeValues, NodeWorkloads, parse_compose, workloads_for
from console.rollouts.release_diff import Difference, differences
from console.rollouts.strategy import Amount, Strategy, Wave


def means(text: str) -> NodeWorkloads:
    file = parse_compose(dedent(text), path=Path("/srv/app.yaml"))
    found = workloads_for(file, NodeValues("", {}))
    assert not found.refused, found.problems
    return found


def differing(before: str, after: str) -> list[Difference]:
    old, new = means(before), means(after)
    return differences(old.workloads, new.workloads)


def test_each_workload_in_words() -> None:
    found = differing(
        """
        services:
          web:
            image: app:1
            ports: ["80:8080"]
            environment: {LEVEL: info, OLD: "1"}
            x-roost: {gpu: {select: least-memory, memory: 2g}, probes: [{http: {port: 80}}]}
          gone: {image: "app:1"}
          same: {image: "app:1"}
        """,
        """
        services:
          web:
            image: app:2
            ports: ["80:8080", "90:9000"]
            environment: {LEVEL: debug, NEW: ""}
            mem_limit: 2g
            command: [serve, --fast]
            x-roost:
              soak: 1m
              gpu: {select: spread, memory: 3g}
              probes: [{http: {port: 81}}, {exec: {command: [check]}}]
          same: {image: "app:1"}
          new: {image: "app:3"}
        """,
    )
    assert [(each.part, each.change) for each in found] == [
        ("gone", "removed"),
        ("web", "changed"),
        ("new", "added"),
    ]
    assert found[1].words == [
        "image: app:1 becomes app:2",
        "command: serve --fast is new",
        "environment LEVEL: info becomes debug",
        "environment OLD: 1 is gone",
        'environment NEW: "" is new',
        "ports: target 9000, published 90 is new",
        "x-roost.gpu.select: least-memory becomes spread",
        "x-roost.gpu.memory: 2.0 GiB becomes 3.0 GiB",
        "mem_limit: 2.0 GiB is new",
        "x-roost.probes: http: port 80 is gone",
        "x-roost.probes: http: port 81 is new",
        "x-roost.probes: exec: command check is new",
        "x-roost.soak: 10 s becomes 60 s",
    ]


def test_how_an_engine_is_built() -> None:
    service = "services: {{web: {{image: 'app:1', x-roost: {{engine: {{onnx: /m/{0}.onnx}}}}}}}}\n"
    (found,) = differing(service.format("a"), service.format("b"))
    assert found.words == ["x-roost.engine.onnx: /m/a.onnx becomes /m/b.onnx"]


def test_how_it_goes_out() -> None:
    one = means("services: {web: {image: 'app:1'}}")
    (found,) = differences(
        one.workloads,
        one.workloads,
        strategies=(
            Strategy(),
            Strategy(waves=(Wave(nodes=2),), soak=60, max_unavailable=Amount(count=3)),
        ),
    )
    assert (found.part, found.words) == (
        "rollout",
        [
            "waves: 1 node, 10 % becomes 2 nodes",
            "soak: 300 s becomes 60 s",
            "max_unavailable: 10 % becomes 3",
        ],
    )


def test_equal_releases_differ_in_nothing() -> None:
    text = "services: {web: {image: 'app:1', environment: {A: b}}}"
    assert differing(text, text) == []


def test_only_the_order_of_a_list() -> None:
    text = "services: {{web: {{image: 'app:1', dns: {0}}}}}"
    (found,) = differing(text.format("[1.1.1.1, 2.2.2.2]"), text.format("[2.2.2.2, 1.1.1.1]"))
    assert found.words == ["dns: in another order, or not as often"]
