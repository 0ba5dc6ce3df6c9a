"""`roost container exec`: a command in a container, with a terminal or with plain pipes."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import ExitStack, aclosing

import click

from agent.protocol.containers import ExecExit, ExecRequest
from agent.protocol.problems import ProblemError
from console.cli.exec_output import OutputWriter
from console.cli.exec_terminal import raw_terminal, read_input, terminal_size, watch_size
from console.cli.failures import not_reached
from console.cli.options import container_argument, node_argument
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.link.exec import Exec


@click.command("exec")
@click.option("--interactive", "-i", is_flag=True, help="Give it standard input.")
@click.option("--tty", "-t", is_flag=True, help="Give it a terminal.")
@click.option("--user", "-u", help="Run as this user of the container.")
@click.option("--workdir", "-w", metavar="FOLDER", help="Run in this folder of the container.")
@click.option("--env", "-e", multiple=True, metavar="NAME=VALUE", help="Set a variable.")
@node_argument
@container_argument
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_obj
def command(
    setup: Setup,
    node: str,
    container: str,
    command: tuple[str, ...],
    *,
    interactive: bool,
    tty: bool,
    user: str | None,
    workdir: str | None,
    env: tuple[str, ...],
) -> int:
    """Run a command in a container; its exit code is passed on.

    For a shell: roost container exec -it NODE CONTAINER -- sh
    """
    setup.refuse_changes("container exec")
    if tty and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ProblemError(
            "console.terminal",
            "there is no terminal here that the command could be given",
            hint="Leave out -t.",
        )
    columns, rows = terminal_size()
    request = ExecRequest(
        command=list(command),
        tty=tty,
        stdin=interactive,
        columns=columns,
        rows=rows,
        user=user,
        working_dir=workdir,
        environment=_environment(env, tty=tty),
    )

    async def work(entry: NodeEntry, client: NodeClient) -> ExecExit:
        session = await client.exec(container, request)
        try:
            with ExitStack() as stack:
                if tty:
                    stack.enter_context(raw_terminal())
                return await _converse(entry, session, interactive=interactive, tty=tty)
        finally:
            session.close()

    ended = ask_one(setup, node, work)
    if ended.code is None:
        raise ProblemError(
            "runtime.refused",
            f"{node}: nobody knows how the command ended: {ended.reason or 'no reason given'}",
            hint="Look into the container: it may have been stopped.",
        )
    return ended.code


async def _converse(entry: NodeEntry, session: Exec, *, interactive: bool, tty: bool) -> ExecExit:
    """Pass everything on until the command ends, or the link does."""
    output = asyncio.create_task(_show(entry, session, tty=tty))
    others = {asyncio.create_task(_feed(session, tty=tty))} if interactive else set()
    if tty:
        others.add(asyncio.create_task(watch_size(session.resize)))
    try:
        waiting = {output, *others}
        while not output.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        return output.result()
    finally:
        for task in (output, *others):
            task.cancel()
        await asyncio.gather(output, *others, return_exceptions=True)


async def _show(entry: NodeEntry, session: Exec, *, tty: bool) -> ExecExit:
    writer = OutputWriter(raw=tty)
    try:
        async with aclosing(session.output()) as output:
            async for piece in output:
                if isinstance(piece, ExecExit):
                    return piece
                writer.write(piece)
    finally:
        writer.finish()
    raise ProblemError(
        "link.unreachable",
        f"{entry.name}: the output ended before the command did",
        params={"node": entry.name},
        hint="Try again; the link may be bad.",
    )


async def _feed(session: Exec, *, tty: bool) -> None:
    """Standard input, until it ends, or the command takes no more of it."""
    try:
        while data := await read_input(sys.stdin.fileno()):
            await session.write(data)
        if not tty:
            await session.end_input()
    except ProblemError as problem:
        # A command that has ended says how with its output.
        if not_reached(problem):
            raise


def _environment(given: tuple[str, ...], *, tty: bool) -> dict[str, str]:
    found = {"TERM": os.environ.get("TERM", "xterm")} if tty else {}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not name or not separator:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--env")
        found[name] = value
    return found
