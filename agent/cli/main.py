"""`roost-agent`: verbs are imported only when they run, so that small ones start fast."""

from __future__ import annotations

import importlib
import sys

import click

from agent.protocol.problems import ProblemError

_VERBS = {
    "bundle": "load a bundle or an archive that lies on this machine",
    "check": "say what this machine has, and what is wrong with it",
    "dial-stdio": "join standard input and output to the agent's socket",
    "serve": "run the agent",
    "simulate": "run many simulated nodes",
    "token": "make, list and revoke tokens for https",
    "version": "print the version",
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module = importlib.import_module(f"agent.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """The agent of Roost: reports a node's GPUs and containers, and does the work there."""


def main() -> None:
    """Entry point. A problem is told on standard error, with exit code 1."""
    try:
        cli(prog_name="roost-agent")
    except ProblemError as problem:
        title = problem.title[0].lower() + problem.title[1:]
        click.echo(f"error: {title}: {problem.detail}", err=True)
        if problem.hint:
            click.echo(f"hint: {problem.hint}", err=True)
        sys.exit(1)
