"""`roost release diff`: what changes, workload by workload."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from agent.protocol.deployments import ApplyRequest, PlannedWorkload
from agent.protocol.problems import ProblemError
from console.cli.options import complete_selector, json_option
from console.cli.output import print_json, say
from console.cli.release_reading import Release, read_release
from console.cli.run import ask_nodes, conclude
from console.cli.setup import Setup
from console.cli.workload_options import Asked, env_file_option, set_option, tell_problems
from console.link.client import NodeClient
from console.rollouts.planning import requests_for
from console.rollouts.release_diff import Difference, differences
from console.text import clean

NAMED = 8


class DiffRecord(msgspec.Struct, kw_only=True):
    """As `--json` prints it; `nodes` empty: two files were compared."""

    before: str
    after: str
    nodes: list[str] = []
    differences: list[Difference]


@click.command("diff")
@click.argument("before", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("after", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--to",
    "selector",
    default="",
    metavar="SELECTOR",
    shell_complete=complete_selector,
    help="Instead of a second file: what these nodes run now, against FILE.",
)
@set_option
@env_file_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    before: Path,
    after: Path | None,
    selector: str,
    given: tuple[str, ...],
    env_files: tuple[Path, ...],
    *,
    as_json: bool,
) -> int:
    """Say what changes from the release in the first FILE to that in the second.

    With --to, one FILE is compared with what nodes run now: each node is asked what the release
    would change there. Nothing changes. The exit code is 0, whether something differs or not.
    """
    if (after is None) == (not selector):
        raise ProblemError(
            "console.usage",
            "one release alone has no difference" if after is None else "that is one too many",
            hint="Name two files, or one file and --to SELECTOR.",
        )

    def read(file: Path) -> Release:
        asked = Asked(
            files=(file,), selector=selector, given=given, env_files=env_files, profiles=("*",)
        )
        return read_release(setup, asked)

    first = read(before)
    second = None if after is None else read(after)
    both = [*first.means, *(second.means if second else [])]
    if tell_problems(both):
        return 1
    if second is None:
        return _with_nodes(setup, first, as_json=as_json)
    old, new = first.means[0], second.means[0]
    names = [
        f"{each.means[0].project}@{requests_for(each.means, each.strategy)[0][:8]}"
        for each in (first, second)
    ]
    found = differences(
        old.workloads,
        new.workloads,
        strategies=(first.strategy, second.strategy),
    )
    if as_json:
        print_json(DiffRecord(before=names[0], after=names[1], differences=found))
        return 0
    say(f"{names[0]} becomes {names[1]}")
    _print(found)
    return 0


def _with_nodes(setup: Setup, release: Release, *, as_json: bool) -> int:
    version, requests = requests_for(release.means, release.strategy)
    answers = ask_nodes(
        setup, release.entries, lambda entry, client: _asked(client, requests[entry.name])
    )
    name = f"{release.means[0].project}@{version[:8]}"
    alike: dict[bytes, tuple[list[Difference], list[str]]] = {}
    for answer in answers:
        if answer.value is not None:
            key = msgspec.json.encode(answer.value)
            alike.setdefault(key, (answer.value, []))[1].append(answer.entry.name)
    if as_json:
        print_json(
            [
                DiffRecord(before="what runs there", after=name, nodes=nodes, differences=found)
                for found, nodes in alike.values()
            ]
        )
    for found, nodes in () if as_json else alike.values():
        more = f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else ""
        say(f"{', '.join(nodes[:NAMED])}{more}: what runs there becomes {name}")
        _print(found)
    return conclude(answers)


async def _asked(client: NodeClient, request: ApplyRequest) -> list[Difference]:
    plan = await client.workloads.plan_apply(request)
    return [
        Difference(
            part=each.name,
            change="added" if each.action == "create" else "changed",
            words=_words(each),
        )
        for each in plan.workloads
        if each.action != "keep"
    ]


def _words(planned: PlannedWorkload) -> list[str]:
    problems = [f"cannot: {problem.detail}" for problem in planned.problems]
    if problems or planned.changes:
        return [*planned.changes, *problems]
    return [
        f"image {planned.image}" if planned.action == "create" else "its container is made anew"
    ]


def _print(found: Sequence[Difference]) -> None:
    if not found:
        click.echo("nothing differs")
    for each in found:
        click.echo(clean(f"{each.part}: {each.change}"))
        for word in each.words:
            click.echo(clean(f"  {word}"))
