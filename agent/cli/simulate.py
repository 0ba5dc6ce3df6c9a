"""`roost-agent simulate`: many nodes that are not there, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import shutil
import signal
import sys
from pathlib import Path

import click
import msgspec

from agent.cli.parent import call_when_parent_ends
from agent.protocol.decoding import work_out_all
from agent.protocol.problems import ProblemError
from agent.simulation.fleet import SimulatedFleet
from agent.simulation.plan import plan_fleet

# Of each node a listening socket and one stream; a wire in between takes three more.
FILES_PER_NODE = 4
FILES_BESIDE = 100


@click.command("simulate")
@click.option("--nodes", type=click.IntRange(1, 5000), default=24, show_default=True)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    required=True,
    help="Where the sockets go. A folder that is not there is made, and removed at the end.",
)
@click.option(
    "--change",
    type=click.FloatRange(0.0, 1.0),
    default=0.2,
    show_default=True,
    help="Fraction of the nodes whose figures change in a second.",
)
@click.option(
    "--faults",
    type=click.Choice(["default", "none"]),
    default="default",
    show_default=True,
    help="Whether some nodes have faults; their names say which.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other figures.")
@click.option("--with-parent", is_flag=True, help="End when standard input is closed.")
@click.option("--remove", is_flag=True, help="Remove the folder at the end, whoever made it.")
def command(
    nodes: int,
    folder: Path,
    change: float,
    faults: str,
    seed: int,
    *,
    with_parent: bool,
    remove: bool,
) -> None:
    """Serve simulated nodes until told to stop.

    When they are up, one line of JSON on standard output lists them as fleet.yaml does.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # It tells at every stop how many streams were open.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    _allow_files(nodes * FILES_PER_NODE + FILES_BESIDE)
    made = _make(folder)
    plans = plan_fleet(nodes, faults=faults == "default", seed=seed)
    fleet = SimulatedFleet(plans, folder, change=change)
    work_out_all()
    try:
        asyncio.run(_serve(fleet, with_parent=with_parent))
    finally:
        if made or remove:
            shutil.rmtree(folder, ignore_errors=True)


async def _serve(fleet: SimulatedFleet, *, with_parent: bool) -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    if with_parent:
        await call_when_parent_ends(told.set)
    async with fleet:
        with contextlib.suppress(BrokenPipeError):  # nobody wants to know
            click.echo(msgspec.json.encode(fleet.listing()))
            sys.stdout.flush()
        serving = asyncio.create_task(fleet.wait())
        telling = asyncio.create_task(told.wait())
        await asyncio.wait({serving, telling}, return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        if serving.done():
            serving.result()
        serving.cancel()


def _make(folder: Path) -> bool:
    """Whether it had to be made."""
    try:
        made = not folder.exists()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ProblemError(
            "listen.failed",
            f"cannot make the folder {folder}: {error.strerror}",
            params={"folder": str(folder)},
            hint="Name another --folder, one that you may write to.",
        ) from None
    return made


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise ProblemError(
                "simulate.files",
                f"so many nodes need {wanted} open files, and this user may have {hard}",
                params={"needed": wanted, "allowed": hard},
                hint="Ask for fewer nodes, or raise the limit: ulimit -Hn, limits.conf.",
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
