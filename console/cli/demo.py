"""`roost demo`: this machine's real agent beside simulated nodes, in a fleet of its own."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import yaml

from agent.protocol.decoding import from_json
from agent.protocol.problems import ProblemError
from console.cli.children import AGENT_PART, AgentProcess, Child
from console.cli.own_agent import CONFIG, agent_yaml, own_agent
from console.cli.setup import Setup
from console.fleet.inventory import Inventory, NodeEntry

SIMULATOR_SECONDS = 60.0
# A unix socket's path has at most 107 bytes, and the nodes' names take some 50.
LONGEST_FOLDER = 40
LONGEST_NAME = 63


@click.command("demo")
@click.option("--nodes", type=click.IntRange(1, 5000), default=24, show_default=True)
@click.option(
    "--change",
    type=click.FloatRange(0.0, 1.0),
    default=0.2,
    show_default=True,
    help="Fraction of the simulated nodes whose figures change in a second.",
)
@click.option(
    "--faults",
    type=click.Choice(["default", "none"]),
    default="default",
    show_default=True,
    help="Whether some simulated nodes have faults; their names say which.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other figures.")
@click.option(
    "--no-tui", is_flag=True, help="Print the path of the demo's fleet.yaml, and wait for Ctrl-C."
)
@click.option(
    "--rollouts/--no-rollouts",
    default=True,
    show_default=True,
    help="Let three releases out on simulated nodes: one is done, one comes back, one waits.",
)
@click.option(
    "--real",
    is_flag=True,
    help="Instead: the detector's image on this machine's own Docker, with a load.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("images"),
    show_default=True,
    help="For --real: the folder whose lock says what was built.",
)
@click.option(
    "--gateway",
    metavar="IMAGE",
    default="haproxy:3.0",
    show_default=True,
    help="For --real: an image with HAProxy.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="For --real: where the detector answers.",
)
@click.pass_context
def command(
    ctx: click.Context,
    nodes: int,
    change: float,
    faults: str,
    seed: int,
    images: Path,
    gateway: str,
    port: int,
    *,
    no_tui: bool,
    rollouts: bool,
    real: bool,
) -> int:
    """Show this machine's GPUs and containers beside simulated nodes.

    With --real: run the detector that `roost image build cpu` built on this machine, behind a
    gateway and under load, with a good and a bad release to try by hand.

    Your own fleet is not touched, and everything ends with this command.
    """
    if real:
        from console.cli.demo_real import real_demo

        return real_demo(images, gateway=gateway, port=port)
    if not (no_tui or (sys.stdin.isatty() and sys.stdout.isatty())):
        raise ProblemError(
            "console.terminal",
            "the terminal interface needs a terminal",
            hint="Without one: roost demo --no-tui",
        )
    simulate = [
        f"--nodes={nodes}",
        f"--change={change}",
        f"--faults={faults}",
        f"--seed={seed}",
    ]
    click.echo(f"starting {nodes} simulated nodes and this machine's agent", err=True)
    with _demo_fleet(simulate) as file:
        state = _keep_all_in(file.parent)
        with _rollouts(file) if rollouts else contextlib.nullcontext():
            if not no_tui:
                return _open_tui(ctx, file)
            click.echo(file)
            told = f"export ROOST_FLEET={file} ROOST_STATE={state}"
            click.echo(f"in another terminal: {told}", err=True)
            _wait_for_signal()
            return 0


@contextlib.contextmanager
def _demo_fleet(options: list[str]) -> Iterator[Path]:
    """Everything up; the path of a fleet.yaml that names it. Nothing is left at the end."""
    folder = _new_folder()
    simulate = ["simulate", f"--folder={folder}", "--remove", *options]
    try:
        # Both start at the same time; each takes about as long.
        with AgentProcess(simulate) as simulator, _this_machine(folder) as entry:
            inventory = _simulated_nodes(simulator)
            file = folder / "demo.yaml"
            nodes = [entry, *inventory.nodes] if entry else inventory.nodes
            document = msgspec.to_builtins(Inventory(nodes=nodes))
            _write(file, yaml.safe_dump(document, sort_keys=False))
            yield file
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _new_folder() -> Path:
    """For its owner only. The simulator removes it if we cannot."""
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) > LONGEST_FOLDER:
        parent = "/tmp"  # noqa: S108 - the folder in it is made anew, for its owner only
    try:
        return Path(tempfile.mkdtemp(prefix="roost-demo-", dir=parent))
    except OSError as error:
        raise ProblemError(
            "demo.simulator",
            f"{parent}: {error.strerror}; the folder of the simulated nodes cannot be made there",
            params={"folder": parent},
            hint="TMPDIR says where the folder is made.",
        ) from None


def _write(file: Path, text: str) -> None:
    """Into the simulator's folder, which goes when the simulator ends or somebody removes it."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ProblemError(
            "demo.simulator",
            f"{file}: {error.strerror}; the folder of the simulated nodes is gone or is full",
            params={"file": str(file)},
            hint="Run it again. TMPDIR says where the folder is made.",
        ) from None


def _simulated_nodes(simulator: AgentProcess) -> Inventory:
    line = simulator.read_line(SIMULATOR_SECONDS)
    if line is None:
        raise ProblemError(
            "demo.simulator",
            f"roost-agent simulate: {simulator.last_words()}",
            hint=f"If a module is missing: {AGENT_PART}",
        )
    return from_json(line, Inventory)


@contextlib.contextmanager
def _this_machine(folder: Path) -> Iterator[NodeEntry | None]:
    """The real agent of this machine; None, and why on standard error, if it does not start."""
    name = own_name(socket.gethostname())
    _write(folder / CONFIG, agent_yaml(folder, name))
    with contextlib.ExitStack() as stack:
        entry = None
        try:
            started = stack.enter_context(own_agent(folder, name))
            entry = msgspec.structs.replace(started, labels={"site": "here"})
        except ProblemError as problem:
            click.echo(problem.detail, err=True)
        yield entry


def own_name(hostname: str) -> str:
    """A name that a fleet may have, and that comes before those of the simulated nodes."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", f"here-{hostname}")[:LONGEST_NAME]
    return name.rstrip("._-")


def _wait_for_signal() -> None:
    numbers = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    signal.sigwait(numbers)


@contextlib.contextmanager
def _rollouts(fleet: Path) -> Iterator[None]:
    """Steered by a process of their own, which ends with this one."""
    with Child([sys.executable, "-m", "console.cli.demo_rollouts", str(fleet)]):
        yield


def _keep_all_in(folder: Path) -> Path:
    """What is kept of these nodes goes with them; where their rollouts are."""
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        os.environ[name] = str(folder / name.lower())
    state = folder / "rollouts"
    os.environ["ROOST_STATE"] = str(state)
    return state


def _open_tui(ctx: click.Context, file: Path) -> int:
    setup = ctx.obj if isinstance(ctx.obj, Setup) else Setup()
    ctx.obj = setup._replace(fleet_file=file, passing=True)
    gc.disable()  # as `roost` does it
    interface = importlib.import_module("console.cli.tui").command
    # Three rollouts that end or wait would ring it, and nobody is away from this terminal.
    code: int = ctx.invoke(interface, bell=False)
    return code
