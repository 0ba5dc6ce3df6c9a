"""`roost workload check`: what a Compose file means on each node, without asking one."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.cli.workload_options import NAMED
from tests.console.cli.commands import Done, roost

pytestmark = pytest.mark.timeout(60)

DATA = Path(__file__).parents[2] / "data" / "compose"
FLEET = """\
vars:
  site=plant-7: {NAS: 10.7.0.2, CAMERAS: "gate"}
nodes:
- name: cam-7
  address: ssh://nowhere.invalid
  labels: {site: plant-7}
  vars: {CAMERA_HOST: 10.7.0.21}
- name: cam-8
  address: ssh://nowhere.invalid
  labels: {site: plant-7}
  vars: {CAMERA_HOST: 10.7.0.22, CAMERAS: "yard,door"}
- name: lab
  address: ssh://nowhere.invalid
  labels: {site: lab}
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    file = tmp_path / "fleet.yaml"
    file.write_text(FLEET)
    return file


def check(
    fleet: Path, file: Path, *arguments: str | Path, env: dict[str, str] | None = None
) -> Done:
    home = fleet.parent
    return roost(home, "--fleet", fleet, "workload", "check", file, *arguments, env=env)


def test_values_differ_from_node_to_node(fleet: Path) -> None:
    done = check(fleet, DATA / "nvr.yaml", "--to", "site=plant-7", "--json")
    assert (done.code, done.err) == (0, "")
    environments = {
        node["node"]: next(
            workload["environment"]
            for workload in node["workloads"]
            if workload["name"] == "recorder"
        )
        for node in done.json
    }
    assert [(env["NODE"], env["SITE"], env["CAMERAS"]) for env in environments.values()] == [
        ("cam-7", "plant-7", "gate"),
        ("cam-8", "plant-7", "yard,door"),
    ]
    assert "10.7.0.22" in environments["cam-8"]["RTSP_URL"]


def test_a_table_for_people(fleet: Path) -> None:
    done = check(fleet, DATA / "web.yaml", "--to", "@lab", "--profile", "debug")
    assert (done.code, done.err) == (0, "")
    head, *rows = (line.split() for line in done.out.splitlines())
    assert head == ["NODE", "WORKLOAD", "IMAGE", "PORTS", "WAITS", "FOR"]
    assert [row[1] for row in rows] == ["db", "migrate", "cache", "app", "proxy", "debug"]
    assert rows[4][3:] == ["80:80,", "443:443", "app"]


def test_gpus_in_the_table(fleet: Path) -> None:
    done = check(fleet, DATA / "inference.yaml", "--to", "@lab", "--set", "MODEL=m")
    assert "0,1 alone" in done.out
    done = check(
        fleet, DATA / "anchors.yaml", "--to", "@lab", "--set", "TAG=1", "--set", "CAMERA_1=c"
    )
    assert "name=A10 1.5 GiB" in done.out


def test_an_unset_variable_lists_the_nodes(fleet: Path) -> None:
    done = check(fleet, DATA / "nvr.yaml", "--to", "site")
    assert done.code == 1
    assert "lab" in done.out
    assert "refused" in done.out
    errors = [line for line in done.err.splitlines() if line.startswith("error")]
    assert len(errors) == 3
    assert all(line.startswith("error: lab: ") for line in errors)
    assert any(
        line.endswith("line 38: the variable CAMERAS is not set: name the cameras of this node")
        for line in errors
    )


def test_a_mistake_in_the_file_is_said_once_and_for_all(fleet: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("name: p\nservices:\n  a: {image: x, prts: [80], container_name: me}\n")
    done = check(fleet, file, "--to", "site")
    assert done.code == 1
    assert done.err.splitlines() == [
        f"error: {file}, line 3: unknown key 'prts' in services.a",
        "hint: Did you mean 'ports'?",
        f"warning: {file}, line 3: services.a.container_name has no effect here",
        "hint: Roost names containers: say `roost container ls` to see how.",
    ]
    document = check(fleet, file, "--to", "site", "--json")
    assert document.code == 1
    assert [node["workloads"] for node in document.json] == [[], [], []]
    assert document.json[0]["problems"][0]["code"] == "compose.unknown_key"


def test_a_warning_keeps_nobody_from_going_on(fleet: Path) -> None:
    done = check(
        fleet, DATA / "llm.yaml", "--to", "@lab", "--set", "MODEL_DIR=m", "--set", "GPUS=2"
    )
    assert done.code == 0
    assert done.err.startswith("warning: ")


def test_which_value_goes_before_which(fleet: Path, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "name: p\nservices:\n  a: {image: x, environment: {A: $CAMERAS, B: '$B', C: '$C'}}\n"
    )
    env_file = tmp_path / "common.env"
    env_file.write_text("CAMERAS=of-file\nB=of-file\nC=of-file-$B\n")
    arguments = ("--to", "@cam-8,@lab", "--env-file", env_file, "--json")
    env = {"B": "around", "CAMERAS": "around"}

    def values(*more: str) -> list[dict[str, str]]:
        done = check(fleet, file, *arguments, *more, env=env)
        assert (done.code, done.err) == (0, "")
        return [node["workloads"][0]["environment"] for node in done.json]

    assert values() == [
        {"A": "yard,door", "B": "of-file", "C": "of-file-of-file"},
        {"A": "of-file", "B": "of-file", "C": "of-file-of-file"},
    ]
    assert (
        values("--set", "B=set", "--set", "CAMERAS=set")
        == [{"A": "set", "B": "set", "C": "of-file-set"}] * 2
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--set", "PORT"], 2, "--set PORT: that is not NAME=VALUE"),
        (["--set", "A-B=c"], 2, "that is not NAME=VALUE"),
        (["--set", "ROOST_NODE=x"], 2, "one of Roost's own"),
        (["--env-file", "none.env"], 1, "none.env: there is no such file"),
        (["--to", "@nobody"], 2, "there is no node 'nobody'"),
    ],
)
def test_what_does_not_fit(fleet: Path, arguments: list[str], code: int, says: str) -> None:
    done = check(fleet, DATA / "web.yaml", "--to", "@lab", *arguments)
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert "hint: " in done.err
    assert "Traceback" not in done.err


def test_a_file_that_is_none(fleet: Path, tmp_path: Path) -> None:
    for name, content, says in (
        ("none.yaml", None, "No such file"),
        ("bad.yaml", "a: [", "line 2"),
        ("bomb.yaml", "a: &a [*a]", "stands inside"),
    ):
        if content is not None:
            (tmp_path / name).write_text(content)
        done = check(fleet, tmp_path / name, "--to", "site")
        assert (done.code, done.out) == (1, "")
        assert says in done.err


def test_many_nodes_are_counted(tmp_path: Path) -> None:
    nodes = [f"- {{name: n{n:03}, address: 'ssh://x'}}" for n in range(NAMED + 6)]
    nodes[0] = nodes[0].replace("}", ", vars: {TAG: '1'}}")
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("nodes:\n" + "\n".join(nodes))
    file = tmp_path / "c.yaml"
    file.write_text("services:\n  a: {image: 'x:$TAG'}\n")
    done = check(fleet, file, "--to", "")
    assert done.code == 1
    assert "n001, n002" in done.err
    assert "n020 and 5 more nodes: " in done.err
