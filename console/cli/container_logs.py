"""`roost container logs`: a container's output, also over a link that drops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import click
import msgspec

from agent.protocol.containers import LogLine
from agent.protocol.problems import ProblemError
from console.cli.failures import not_reached
from console.cli.log_place import LogPlace
from console.cli.options import container_argument, json_option, node_argument
from console.cli.output import on_terminal, safe_json, say
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.text import clean_output, size

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 15.0


class LogRecord(msgspec.Struct, kw_only=True):
    """A line as `--json` prints it, one to a line of output."""

    node: str
    container: str
    line: LogLine


@click.command("logs")
@node_argument
@container_argument
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("--since", metavar="WHEN", help="From then on: 15m, 2h, or a time like logs show it.")
@click.option("--tail", type=click.IntRange(0, 1_000_000), help="Only so many lines at first.")
@click.option("--timestamps", "-t", is_flag=True, help="Show when each line was written.")
@json_option
@click.pass_obj
def command(
    setup: Setup,
    node: str,
    container: str,
    *,
    follow: bool,
    since: str | None,
    tail: int | None,
    timestamps: bool,
    as_json: bool,
) -> None:
    """Print a container's output.

    With --follow, a link that drops is tried again, and nothing is printed twice.

    \b
      roost container logs cam-01 detector --tail 100 -f
      roost container logs cam-01 detector --since 2h > detector.log
    """

    def text(entry: NodeEntry, line: LogLine) -> str:
        if not as_json:
            return _text(line, timestamps=timestamps)
        record = LogRecord(node=entry.name, container=container, line=line)
        return safe_json(msgspec.json.encode(record).decode())

    async def read(entry: NodeEntry, client: NodeClient) -> None:
        place = LogPlace(since)

        async def stream() -> None:
            lines = client.logs(
                container,
                follow=follow,
                since=place.since,
                tail=tail if place.nothing_seen else None,
            )
            async with aclosing(lines):
                async for batch in lines:
                    if shown := [text(entry, line) for line in place.new(batch)]:
                        # click would leave out colours for a pipe; what is for a terminal has none.
                        click.echo("\n".join(shown), color=True)

        if follow:
            await client.container(container)  # what is wrong from the start is not tried again
            await _again_and_again(stream, place)
        else:
            await stream()

    ask_one(setup, node, read)


async def _again_and_again(stream: Callable[[], Awaitable[None]], place: LogPlace) -> None:
    """Until the output ends by itself, or the agent itself refuses."""
    pause = _FIRST_PAUSE_SECONDS
    told: str | None = None
    while True:
        before = place.seen
        try:
            return await stream()
        except ProblemError as problem:
            if not not_reached(problem):
                raise
            if place.seen != before:
                pause, told = _FIRST_PAUSE_SECONDS, None
            if problem.detail != told:  # a link may be away for hours
                told = problem.detail
                say(f"{problem.detail}; trying again")
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        place.resume()


def _text(line: LogLine, *, timestamps: bool) -> str:
    """On a terminal without what it might obey; elsewhere as the container wrote it."""
    text = clean_output(line.text) if on_terminal() else line.text
    if line.cut_bytes:
        text += f" [{size(line.cut_bytes)} more]"
    return f"{line.at or '-'} {text}" if timestamps else text
