"""`roost snapshot restore`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from agent.protocol.jobs import Job
from agent.protocol.problems import Problem, ProblemError
from console.cli.consent import consent
from console.cli.failures import tell
from console.cli.image_options import read_judge
from console.cli.nodes import one_node
from console.cli.options import complete_node, json_option, yes_option
from console.cli.output import print_json, say
from console.cli.room import room_option
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.fleet.back_off import jitter
from console.fleet.inventory import NodeEntry
from console.fleet.job_words import state
from console.images.push import PushState
from console.link.client import NodeClient
from console.snapshots.folder import snapshots_folder
from console.snapshots.planning import Line, RestorePlan
from console.snapshots.restoring import Restore, Restored, prepare, run
from console.snapshots.snapshot_file import read_snapshot
from console.snapshots.values import Given
from console.text import clean, size

_STEPS = {
    "load": "load",
    "place": "place",
    "build": "build",
    "apply": "apply",
    "remove": "REMOVE",
    "note": "note",
}


class RestoredRecord(msgspec.Struct, kw_only=True):
    """As `--json` prints it; `job` None: nothing was begun."""

    node: str
    snapshot: str
    steps: int
    lines: list[Line]
    problems: list[Problem] = []
    undo: str | None = None
    job: Job | None = None
    differs: list[str] = []  # what is still not as in the snapshot


@click.command("restore")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "node",
    required=True,
    metavar="NODE",
    shell_complete=complete_node,
    help="The node that is brought there.",
)
@click.option("--check", is_flag=True, help="Show the plan, and change nothing.")
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="WORKLOAD.PLACE=VALUE",
    help="A value that the snapshot withholds: web.TOKEN of its environment, web.command.2.",
)
@click.option("--remove-others", is_flag=True, help="Remove workloads that it does not have.")
@click.option(
    "--undo-folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where the snapshot of before goes (~/.local/share/roost/snapshots).",
)
@room_option
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    file: Path,
    node: str,
    given: tuple[str, ...],
    undo_folder: Path | None,
    *,
    check: bool,
    remove_others: bool,
    make_room: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Bring NODE to what the snapshot in FILE says: images, models, engines, workloads, pins.

    The plan is shown first, with what stands in the way. How the node was is written into a
    snapshot of its own before anything begins. It is one job on the node: whatever is cut, the
    same command again goes on with it. agent.yaml, the driver and secrets are told, not changed.
    """
    found = read_snapshot(file)
    values = _given(given)
    judge = read_judge(setup, [found.bundle.index]) if found.bundle.manifest.images else None
    if not check:
        setup.refuse_changes("snapshot restore")

    async def plan(_: NodeEntry, client: NodeClient) -> Restore:
        return await prepare(
            client,
            found,
            given=values,
            remove_others=remove_others,
            make_room=make_room,
            judge=judge,
        )

    restore = ask_one(setup, node, plan)
    record = RestoredRecord(
        node=restore.plan.node,
        snapshot=found.id,
        steps=restore.plan.steps,
        lines=restore.plan.lines,
        problems=restore.plan.problems,
    )
    if not as_json:
        _show(restore.plan)
    going_on = restore.under_way is not None
    if check or (restore.plan.problems and not going_on):
        if as_json:
            print_json(record)
        for problem in restore.plan.problems:
            tell(ProblemError.from_problem(problem), node=restore.plan.node)
        return int(bool(restore.plan.problems))
    if not going_on:
        _agree(setup, node, restore, file, yes=yes)
    else:
        say(f"{node}: job {restore.under_way.id if restore.under_way else ''} goes on with it")
    heard = _Heard(node, quiet=as_json)

    async def do(_: NodeEntry, client: NodeClient) -> Restored:
        return await run(
            client,
            restore,
            folder=undo_folder or snapshots_folder(os.environ),
            random=jitter(),
            make_room=make_room,
            seen=heard.job,
            sending=heard.sending,
        )

    try:
        restored = ask_one(setup, node, do)
    except BaseException:
        _tell_undo(restore.plan, node)
        raise
    record.job, record.differs = restored.job, restored.differs
    record.undo = restore.plan.undo
    if as_json:
        print_json(record)
    else:
        how = "not all is as in" if record.differs else "as in"
        click.echo(clean(f"{node}: {state(restored.job)}, {how} {file}"))
        for line in record.differs:
            say(f"{node}: still differs: {line}")
        _tell_undo(restore.plan, node)
    return 0


def _agree(setup: Setup, node: str, restore: Restore, file: Path, *, yes: bool) -> None:
    entry = one_node(setup, node)
    consent([entry], f"restore {file.name}", yes=yes)
    if entry.production or yes:
        return
    if not sys.stdin.isatty():
        raise ProblemError(
            "console.terminal",
            "it changes what runs on the node, and nobody can be asked here",
            hint="Look at it with --check, then add --yes.",
        )
    click.confirm(f"Do this on {restore.plan.node}?", default=False, err=True, abort=True)


def _show(plan: RestorePlan) -> None:
    say(f"{plan.node}:")
    for line in plan.lines:
        click.echo(clean(f"  {_STEPS[line.step]:6}  {line.text}"))
    if not plan.lines and not plan.problems:
        click.echo("  nothing to do")


def _tell_undo(plan: RestorePlan, node: str) -> None:
    if plan.undo is not None:
        say(f"undo: roost snapshot restore {plan.undo} --to {node} --remove-others")


def _given(words: tuple[str, ...]) -> Given:
    found = {}
    for word in words:
        place, equals, value = word.partition("=")
        workload, dot, name = place.partition(".")
        if not (equals and dot and workload and name):
            raise ProblemError(
                "console.usage",
                f"{place!r} names no value",
                hint="Write --set WORKLOAD.PLACE=VALUE: web.TOKEN=x, web.command.2=x.",
            )
        found[workload, name] = value
    return found


class _Heard:
    """Says each stage once."""

    def __init__(self, node: str, *, quiet: bool) -> None:
        self._node, self._quiet, self._last = node, quiet, ""

    def job(self, job: Job) -> None:
        """A look at the job."""
        self._say(job.stage or job.state)

    def sending(self, state: PushState) -> None:
        """A look at what is sent."""
        if state.trouble:
            self._say(state.trouble)
        elif state.total_bytes:
            quarter = 4 * state.done_bytes // state.total_bytes
            self._say(f"sending, {25 * quarter} % of {size(state.total_bytes)}")

    def _say(self, text: str) -> None:
        if text != self._last and not self._quiet:
            self._last = text
            say(f"{self._node}: {text}")
