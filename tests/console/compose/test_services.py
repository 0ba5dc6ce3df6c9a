"""Services with each other: profiles, dependencies, order; and nodes with each other."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.compose.compose_file import (
    NodeValues,
    parse_compose,
    read_compose,
    workloads_for,
    workloads_for_each,
)
from console.compose.findings import gathered
from console.compose.order import start_order
from tests.console.compose.files import FILE, meaning, problem

STACK = """
services:
  web:
    image: edge/web:1
    depends_on:
      api: {condition: service_healthy}
      debug: {condition: service_started, required: false}
  api: {image: edge/api:1, depends_on: [db, init]}
  db: {image: edge/db:1}
  init:
    image: edge/db:1
    depends_on: {db: {condition: service_healthy}}
  debug: {image: edge/debug:1, profiles: [debug, all], depends_on: [web]}
"""


def names(text: str, *profiles: str) -> list[str]:
    found = meaning(text, profiles=profiles)
    assert found.problems == []
    return [workload.name for workload in found.workloads]


def test_services_start_behind_what_they_wait_for() -> None:
    assert names(STACK) == ["db", "init", "api", "web"]


def test_conditions() -> None:
    waits = {workload.name: workload.depends_on for workload in meaning(STACK).workloads}
    assert waits["web"] == {"api": "healthy"}
    assert waits["api"] == {"db": "started", "init": "started"}


def test_profiles() -> None:
    text = """
        services:
          a: {image: x}
          b: {image: x, profiles: [one]}
          c: {image: x, profiles: [one, two]}
          d: {image: x, profiles: []}
    """
    assert names(text) == ["a", "d"]
    assert names(text, "one") == ["a", "b", "c", "d"]
    assert names(text, "two") == ["a", "c", "d"]
    assert names(text, "*") == ["a", "b", "c", "d"]


def test_waiting_for_what_is_left_out() -> None:
    text = "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, profiles: [one]}\n"
    found = problem(text)
    assert found.code == "compose.undefined"
    assert "profile one" in found.what
    assert "--profile one" in found.hint
    assert names(text, "one") == ["b", "a"]


def test_what_is_left_out_need_not_fit() -> None:
    text = "services:\n  a: {image: x}\n  b: {image: $NO, profiles: [one]}\n"
    assert names(text) == ["a"]


def test_a_way_round_is_told_with_its_names() -> None:
    text = """
        services:
          d: {image: x, depends_on: [a]}
          a: {image: x, depends_on: [b]}
          b: {image: x, depends_on: [c]}
          c: {image: x, depends_on: [a]}
    """
    found = problem(text)
    assert (found.code, found.line) == ("compose.cycle", 4)
    assert "a -> b -> c -> a" in found.what


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"))))
def test_an_order_or_a_way_round(waits: dict[str, list[str]]) -> None:
    order, cycle = start_order(waits)
    for index, name in enumerate(order):
        assert {other for other in waits[name] if other in waits} <= set(order[:index])
    assert (len(order) < len(waits)) == bool(cycle)
    for name, after in itertools.pairwise(cycle):
        assert after in waits[name]
    assert cycle[:1] == cycle[-1:]


def test_problems_name_the_nodes() -> None:
    text = "services:\n  a: {image: 'x:$TAG', user: '${WHO:?say who}', hostname: 5}\n"
    file = parse_compose(text, path=FILE)
    nodes = [
        NodeValues("n1", {"TAG": "1"}),
        NodeValues("n2", {"WHO": "2"}),
        NodeValues("n3", {"WHO": "2", "TAG": "1"}),
    ]
    found = workloads_for_each(file, nodes)
    assert all(node.refused for node in found)
    told = gathered((node.node, node.problems) for node in found)
    assert {(named.code, named.nodes) for named in told} == {
        ("compose.invalid", ("n1", "n2", "n3")),
        ("compose.variable", ("n2",)),
        ("compose.variable", ("n1",)),
    }


def test_nodes_with_the_same_values_are_read_once() -> None:
    file = parse_compose("services:\n  a: {image: 'x:$TAG'}\n", path=FILE)
    nodes = [NodeValues(f"n{n}", {"TAG": str(n % 2), "ROOST_NODE": f"n{n}"}) for n in range(6)]
    found = workloads_for_each(file, nodes)
    assert [node.node for node in found] == [f"n{n}" for n in range(6)]
    assert [node.workloads[0].image for node in found] == ["x:0", "x:1"] * 3
    assert found[0].workloads is found[2].workloads
    assert [workloads_for(file, node) for node in nodes] == found


def test_what_env_files_name_differs_per_node(tmp_path: Path) -> None:
    (tmp_path / "e").write_text("WHERE=$ROOST_NODE\n")
    (tmp_path / "c.yaml").write_text("services:\n  a: {image: x, env_file: e}\n")
    file = read_compose(tmp_path / "c.yaml")
    nodes = [NodeValues(name, {"ROOST_NODE": name}) for name in ("n1", "n2")]
    found = workloads_for_each(file, nodes)
    assert [node.workloads[0].environment for node in found] == [{"WHERE": "n1"}, {"WHERE": "n2"}]


def test_the_project_is_named_after_its_folder() -> None:
    path = Path("/srv/_My Plant-7/compose.yaml")
    found = meaning("services:\n  a: {image: x}\n", path=path)
    assert found.project == "myplant-7"
    assert found.workloads[0].networks[0].name == "myplant-7_default"
    found = meaning("name: own\nservices:\n  a: {image: 'x:$COMPOSE_PROJECT_NAME'}\n", path=path)
    assert (found.project, found.workloads[0].image) == ("own", "x:own")


def test_a_service_has_its_name_in_each_network_once() -> None:
    found = meaning("services:\n  a: {image: x, networks: {default: {aliases: [b, a, b]}}}\n")
    assert found.workloads[0].networks[0].aliases == ["a", "b"]


def test_a_folder_without_a_name() -> None:
    found = problem("services:\n  a: {image: x}\n", path=Path("/compose.yaml"))
    assert found.code == "compose.invalid"
    assert "name:" in found.hint


def test_the_environment_around_roost_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAG", "from-outside")
    found = problem("services:\n  a: {image: 'x:$TAG'}\n")
    assert found.code == "compose.variable"
