"""`roost workload`, `container pin` and `secret` to a real agent over a real Docker Engine."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from console.fleet.inventory import NodeEntry
from tests import onnx_made
from tests.agent.engines.engine_side import stand_in
from tests.agent.workloads.workload_side import SERVES, SMI
from tests.agent_process import AgentProcess
from tests.console.cli.commands import ROOST, Done, environment, roost, write_fleet
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

VALUE, OTHER = "correct horse battery staple", "another value altogether"


@pytest.fixture(scope="module")
def engine(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[DockerEngine]:
    """A Docker Engine with a runtime named nvidia, which is runc."""
    runc = shutil.which("runc")
    with ExitStack() as stack:
        enclosure = Enclosure(make_short_folder(), network=True)
        stack.callback(enclosure.close)
        engine = DockerEngine(enclosure, {"runtimes": {"nvidia": {"path": runc}}})
        engine.start()
        engine.load_busybox()
        yield engine


class Side:
    """A real agent with two stub GPUs over that engine, and a person's home."""

    def __init__(self, engine: DockerEngine, agent: AgentProcess, home: Path) -> None:
        self.engine, self.agent, self.home = engine, agent, home
        entry = NodeEntry(name="dock", address=f"unix://{agent.sockets['operator']}")
        self.fleet = write_fleet(home / "fleet.yaml", [entry])
        self.gpus: list[str] = [gpu["uuid"] for gpu in agent.get("/v1/gpus")["gpus"]]
        self.smi = agent.folder / "nvidia-smi"
        self.smi.write_text(SMI)
        self.smi.chmod(0o755)

    def roost(self, *arguments: str | Path, given: str = "") -> Done:
        return roost(self.home, "--fleet", self.fleet, *arguments, given=given)

    def compose(self, **services: dict[str, Any]) -> Path:
        """A Compose file, in JSON: that is YAML, too."""
        for service in services.values():
            service.setdefault("image", IMAGE)
            service.setdefault("command", SERVES)
            service.setdefault("x-roost", {}).setdefault("soak", "0s")
        file = self.home / "compose.yaml"
        names = sorted({each for one in services.values() for each in one.get("secrets", [])})
        secrets = {name: {"external": True} for name in names}
        tops = {"name": "app", "volumes": {"data": {}}, "secrets": secrets}
        file.write_text(json.dumps({**tops, "services": services}))
        return file

    def inspect(self, name: str) -> Any:
        return json.loads(self.engine.docker("inspect", "--type=container", name))[0]

    def visible(self, name: str) -> list[str]:
        wanted = "NVIDIA_VISIBLE_DEVICES="
        return [
            each.removeprefix(wanted)
            for each in self.inspect(name)["Config"]["Env"]
            if each.startswith(wanted)
        ]


@pytest.fixture
def side(engine: DockerEngine, short_folder: Path, tmp_path: Path) -> Iterator[Side]:
    settings = {
        "runtime": engine.url,
        "secrets": str(short_folder / "secrets"),
        "engines": {"python": str(stand_in(short_folder))},
    }
    with AgentProcess(short_folder, settings, gpus=2) as agent:
        yield Side(engine, agent, tmp_path)
    engine.clear()


def test_a_pin_its_plan_and_its_undo(side: Side) -> None:
    side.engine.docker(
        "run", "--detach", "--name=web", "--env=MODEL=a", f"--volume={side.smi}:/bin/nvidia-smi:ro",
        IMAGE, *SERVES,
    )  # fmt: skip
    before = side.inspect("web")
    checked = side.roost("container", "pin", "dock", "web", "--gpu", "1", "--check")
    assert (checked.code, checked.out) == (0, "")
    assert "stop" in checked.err
    assert side.inspect("web")["Id"] == before["Id"]
    assert side.agent.get("/v1/jobs") == []

    done = side.roost("container", "pin", "dock", "web", "--gpu", "1")
    assert done.code == 0, done
    assert done.out.startswith(f"dock  web  {side.gpus[1]}, nvidia-smi inside it lists")
    after = side.inspect("web")
    assert after["Id"] != before["Id"]
    assert "MODEL=a" in after["Config"]["Env"]
    assert side.visible("web") == [side.gpus[1]]

    [listed] = side.roost("workload", "ls", "--json").json
    assert (listed["workload"]["name"], listed["workload"]["can_undo"]) == ("web", True)
    shown = side.roost("workload", "show", "dock", "web")
    assert f"container {before['Id'][:12]}, which is kept, runs again as it was" in shown.out

    undone = side.roost("workload", "undo", "dock", "web")
    assert (undone.code, undone.out) == (0, "dock  web  taken back\n")
    assert side.inspect("web")["Id"] == before["Id"]
    assert side.inspect("web")["State"]["Running"]
    missing = side.roost("container", "pin", "dock", "web", "--gpu", "7")
    assert (missing.code, missing.out) == (1, "")
    assert side.inspect("web")["Id"] == before["Id"]


def test_a_service_and_its_engine(side: Side) -> None:
    (side.home / "m.onnx").write_bytes(onnx_made.detector(blocks=1))
    engine = {"onnx": str(side.home / "m.onnx"), "executor": "host"}
    gpu = {"select": "least-memory"}
    volumes = [f"{side.smi}:/bin/nvidia-smi:ro"]
    file = side.compose(detector={"volumes": volumes, "x-roost": {"engine": engine, "gpu": gpu}})
    checked = side.roost("workload", "apply", file, "--to", "@dock", "--check")
    assert checked.code == 1
    assert "CANNOT: detector: this node has no engine of detector" in checked.out
    assert "roost engine build" in checked.out
    [built] = side.roost("engine", "build", file, "--to", "@dock", "--json").json
    assert (built["result"], built["current"]) == ("built", "yes")
    checked = side.roost("workload", "apply", file, "--to", "@dock", "--check")
    words = f"engine: {built['key'][:12]} of detector, TensorRT 10.13.2.6"
    assert (checked.code, words in checked.out) == (0, True), checked
    done = side.roost("workload", "apply", file, "--to", "@dock")
    assert done.code == 0, done
    inside = side.engine.docker("exec", "detector", "sh", "-c", "ls $(dirname $ROOST_ENGINE)")
    assert inside.split() == ["build.log", "manifest.json", "model.plan"]
    assert f"engine      {built['key']}" in side.roost("workload", "show", "dock", "detector").out
    shown = side.roost("engine", "show", "dock", "detector").out
    assert "had by:         detector" in shown
    removed = side.roost("engine", "rm", "dock", "detector", built["key"][:12], "--force")
    assert (removed.code, "is that of detector" in removed.err) == (1, True)


def test_applied_kept_changed_and_failed(side: Side) -> None:
    volumes = [f"{side.smi}:/bin/nvidia-smi:ro", "data:/data"]
    gpu = {"gpu": {"select": "least-memory"}}
    one = side.compose(web={"volumes": volumes, "x-roost": gpu}, side={"depends_on": ["web"]})
    first = side.roost("workload", "apply", one, "--to", "@dock")
    assert first.code == 0, first
    rows = [line.split()[:3] for line in first.out.splitlines()[1:]]
    assert rows == [["dock", "done", "web"], ["dock", "done", "side"]]
    assert "nvidia-smi inside it lists" in first.out
    web = side.inspect("web")["Id"]
    again = side.roost("workload", "apply", one, "--to", "@dock", "--json")
    assert [record["result"] for record in again.json] == ["unchanged"]
    assert len(side.agent.get("/v1/jobs")) == 1

    bad = side.compose(
        web={"volumes": volumes, "x-roost": gpu, "command": ["sh", "-c", "echo oh no; exit 4"]}
    )
    failed = side.roost("workload", "apply", bad, "--to", "@dock", "--json")
    assert failed.code == 1
    [record] = failed.json
    assert (record["result"], record["problem"]["code"]) == ("failed", "deploy.unwell")
    assert "What ran before runs again as it was" in failed.err
    assert side.inspect("web")["Id"] == web
    assert side.inspect("web")["State"]["Running"]

    refused = side.compose(web={"image": "not-there:1"})
    checked = side.roost("workload", "apply", refused, "--to", "@dock", "--check")
    assert checked.code == 1
    assert "CANNOT" in checked.out
    told = side.roost("workload", "apply", refused, "--to", "@dock")
    assert (told.code, told.out.splitlines()[1].split()) == (1, ["dock", "refused"])
    assert "error: dock: web: image not-there:1 is not on this node" in told.err

    removed = side.roost("workload", "rm", "dock", "web")
    assert removed.out == "dock  web  removed\n"
    assert "app_data" in side.engine.docker("volume", "ls", "--quiet")
    side.engine.docker("volume", "rm", "app_data")


def test_a_secret_goes_into_its_container_and_nowhere_else(side: Side) -> None:
    reads = ["sh", "-c", "cat /run/secrets/camera > /dev/null || exit 3; " + SERVES[2]]
    file = side.compose(web={"user": "1000:1000", "secrets": ["camera"], "command": reads})
    early = side.roost("workload", "apply", file, "--to", "@dock")
    assert early.code == 1
    assert "roost secret set dock camera" in early.err or "secret set NODE camera" in early.err
    answers = [early, side.roost("secret", "set", "dock", "camera", given=VALUE)]
    assert answers[-1].err == "dock: camera is set\n"
    answers.append(side.roost("workload", "apply", file, "--to", "@dock", "--json"))
    assert answers[-1].code == 0, answers[-1]
    look = ("exec", "web", "cat", "/run/secrets/camera")
    assert side.engine.docker(*look) == VALUE

    answers.append(side.roost("secret", "set", "dock", "camera", given=OTHER))
    assert "roost workload restart dock web" in answers[-1].err
    assert side.engine.docker(*look) == VALUE
    answers.append(side.roost("workload", "restart", "dock", "web"))
    assert answers[-1].out == "dock  web  restarted\n"
    assert side.engine.docker(*look) == OTHER

    answers.append(side.roost("secret", "rm", "dock", "camera"))
    assert "web would not start without camera" in answers[-1].err
    answers.append(side.roost("secret", "ls", "dock"))
    assert answers[-1].out.splitlines()[1].split()[::3] == ["camera", "web"]
    answers += [
        side.roost("workload", "show", "dock", "web", "--json"),
        side.roost("workload", "rm", "dock", "web"),
        side.roost("secret", "rm", "dock", "camera"),
    ]
    assert [done.code for done in answers] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert list((side.agent.folder / "secrets").iterdir()) == []
    for path in ("/v1/audit", "/v1/jobs", "/v1/node", "/v1/workloads"):
        answers.append(Done(0, json.dumps(side.agent.get(path)), ""))
    side.agent.stop()
    written = [
        path.read_bytes()
        for folder in (side.agent.folder, side.home)
        for path in folder.rglob("*")
        if path.is_file()
    ]
    assert written
    for value in (VALUE, OTHER):
        assert not any(value.encode() in data for data in written)
        assert not any(value in done.out + done.err for done in answers)


async def test_ctrl_c_ends_the_looking_on_and_not_the_work(side: Side) -> None:
    file = side.compose(web={"x-roost": {"soak": "60s"}})
    command = (f"--fleet={side.fleet}", "workload", "apply", str(file), "--to=@dock")
    running = await asyncio.create_subprocess_exec(
        ROOST,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(side.home),
    )
    assert running.stderr is not None
    said = b""
    while b"it runs, and is watched" not in said:
        line = await running.stderr.readline()
        assert line, said
        said += line
    running.send_signal(signal.SIGINT)
    out, err = await running.communicate()
    [job] = await asyncio.to_thread(side.agent.get, "/v1/jobs")
    assert (running.returncode, out, job["state"]) == (130, b"", "running")
    assert b"The work goes on without this console" in err
    assert f"roost job show {job['id']}".encode() in err

    shown = await asyncio.to_thread(side.roost, "workload", "show", "dock", "web")
    assert "removes it, for nothing ran before" in shown.out
    undone = await asyncio.to_thread(side.roost, "workload", "undo", "dock", "web")
    assert undone.code == 0, undone
    listed = await asyncio.to_thread(side.roost, "workload", "ls", "--json")
    assert listed.json == []
    assert side.engine.docker("ps", "--all", "--quiet") == ""


def test_a_deployment_that_waits_for_a_word(side: Side) -> None:
    options = ("--to", "@dock", "--confirm", "manual", "--confirm-within", "1h")
    file = side.compose(web={})
    waits = side.roost("workload", "apply", file, *options)
    assert waits.code == 0, waits
    assert waits.out.splitlines()[1].split() == ["dock", "unconfirmed", "web", "runs"]
    assert "unless you say: roost workload confirm dock web" in waits.err
    shown = side.roost("workload", "show", "dock", "web")
    assert "unless somebody confirms it" in shown.out
    beside = side.roost("workload", "restart", "dock", "web")
    assert beside.code == 1
    assert "is canary" in beside.err
    for _ in range(2):
        confirmed = side.roost("workload", "confirm", "dock", "web")
        assert (confirmed.code, confirmed.out) == (0, "dock  web  done: it stays\n")
    nothing = side.roost("workload", "resolve", "dock", "web", "--retry")
    assert (nothing.code, "nothing about web is stuck" in nothing.err) == (1, True)


def run_cam(side: Side) -> Path:
    """A container on the first GPU that ends at once as long as the file is there; the file."""
    there = side.home / "there"
    there.mkdir()
    ends = there / "ends"
    side.engine.docker(
        "run", "--detach", "--name=cam", "--restart=always", "--env=NVIDIA_VISIBLE_DEVICES=0",
        f"--volume={side.smi}:/bin/nvidia-smi:ro", f"--volume={there}:/there",
        IMAGE, "sh", "-c", f"[ -e /there/ends ] && exit 3; {SERVES[2]}",
    )  # fmt: skip
    return ends


def state_of(side: Side, name: str) -> str | None:
    """Of the newest deployment of a workload; None: there is no such workload."""
    listed = side.roost("workload", "ls", "--json").json
    found = [each["workload"] for each in listed if each["workload"]["name"] == name]
    return str(found[0]["deployment_state"]) if found else None


@pytest.mark.parametrize("way", ["keep-old", "keep-new", "retry"])
def test_the_ways_out_of_a_deployment_that_is_stuck(side: Side, way: str) -> None:
    """Neither the new container nor the old one stays up, until somebody mends what both need."""
    ends = run_cam(side)
    old = side.inspect("cam")["Id"]
    ends.touch()
    pinned = side.roost("container", "pin", "dock", "cam", "--gpu", "1")
    assert (pinned.code, state_of(side, "cam")) == (1, "stuck")
    assert "it was started, and does not stay up" in pinned.err
    assert "roost workload resolve NODE NAME" in pinned.err

    shown = side.roost("workload", "show", "dock", "cam")
    assert "problem     cam: the old container is not as it was" in shown.out
    assert "a person is needed first" in shown.out
    for beside in ("restart", "rm"):
        refused = side.roost("workload", beside, "dock", "cam")
        assert (refused.code, "Resolve it first" in refused.err) == (1, True)
    unsaid = side.roost("workload", "resolve", "dock", "cam")
    assert (unsaid.code, "Add --keep-old, --keep-new or --retry" in unsaid.err) == (2, True)
    if way == "retry":  # it is what it was
        again = side.roost("workload", "resolve", "dock", "cam", "--retry")
        assert (again.code, state_of(side, "cam")) == (1, "stuck")
    if way != "keep-old":  # that takes it as it is
        ends.unlink()
    resolved = side.roost("workload", "resolve", "dock", "cam", f"--{way}")
    assert resolved.code == 0, resolved
    assert "is not as it was" in resolved.err  # why it was stuck
    if way == "keep-old":
        assert (side.inspect("cam")["Id"], state_of(side, "cam")) == (old, None)
        assert side.inspect("cam")["HostConfig"]["RestartPolicy"]["Name"] == "always"
        return
    assert resolved.out.startswith(f"dock  cam  {side.gpus[1]}")
    assert state_of(side, "cam") == "done"
    assert (side.visible("cam"), side.inspect("cam")["State"]["Running"]) == ([side.gpus[1]], True)
    undone = side.roost("workload", "undo", "dock", "cam")
    assert undone.code == 0, undone
    assert (side.inspect("cam")["Id"], side.inspect("cam")["State"]["Running"]) == (old, True)


async def test_stuck_because_nobody_waits_for_a_runtime_that_is_away(side: Side) -> None:
    def roost(*arguments: str) -> asyncio.Task[Done]:
        return asyncio.create_task(asyncio.to_thread(side.roost, *arguments))

    await asyncio.to_thread(run_cam, side)
    old = side.inspect("cam")["Id"]
    pinned = await roost("container", "pin", "dock", "cam", "--gpu", "1", "--confirm", "manual")
    assert pinned.code == 0, pinned
    await asyncio.to_thread(side.engine.kill)
    try:
        undone = roost("workload", "undo", "dock", "cam")
        reverts: list[str] = []
        while not reverts:
            jobs = await asyncio.to_thread(side.agent.get, "/v1/jobs")
            reverts = [
                job["id"]
                for job in jobs
                if (job["kind"], job["stage"]) == ("workload.revert", "reverting")
            ]
        cancelled = await roost("job", "cancel", reverts[0])
        assert cancelled.code == 0, cancelled
        assert (await undone).code == 1
        while (await asyncio.to_thread(state_of, side, "cam")) != "stuck":
            pass
        shown = await roost("workload", "show", "dock", "cam")
        assert "the way back ended" in shown.out
        assert "Go on with it: roost workload resolve NODE NAME --keep-old" in shown.out
    finally:
        await asyncio.to_thread(side.engine.start)
    resolved = await roost("workload", "resolve", "dock", "cam", "--keep-old")
    assert resolved.code == 0, resolved
    cam = await asyncio.to_thread(side.inspect, "cam")
    assert (cam["Id"], cam["State"]["Running"]) == (old, True)
    assert await asyncio.to_thread(state_of, side, "cam") is None


def test_a_word_that_never_comes(side: Side) -> None:
    run_cam(side)
    old = side.inspect("cam")["Id"]
    options = ("--gpu", "1", "--confirm", "manual", "--confirm-within", "6s")
    waits = side.roost("container", "pin", "dock", "cam", *options)
    # A machine that is slow enough tells of the end before it tells of the wait.
    said = "unless you say: roost workload confirm dock cam", "nobody confirmed it within 6 s"
    assert said[waits.code] in waits.err
    while state_of(side, "cam") is not None:  # it was only found, never placed
        time.sleep(0.1)
    cam = side.inspect("cam")
    assert (cam["Id"], cam["State"]["Running"]) == (old, True)
    assert cam["HostConfig"]["RestartPolicy"]["Name"] == "always"
    late = side.roost("workload", "confirm", "dock", "cam")
    assert late.code == 1
    assert late.out == "dock  cam  was taken back already: nobody confirmed it within 6 s\n"
