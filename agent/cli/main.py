"""`roost-agent`: verbs are imported only when they run, so that small ones start fast."""

from __future__ import annotations

import importlib
import sys

import click

from agent.cli.failures import EXPECTED, exit_code_of

_VERBS = {
    "bundle": "load a bundle or an archive that lies on this machine",
    "check": "say what this machine has, and what is wrong with it",
    "dial-stdio": "join standard input and output to the agent's socket",
    "kit": "say whether this machine takes a kit of the agent",
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _VERBS and not ctx.resilient_parsing:
            from difflib import get_close_matches  # only who mistypes pays for it

            near = get_close_matches(args[0], _VERBS, 1)
            ctx.fail(f"no such command {args[0]!r}{f'; did you mean {near[0]!r}?' if near else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


def _show_version(ctx: click.Context, _parameter: click.Parameter, wanted: object) -> None:
    if wanted:
        from agent.cli.version import version_line

        click.echo(version_line())
        ctx.exit()


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Print the version.",
)
def cli() -> None:
    """The agent of Roost: reports a node's GPUs and containers, and does the work there."""


def main() -> None:
    """Entry point: runs the verb, tells what went wrong, and exits."""
    try:
        code = cli.main(prog_name="roost-agent", standalone_mode=False)
    except EXPECTED as error:
        code = exit_code_of(error)
    sys.exit(code if isinstance(code, int) else 0)
