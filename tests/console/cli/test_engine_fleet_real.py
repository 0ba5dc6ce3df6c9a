"""`roost engine build` on several nodes, with NVIDIA's TensorRT-RTX."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import onnx_made
from tests.console.cli.commands import ROOST, environment
from tests.console.cli.engine_site import RECIPE, Site, engine_site

pytestmark = pytest.mark.real


@pytest.fixture
def site(short_folder: Path, tmp_path: Path) -> Iterator[Site]:
    with engine_site(short_folder, tmp_path) as made:
        yield made


def test_one_after_the_other_at_a_site(site: Site) -> None:
    done = site.roost("build", site.recipe, "--to", "site=lab", "--at-once", "1", "--json")
    assert (done.code, [each["node"] for each in done.json]) == (0, ["a", "b"])
    assert {each["result"] for each in done.json} == {"built"}
    # RTX engines are for the same GPUs, so the keys are the same.
    assert len({each["key"] for each in done.json}) == 1
    (one,), (other,) = (agent.get("/v1/jobs") for agent in site.agents.values())
    first, second = sorted((one, other), key=lambda job: float(job["created_at"]))
    assert first["ended_at"] <= second["created_at"]
    again = site.roost("build", site.recipe, "--to", "site=lab", "--json")
    assert {each["result"] for each in again.json} == {"was there"}
    assert {each["run"] for each in again.json}.isdisjoint({each["run"] for each in done.json})


def test_one_that_fails_stops_no_other(site: Site) -> None:
    site.agents["a"].stop()
    done = site.roost("build", site.recipe, "--to", "site=lab")
    assert done.code == 1
    rows = [line.split()[:3] for line in done.out.splitlines()[1:]]
    assert rows == [["a", "detector", "failed"], ["b", "detector", "built"]]
    run = re.search(r"^run ([0-9a-f]{12}): --resume \1 ", done.err, re.MULTILINE)
    assert run is not None
    assert f"To try again what failed: the same command with --resume {run[1]}\n" in done.err
    assert "error: a: " in done.err
    assert "hint: " in done.err


def test_a_console_that_goes_away_stops_nothing(site: Site) -> None:
    site.model(blocks=350, channels=48)  # some seconds of building
    command: list[str | Path] = [
        "engine",
        "build",
        site.recipe,
        "--to",
        "site=lab",
        "--at-once",
        "1",
    ]
    looking_on = subprocess.Popen(
        [ROOST, "--fleet", site.fleet, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(site.home),
    )
    assert looking_on.stderr is not None
    try:
        while "detector: building" not in looking_on.stderr.readline():
            assert looking_on.poll() is None
        (begun,) = _running(site)
        looking_on.send_signal(signal.SIGINT)
        _, told = looking_on.communicate()
    finally:
        looking_on.kill()
        looking_on.wait()
    assert looking_on.returncode == 130
    assert "1 build goes on without this console, 1 was not begun." in told
    run = re.search(r"--resume ([0-9a-f]{12})", told)
    assert run is not None
    gone_on = site.roost(*command[1:], "--resume", run[1], "--json")
    assert gone_on.code == 0
    assert {each["result"] for each in gone_on.json} == {"built"}
    assert {each["run"] for each in gone_on.json} == {run[1]}
    assert begun in {each["job"] for each in gone_on.json}
    assert [len(agent.get("/v1/jobs")) for agent in site.agents.values()] == [1, 1]


def test_only_stale_engines_are_built_anew(site: Site) -> None:
    """Each node has a model of its own, and one of them changes."""
    for name, agent in site.agents.items():
        onnx = site.home / f"{name}.onnx"
        onnx.write_bytes(onnx_made.detector(blocks=1))
        site.recipe.write_text(RECIPE.format(onnx=onnx))
        assert site.roost("build", site.recipe, "--to", f"@{name}").code == 0
        assert len(agent.get("/v1/jobs")) == 1
    (site.home / "a.onnx").write_bytes(onnx_made.detector(blocks=2))
    done = site.roost("build", "--stale", "--to", "site=lab", "--json")
    assert (done.code, [(each["node"], each["result"]) for each in done.json]) == (
        0,
        [("a", "built")],
    ), done.err
    assert [len(agent.get("/v1/jobs")) for agent in site.agents.values()] == [2, 1]
    (engine,) = site.agents["b"].get("/v1/engines")
    assert engine["stale"] == []
    assert site.roost("build", "--stale", "--to", "site=lab", "--json").json == []


def _running(site: Site) -> list[str]:
    jobs = [job for agent in site.agents.values() for job in agent.get("/v1/jobs")]
    return [job["id"] for job in jobs if job["state"] == "running"]


def test_what_failed_is_tried_again_when_a_run_is_resumed(site: Site) -> None:
    (site.home / "detector.onnx").write_bytes(onnx_made.unsupported())
    failed = site.roost("build", site.recipe, "--to", "@a", "--json")
    assert (failed.code, failed.json[0]["result"]) == (1, "failed")
    assert failed.json[0]["problem"]["code"].startswith("engine.")
    site.model()
    run = failed.json[0]["run"]
    done = site.roost("build", site.recipe, "--to", "@a", "--resume", run, "--json")
    assert (done.code, done.json[0]["result"]) == (0, "built")
    same = site.roost("build", site.recipe, "--to", "@a", "--resume", run, "--json")
    assert same.json[0]["job"] == done.json[0]["job"]


def test_what_cannot_be_meant(site: Site) -> None:
    run = site.roost("build", site.recipe, "--to", "@a", "--resume", "yesterday")
    assert (run.code, "that is no run" in run.err, "hint: " in run.err) == (2, True, True)
    site.recipe.write_text(site.recipe.read_text().replace("min: [1", "min: [9"))
    upside_down = site.roost("build", site.recipe, "--to", "@a")
    assert upside_down.code == 1
    assert "min 9, opt 4, max 8 do not ascend" in upside_down.err
