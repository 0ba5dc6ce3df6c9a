"""Files that are merged, and services that extend others: as Docker Compose was recorded to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.compose.compose_file import NodeValues, NodeWorkloads, read_compose, workloads_for
from tests.console.compose import recording
from tests.console.compose.merged_files import BASE, FILES, given, over
from tests.console.compose.test_like_compose import see_alike

RECORDED = json.loads(recording.MERGES.read_text(encoding="utf-8"))


def read(files: dict[str, str], folder: Path) -> NodeWorkloads:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    file = read_compose(*(folder / name for name in given(files)))
    return workloads_for(file, NodeValues("cam-7", {}))


def test_the_recording_is_of_these_files() -> None:
    assert list(RECORDED["merges"]) == list(FILES)
    assert RECORDED["version"].startswith("2.")


@pytest.mark.parametrize("about", FILES)
def test_like_compose(about: str, tmp_path: Path) -> None:
    found = read(FILES[about], tmp_path)
    document = RECORDED["merges"][about]
    assert found.refused == (document is None), found.problems
    if document is not None:
        assert found.project == document["name"]
        assert {workload.name for workload in found.workloads} == document["services"].keys()
        for workload in found.workloads:
            see_alike(workload, document)


@pytest.mark.parametrize(
    ("about", "code", "what"),
    [
        (
            "a list for a value",
            "compose.conflict",
            "b.yml, line 3: services.app.image is a list here, and a single value where it was",
        ),
        ("extends round", "compose.cycle", "line 4: services.b.extends goes round: a -> b -> a"),
        ("extends nothing", "compose.undefined", "line 3: services.a.extends names b, which is no"),
        ("extends no file", "compose.unreadable", "no.yml: No such file or directory"),
        ("extends no service there", "compose.undefined", "names b, which is no service in "),
        ("the network of nobody", "compose.undefined", "services.app.network_mode"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(
    about: str, code: str, what: str, tmp_path: Path
) -> None:
    problems = read(FILES[about], tmp_path).problems
    told = [f"{each.place}: {each.what}" for each in problems if each.code == code]
    assert any(what in each for each in told), told


def test_a_mistake_is_told_in_the_file_that_has_it(tmp_path: Path) -> None:
    found = read(over("cap_add: [SYS_TIME]\nrestart: perhaps\n"), tmp_path)
    [problem] = found.problems
    assert (Path(problem.file).name, problem.line) == ("b.yml", 4)
    broken = BASE.replace("image: x:1", "image: x:1\n    colour: red")
    found = read({"a.yml": broken, "b.yml": "services: {}\n"}, tmp_path)
    [problem] = found.problems
    assert (Path(problem.file).name, problem.line) == ("a.yml", 5)
    common = {"common.yml": "services:\n  base:\n    image: x:1\n    restart: perhaps\n"}
    text = "name: n\nservices:\n  app: {extends: {file: common.yml, service: base}}\n"
    found = read({"a.yml": text, **common}, tmp_path)
    [problem] = found.problems
    assert (Path(problem.file).name, problem.line) == ("common.yml", 4)


def test_x_roost_is_merged_too(tmp_path: Path) -> None:
    base = 'x-roost: {gpu: {select: "0"}, probes: [{http: {port: 1}}], soak: 1s}\n'
    files = over("x-roost: {gpu: {memory: 1g}, probes: [{http: {port: 2}}]}\n")
    files["a.yml"] = BASE.replace("image: x:1", f"image: x:1\n    {base}".rstrip())
    app = next(each for each in read(files, tmp_path).workloads if each.name == "app")
    assert app.gpu is not None
    assert (app.gpu.select, app.gpu.memory_bytes, app.soak) == ("0", 2**30, 1.0)
    assert [getattr(probe, "port", None) for probe in app.probes] == [1, 2]


def test_who_shares_a_network_follows_its_owner(tmp_path: Path) -> None:
    found = read(FILES["the network of another"], tmp_path)
    by_name = {each.name: each for each in found.workloads}
    assert (by_name["app"].network_mode, by_name["app"].restarts_with) == ("service:vpn", ["vpn"])
    assert by_name["app"].depends_on == {"vpn": "started"}
    assert (by_name["side"].network_mode, by_name["side"].restarts_with) == ("container:other", [])
    waits = read(FILES["waits"], tmp_path)
    assert next(w for w in waits.workloads if w.name == "app").restarts_with == ["db"]


@pytest.mark.parametrize("key", ["ports: ['80:80']", "hostname: h", "dns: 1.1.1.1"])
def test_who_shares_a_network_has_nothing_of_its_own_in_it(key: str, tmp_path: Path) -> None:
    text = f"name: n\nservices:\n  v: {{image: x}}\n  app:\n    image: x\n    {key}\n"
    found = read({"a.yml": f'{text}    network_mode: "service:v"\n'}, tmp_path)
    assert [problem.code for problem in found.problems] == ["compose.conflict"]


def test_a_chain_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    lists = ", ".join(f'"{number}"' for number in range(200))
    services = [f"  s0: {{image: x, cap_add: [{lists}]}}"]
    services += [
        f"  s{number}: {{extends: s{number - 1}, cap_add: [{lists}]}}" for number in range(1, 60)
    ]
    found = read({"a.yml": "name: n\nservices:\n" + "\n".join(services) + "\n"}, tmp_path)
    assert "compose.too_large" in {problem.code for problem in found.problems}
