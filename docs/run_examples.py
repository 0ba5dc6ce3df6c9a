"""Writes the answers into docs/*.md: each command of a `console` block there is really run.

`python -m docs.run_examples [PAGE...]`. On images.md the nodes are simulated, and the archives made
here, of noise and a small model; on rollouts.md and the README they are simulated, too; on
engines.md they are real agents, which build with NVIDIA's TensorRT-RTX; on traffic.md, packages.md
and detector.md it is a real one, over a Docker; on snapshots.md they are two, each over a Docker of
its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from random import Random

import msgspec
import yaml

from agent.host.real_paths import HOST_VARIABLE
from console.fleet.inventory import Inventory, NodeEntry
from tests import onnx_made
from tests.agent_process import AgentProcess
from tests.archives_made import Made, docker_archive, tar
from tests.detector_made import colour_detector
from tests.images import detector_side
from tests.real import gateway_image, roots
from tests.real.busybox import write_root
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure
from tests.simulated import simulator_process

HERE = Path(__file__).parent
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)
LIMIT_SECONDS = 120
RECIPE = """\
model: detector
onnx: {home}/detector.onnx
profiles:
  - images: {{min: [1, 3, 64, 64], opt: [4, 3, 64, 64], max: [8, 3, 64, 64]}}
compute_capabilities: ["8.6", "8.9"]
validation: {{iterations: 50, max_latency_ms: 20}}
"""


def main(names: Sequence[str]) -> None:
    """Run all of a page in their order, on nodes of its own."""
    for name in names or PAGES:
        with PAGES[name]() as home:
            page = HERE / name
            text = page.read_text(encoding="utf-8")
            page.write_text(BLOCK.sub(lambda block: _answered(block[0], home), text), "utf-8")


@contextmanager
def _home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as name:
        yield Path(name)


@contextmanager
def _simulated(nodes: int = 6, *, faults: bool = False) -> Iterator[Path]:
    """A person's home, and a fleet of simulated nodes."""
    with _home() as home, simulator_process(nodes, faults=faults) as simulator:
        _write_fleet(home, simulator.nodes)
        yield home


@contextmanager
def _images() -> Iterator[Path]:
    """A person's home with archives, and a fleet of simulated nodes."""
    with _simulated() as home:
        _make_archives(home)
        (home / "plant.yaml").write_text(_first_yaml("images.md"), "utf-8")
        (home / "cameras").mkdir()
        (home / "cameras" / "detector.onnx").write_bytes(onnx_made.detector())
        yield home


@contextmanager
def _engines() -> Iterator[Path]:
    """A person's home with models and a recipe, and a fleet of two real agents."""
    with _home() as home, ExitStack() as agents:
        nodes = []
        for node in ("cam-01", "cam-02"):
            folder = home / f".{node}"
            folder.mkdir()
            settings = {"name": node, "engines": {"python": sys.executable}}
            if node == "cam-01":
                settings["site_listen"] = "127.0.0.1:0"
            agent = agents.enter_context(AgentProcess(folder, settings))
            address = f"unix://{agent.sockets['operator']}"
            nodes.append(NodeEntry(name=node, address=address, labels={"site": "lab"}))
        _write_fleet(home, Inventory(nodes=nodes))
        (home / "detector.yaml").write_text(RECIPE.format(home=home), "utf-8")
        (home / "detector.onnx").write_bytes(onnx_made.detector())
        (home / "better.onnx").write_bytes(onnx_made.detector(blocks=6))
        yield home


@contextmanager
def _traffic() -> Iterator[Path]:
    """A person's home with a service, and a real agent over a Docker in a network of its own."""
    with ExitStack() as stack:
        home = stack.enter_context(_home())
        folder = home / ".docker-engine"
        folder.mkdir()
        enclosure = Enclosure(folder, network=True)
        stack.callback(enclosure.close)
        engine = DockerEngine(enclosure)
        engine.start()
        for version in ("1", "2"):
            serves = (
                f"echo {version} >/dev/shm/index.html;"
                " trap 'exit 0' TERM; httpd -f -p 80 -h /dev/shm & wait"
            )
            command = msgspec.json.encode(["sh", "-c", serves]).decode()
            root = folder / "root.tar"
            write_root(root)
            engine.docker("import", "--change", f"CMD {command}", str(root), f"edge/web:{version}")
        state = home / ".cam-01"
        state.mkdir()
        image = gateway_image.load(engine)
        settings = {"name": "cam-01", "runtime": engine.url, "traffic": {"image": image}}
        network = ("nsenter", f"--target={enclosure.pid}", "--net", "--")
        agent = stack.enter_context(AgentProcess(state, settings, inside=network))
        address = f"unix://{agent.sockets['operator']}"
        _write_fleet(home, Inventory(nodes=[NodeEntry(name="cam-01", address=address)]))
        page = (HERE / "traffic.md").read_text("utf-8")
        web = page.split("```yaml\n")[1].split("```")[0]
        (home / "web.yaml").write_text(web, "utf-8")
        (home / "plain.yaml").write_text(web.replace("strategy: weighted, ", ""), "utf-8")
        yield home


@contextmanager
def _snapshots() -> Iterator[Path]:
    """A person's home with a release, and two real agents, of which one has its images."""
    with ExitStack() as stack:
        home = stack.enter_context(_home())
        nodes = []
        for name in ("cam-01", "spare"):
            folder = home / f".docker-{name}"
            folder.mkdir()
            enclosure = Enclosure(folder, network=True)
            stack.callback(enclosure.close)
            engine = DockerEngine(enclosure)
            engine.start()
            root = folder / "root.tar"
            write_root(root)
            for version in ("1", "2") if name == "cam-01" else ():
                words = ["env", f"VERSION={version}", "sleep", "3600"]
                command = f"CMD {msgspec.json.encode(words).decode()}"
                engine.docker("import", "--change", command, str(root), f"edge/web:{version}")
            state = home / f".{name}"
            state.mkdir()
            own = {"name": name, "runtime": engine.url, "secrets": str(state / "secrets")}
            agent = stack.enter_context(AgentProcess(state, own))
            address = f"unix://{agent.sockets['operator']}"
            nodes.append(NodeEntry(name=name, address=address))
        _write_fleet(home, Inventory(nodes=nodes))
        (home / "plant.yaml").write_text(_first_yaml("snapshots.md"), "utf-8")
        yield home


@contextmanager
def _docker_with_python(home: Path, tag: str) -> Iterator[DockerEngine]:
    """A Docker in an enclosure, with the tests' Debian that has Python as `tag`."""
    folder = home / ".docker-engine"
    folder.mkdir()
    enclosure = Enclosure(folder, network=True)
    try:
        engine = DockerEngine(enclosure)
        engine.start()
        detector_side.load_base(engine)
        engine.docker("tag", detector_side.BASE, tag)
        yield engine
    finally:
        enclosure.close()


@contextmanager
def _detector() -> Iterator[Path]:
    """A home with images/ and wheels, and a real agent over a Docker without a network.

    Both are in an enclosure, whose /var/lib is its own: there the agent has its usual folder.
    """
    with ExitStack() as stack:
        home = stack.enter_context(_home())
        engine = stack.enter_context(_docker_with_python(home, "our/python:3.11"))
        state = home / ".cam-01"
        state.mkdir()
        settings = {
            "name": "cam-01",
            "state": "/var/lib/roost",
            "runtime": engine.url,
            "traffic": {"image": gateway_image.load(engine)},
        }
        inside = engine.enclosure.entering()
        agent = stack.enter_context(AgentProcess(state, settings, inside=inside))
        address = f"unix://{agent.sockets['operator']}"
        _write_fleet(home, Inventory(nodes=[NodeEntry(name="cam-01", address=address)]))
        away = shutil.ignore_patterns("__pycache__")
        shutil.copytree(detector_side.IMAGES, home / "images", ignore=away)
        (home / "wheels").symlink_to(roots.folder("detector-wheels"))
        (home / "fast.yaml").write_text(_first_yaml("detector.md"), "utf-8")
        (home / "colours.onnx").write_bytes(colour_detector())
        yield home


@contextmanager
def _packages() -> Iterator[Path]:
    """A home with advisories, and a real agent over a Docker that runs Debian with its Python.

    The Debian that was made for tests is also what the agent takes for its machine.
    """
    with ExitStack() as stack:
        home = stack.enter_context(_home())
        engine = stack.enter_context(_docker_with_python(home, "our/shop:1"))
        for name in ("till", "till-2"):
            engine.docker("run", "--detach", "--name", name, "our/shop:1", "sleep", "3600")
        state = home / ".cam-01"
        state.mkdir()
        stack.enter_context(_environment(HOST_VARIABLE, str(roots.folder(detector_side.ROOT))))
        own = {"name": "cam-01", "runtime": engine.url}
        agent = stack.enter_context(AgentProcess(state, own))
        address = f"unix://{agent.sockets['operator']}"
        _write_fleet(home, Inventory(nodes=[NodeEntry(name="cam-01", address=address)]))
        advisories = [
            _advisory("EXAMPLE-1", "openssl", "99", "high"),
            _advisory("EXAMPLE-2", "python3.11", None, "low"),
        ]
        (home / "debian.json").write_bytes(msgspec.json.encode(advisories))
        yield home


def _advisory(name: str, package: str, fixed: str | None, urgency: str) -> dict[str, object]:
    """One of OSV's, about a source package of Debian 12."""
    events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]
    affected = {
        "package": {"ecosystem": "Debian:12", "name": package},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
        "ecosystem_specific": {"urgency": urgency},
    }
    return {"id": name, "modified": "2026-11-20T00:00:00Z", "affected": [affected]}


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


@contextmanager
def _rollouts() -> Iterator[Path]:
    """A person's home with the release that the page shows, and a fleet of simulated nodes."""
    with _simulated() as home:
        (home / "app.yaml").write_text(_first_yaml("rollouts.md"), "utf-8")
        yield home


@contextmanager
def _releases() -> Iterator[Path]:
    """The same with a page of its own, and archives of two images that the nodes lack."""
    with _simulated() as home:
        _make_archives(home)
        (home / "app.yaml").write_text(_first_yaml("releases.md"), "utf-8")
        yield home


@contextmanager
def _drift() -> Iterator[Path]:
    """A fleet of simulated nodes, of which the page's own YAML expects something."""
    with _simulated() as home:
        with (home / ".config" / "roost" / "fleet.yaml").open("a", encoding="utf-8") as file:
            file.write(_first_yaml("drift.md"))
        yield home


def _readme() -> AbstractContextManager[Path]:
    """The demo's nodes."""
    return _simulated(24, faults=True)


PAGES: dict[str, Callable[[], AbstractContextManager[Path]]] = {
    "../README.md": _readme,
    "drift.md": _drift,
    "images.md": _images,
    "engines.md": _engines,
    "packages.md": _packages,
    "releases.md": _releases,
    "rollouts.md": _rollouts,
    "snapshots.md": _snapshots,
    "traffic.md": _traffic,
    "detector.md": _detector,
}


def _first_yaml(page: str) -> str:
    """The first release that a page shows."""
    return (HERE / page).read_text("utf-8").split("```yaml\n")[1].split("```")[0]


def _write_fleet(home: Path, fleet: msgspec.Struct) -> None:
    config = home / ".config" / "roost"
    config.mkdir(parents=True)
    text = yaml.safe_dump(msgspec.to_builtins(fleet))
    (config / "fleet.yaml").write_text(text, encoding="utf-8")


def _make_archives(home: Path) -> None:
    """Two versions of an image, over one base."""
    base = _layer("usr/lib/base", 6_000_000)
    for version in ("1", "2"):
        image = Made([base, _layer(f"srv/app-{version}", 400_000)], tags=[f"app:{version}"])
        (home / f"app-{version}.tar").write_bytes(docker_archive([image]))


def _layer(name: str, size: int) -> bytes:
    return tar({name: Random(name).randbytes(size)})  # noqa: S311 - noise, no secret


def _answered(block: str, home: Path) -> str:
    """`PLAN` in a command stands for the id of the plan that was made before."""
    lines: list[str] = []
    for command in (line for line in block.splitlines() if line.startswith("$ ")):
        asked = command[2:]
        if "PLAN" in asked:
            asked = asked.replace("PLAN", _newest_plan(home))
        lines += [command, *_answer(asked, home).splitlines()]
    return "".join(f"{line}\n" for line in lines)


def _newest_plan(home: Path) -> str:
    (row, *_) = msgspec.json.decode(_answer("roost rollout ls --json", home))
    return str(row["id"])


def _answer(command: str, home: Path) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=home,
        env={"HOME": str(home), "PATH": path, "USER": "maria"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    if "Traceback (most recent call last)" in done.stdout:
        raise SystemExit(f"{command}\n{done.stdout}")  # no page is written with that in it
    return done.stdout.replace(f"{home}/", "")


if __name__ == "__main__":
    main(sys.argv[1:])
