"""`roost node support`: what a node knows of itself, in one file to mail home."""

from __future__ import annotations

import time
from pathlib import Path

import click
import msgspec

from agent.protocol.problems import Problem, ProblemError
from console.cli.failures import FAILED
from console.cli.last_facts import last_facts
from console.cli.live_lines import LiveLines
from console.cli.new_file import check_new, force_option
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument
from console.cli.output import print_json, say
from console.cli.run import ask_nodes, conclude
from console.cli.setup import Setup
from console.cli.version import installed_version
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.support.gathering import Part, gather, without_secrets_as_json
from console.support.writing import About, write_support
from console.text import size


class SupportRecord(msgspec.Struct, kw_only=True):
    """What `--json` prints."""

    node: str
    file: str
    bytes: int
    parts: list[str]
    lacks: dict[str, str]  # by part, why it could not be had
    problem: Problem | None = None


@click.command("support")
@node_argument
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.zip",
    help="Where to; roost-support-NODE-TIME.zip in this folder if not given.",
)
@force_option
@json_option
@click.pass_obj
def command(setup: Setup, node: str, output: Path | None, *, force: bool, as_json: bool) -> int:
    """Put facts, findings, jobs, logs, audit and configuration of NODE into one file.

    Passwords, tokens, keys and values of environments are removed. What could not be had is said
    in the file's README.txt. A node that does not answer leaves what was last known of it.

    Exits with 1 if a part could not be had, with 3 if the node was not reached.
    """
    entry = one_node(setup, node)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    file = output or Path(f"roost-support-{entry.name}-{stamp}.zip")
    check_new(file, force=force)
    (answer,) = ask_nodes(setup, [entry], _gather)
    parts = answer.value or _last_known(setup, entry, answer.problem)
    taken = write_support(file, About(entry.name, entry.address, installed_version()), parts)
    lacks = {part.name: part.why for part in parts if part.text is None}
    if as_json:
        print_json(
            SupportRecord(
                node=entry.name,
                file=str(file),
                bytes=taken,
                parts=[part.name for part in parts if part.text is not None],
                lacks=lacks,
                problem=answer.problem.problem() if answer.problem else None,
            )
        )
    else:
        for name, why in lacks.items():
            say(f"not had: {name}: {why}")
        say(f"{file}: {size(taken)}, {len(parts) - len(lacks)} of {len(parts)} parts")
    return conclude([answer]) or (FAILED if lacks else 0)


class _Reading(LiveLines):
    """Which part is being read, and how much of it there is."""

    def __init__(self) -> None:
        super().__init__()
        self._now = "asking"

    def heard(self, name: str, count: int) -> None:
        self._now = f"{name}: {size(count)}"

    def lines(self, room: int) -> list[str]:
        return [self._now]

    def total(self) -> str:
        return self._now

    def news(self) -> list[tuple[str, str]]:
        return []


async def _gather(_entry: NodeEntry, client: NodeClient) -> list[Part]:
    await client.node()  # who is not reached at all is not asked fifteen times
    reading = _Reading()
    async with reading:
        return [part async for part in gather(client, reading.heard)]


def _last_known(setup: Setup, entry: NodeEntry, problem: ProblemError | None) -> list[Part]:
    why = "the node was not reached" if problem is None else f"{problem.code}: {problem.detail}"
    known = last_facts(setup, [entry]).get(entry.name)
    if known is None:
        return [Part("facts.json", None, why)]
    facts, seen_at = known
    then = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seen_at))
    text = without_secrets_as_json(msgspec.to_builtins(facts))
    return [Part("facts.json", text, f"as it was on {then}, when it was last followed; now {why}")]
