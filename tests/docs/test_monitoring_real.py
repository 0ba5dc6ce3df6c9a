"""docs/monitoring: rules that promtool takes, and expressions that a real Prometheus answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from click.testing import CliRunner

from agent.cli.token import command as token
from agent.protocol.findings import SEVERITIES
from console.fleet.inventory import Expected, NodeEntry
from console.rollouts.journal import Journal
from console.rollouts.record import Stage, State
from tests.agent_process import AgentProcess, free_port
from tests.console.cli.commands import roost, write_fleet
from tests.console.tui.fake_desk import make_rollout
from tests.nvml_stub import scenario
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.prometheus import NodeExporter, Prometheus

pytestmark = [pytest.mark.real("prometheus"), pytest.mark.timeout(120)]

FOLDER = Path(__file__).parent.parent.parent / "docs" / "monitoring"
DASHBOARDS = sorted(FOLDER.glob("*.json"))
WAIT_SECONDS = 30
# Names in PromQL that are no metric's.
WORDS = {"sum", "count", "min", "max", "avg", "by", "rate", "increase", "time", "vector", "or"}
# Grafana's own names of units, as in grafana-foundation-sdk 10.1's `models.units`.
UNITS = {"bytes", "celsius", "hertz", "percent", "percentunit", "s", "watt"}
NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")


def targets(file: Path) -> list[str]:
    board = json.loads(file.read_text())
    return [each["expr"] for panel in board["panels"] for each in panel["targets"]]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metrics_in(expression: str) -> set[str]:
    """The metrics of an expression, without what is in strings, matchers, ranges and `by (...)`."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\bby\s*\([^)]*\)", " ", bare)
    return set(NAME.findall(bare)) - WORDS


def labels_in(expression: str) -> set[tuple[str, str]]:
    """The labels that it picks or groups by, each with its metric."""
    picked = {
        (metric, label)
        for metric, matchers in re.findall(r"([A-Za-z_:][\w:]*)\{([^}]*)\}", expression)
        for label in re.findall(
            r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"(?:[^"\\]|\\.)*"', "", matchers)
        )
    }
    grouped = {
        (metric, label.strip())
        for names, inner in re.findall(r"\bby\s*\(([^)]*)\)\s*(\(.*)", expression)
        for label in names.split(",")
        for metric in metrics_in(inner)
    }
    return picked | grouped


def filled(expression: str, node: str) -> str:
    """As Grafana sends it, with the variables of the board chosen."""
    return (
        expression.replace("$__rate_interval", "1m")
        .replace("$node", node)
        .replace("$rollout", ".*")
    )


def promtool(*words: str) -> str:
    done = subprocess.run(
        ["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", "alerts.yml")


def test_every_rule_fires_in_its_test_and_not_before() -> None:
    promtool("test", "rules", "alerts_test.yml")
    tests = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    fires = {case["alertname"] for case in cases if case.get("exp_alerts")}
    assert fires == {rule["alert"] for rule in rules()}


def test_the_example_of_a_configuration_is_one() -> None:
    (block,) = re.findall(
        r"```yaml\n# prometheus.yml\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL
    )
    example = FOLDER / ".checked.yml"
    example.write_text(block)
    try:
        promtool("check", "config", "--syntax-only", example.name)
    finally:
        example.unlink()
    jobs = {each["job_name"] for each in yaml.safe_load(block)["scrape_configs"]}
    assert jobs == {"roost", "roost-console"}


@pytest.fixture(scope="module")
def agent(docker_engine: DockerEngine, make_short_folder: Any) -> Iterator[AgentProcess]:
    """A real agent over a real Docker and two stub H200s, with a container and an XID."""
    settings = {
        "name": "edge-1",
        "runtime": docker_engine.url,
        "https": {"address": f"127.0.0.1:{free_port()}"},
    }
    docker_engine.docker("run", "--detach", "--init", "--name", "web", IMAGE, "sleep", "1000")
    with AgentProcess(make_short_folder(), settings, gpus=2) as process:
        scene = scenario.h200(process.folder / "stub" / "scenario", 2)
        scene.xid(0, 43)
        scene.save()
        yield process
    docker_engine.clear()


@pytest.fixture(scope="module")
def prometheus(agent: AgentProcess, make_short_folder: Any) -> Iterator[Prometheus]:
    """As README.md says: it scrapes the agent with a viewer's token, and what the console wrote."""
    folder: Path = make_short_folder()
    text = CliRunner().invoke(
        token, ["make", "prometheus", "--role", "viewer", "--config", str(agent.config)]
    )
    (folder / "token").write_text(text.output.strip())
    (folder / "textfiles").mkdir()
    _write_console_metrics(folder, agent)
    https = yaml.safe_load(agent.config.read_text())["https"]["address"]
    with NodeExporter(folder, folder / "textfiles") as exporter:
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(FOLDER / "alerts.yml")],
            "scrape_configs": [
                {
                    "job_name": "roost",
                    "scheme": "https",
                    "authorization": {"credentials_file": str(folder / "token")},
                    "tls_config": {
                        "ca_file": str(agent.folder / "state" / "tls.crt"),
                        "server_name": "edge-1",
                    },
                    "static_configs": [{"targets": [https]}],
                },
                {
                    "job_name": "roost-console",
                    "static_configs": [{"targets": [exporter.address]}],
                },
            ],
        }
        with Prometheus(folder, config) as server:
            yield server


def _write_console_metrics(folder: Path, agent: AgentProcess) -> None:
    """A fleet with an expectation that is off, and a rollout that waits."""
    entry = NodeEntry(name="edge-1", address=f"unix://{agent.sockets['operator']}")
    fleet = write_fleet(folder / "fleet.yaml", [entry])
    fleet.write_text(fleet.read_text() + 'expect: {"": {driver: ">=999"}}\n')
    (folder / "journal").mkdir()
    Journal(folder / "journal").plan(make_rollout(state="paused", ago=0.0), {})
    env = {"ROOST_STATE": str(folder / "journal")}
    output = folder / "textfiles" / "roost.prom"
    done = roost(folder, "--fleet", fleet, "metrics", "-o", output, env=env)
    assert done.code == 0, done.err


def wait_for(prometheus: Prometheus, expression: str) -> list[dict[str, Any]]:
    """Until it is answered with data; what it is, or nothing in the end."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := prometheus.query(expression)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def exported(prometheus: Prometheus) -> set[str]:
    """Names of all that was scraped, once both jobs were, and the XID is in."""
    for expression in (
        'up{job="roost-console"} == 1',
        "DCGM_FI_DEV_XID_ERRORS",
        "roost_container_cpu_percent",
        'roost_findings{code="gpu.xid.43"}',
        "count_over_time(up{job='roost'}[1m]) > 2",  # a rate needs two
    ):
        assert wait_for(prometheus, expression), f"{expression}: {prometheus.ask('targets')}"
    return set(prometheus.ask("label/__name__/values"))


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_expression_of_a_dashboard_has_data(
    prometheus: Prometheus, exported: set[str], file: Path
) -> None:
    (node,) = {each["metric"]["instance"] for each in prometheus.query("roost_agent_info")}
    silent = {}
    for expression in targets(file):
        assert metrics_in(expression) <= exported, expression
        if not prometheus.query(filled(expression, re.escape(node).replace("\\", "\\\\"))):
            silent[expression] = prometheus.query(next(iter(metrics_in(expression))))
    assert silent == {}


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_every_legend_has_its_labels(
    prometheus: Prometheus, exported: set[str], file: Path
) -> None:
    (node,) = {each["metric"]["instance"] for each in prometheus.query("roost_agent_info")}
    board = json.loads(file.read_text())
    for target in (each for panel in board["panels"] for each in panel["targets"]):
        wanted = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
        expression = filled(target["expr"], re.escape(node).replace("\\", "\\\\"))
        series = [each["metric"] for each in prometheus.query(expression)]
        # `or vector(0)` is a series without any, for when there is nothing.
        for labels in [each for each in series if each] or ([] if " or " in expression else series):
            assert wanted <= labels.keys(), (target["expr"], labels)


def test_labels_that_are_picked_and_grouped_by_exist(
    prometheus: Prometheus, exported: set[str]
) -> None:
    asked = [expression for file in DASHBOARDS for expression in targets(file)]
    asked += [rule["expr"] for rule in rules()]
    wanted = {pair for expression in asked for pair in labels_in(expression)}
    assert ("roost_findings", "severity") in wanted
    assert ("roost_rollout_nodes", "stage") in wanted
    has = {metric: set(prometheus.ask("labels", **{"match[]": metric})) for metric, _ in wanted}
    assert {(metric, label) for metric, label in wanted if label not in has[metric]} == set()


def test_values_that_are_picked_are_those_that_can_be() -> None:
    can_be = {
        "severity": set(SEVERITIES),
        "stage": set(get_args(Stage)),
        "state": set(get_args(State)),
        "fact": set(Expected.__struct_fields__),
        "job": {"roost"},
    }
    asked = [expression for file in DASHBOARDS for expression in targets(file)]
    asked += [rule["expr"] for rule in rules()]
    seen = set()
    for expression in asked:
        for label, values in re.findall(r'(\w+)(?:=~|!=|=)"([^"]*)"', expression):
            if label not in {"code", "instance", "rollout"}:
                assert set(values.split("|")) <= can_be[label], expression
                seen.add(label)
    assert seen == can_be.keys()


def test_every_rule_says_what_its_series_have(prometheus: Prometheus, exported: set[str]) -> None:
    for rule in rules():
        text = json.dumps([rule["annotations"], rule["labels"]])
        wanted = set(re.findall(r"\$labels\.(\w+)", text))
        by = re.match(r"sum by \(([^)]*)\)", rule["expr"])
        if by:
            has = {name.strip() for name in by[1].split(",")}
        else:
            metric = min(metrics_in(rule["expr"]))
            has = set(prometheus.ask("labels", **{"match[]": metric}))
        assert wanted <= has, rule["alert"]


def test_every_rule_looks_at_what_is_exported(exported: set[str]) -> None:
    for rule in rules():
        assert metrics_in(rule["expr"]) <= exported, rule["alert"]


def test_the_real_prometheus_evaluates_the_rules(
    prometheus: Prometheus, exported: set[str]
) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        groups = prometheus.ask("rules")["groups"]
        health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        states = {rule["name"]: rule["state"] for group in groups for rule in group["rules"]}
        if set(health.values()) == {"ok"} and states["RoostXid"] == "firing":
            break
        time.sleep(0.2)
    assert set(health.values()) == {"ok"}
    # It fires at once; drift and the rollout wait for their time to pass.
    assert states["RoostXid"] == "firing"
    assert states["RoostDriverDrift"] == states["RoostRolloutPaused"] == "pending"


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_is_laid_out(file: Path) -> None:
    """No Grafana is here: what can be told without one."""
    board = json.loads(file.read_text())
    assert board["uid"] == f"roost-{file.stem}"
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not mine & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        assert panel["datasource"]["uid"] == "${datasource}"
        cells |= mine


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_says_how_to_show_its_figures(file: Path) -> None:
    """Without its own, a panel has Grafana's thresholds: green, and red from 80 on."""
    for panel in json.loads(file.read_text())["panels"]:
        shown = panel["fieldConfig"]["defaults"]
        assert shown.get("unit", "s") in UNITS, panel["title"]
        if panel["type"] == "stat":
            assert shown["thresholds"]["steps"], panel["title"]
        if panel["type"] == "table":
            options = panel["transformations"][0]["options"]
            # Grafana would call it so: a one that says nothing, or a figure without a name.
            assert "Value" in options["excludeByName"] | options.get("renameByName", {})


def test_nothing_of_this_machine_is_in_the_files() -> None:
    for file in FOLDER.iterdir():
        assert os.uname().nodename not in file.read_text()
