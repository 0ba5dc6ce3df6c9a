"""`roost`: nouns are imported only when they run, so that small commands start fast."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from console.cli.lazy import LazyGroup
from console.cli.setup import Setup
from console.cli.version import show_version

_NOUNS = {
    "agent": ("console.cli.agent", "make what puts the agent on nodes"),
    "bundle": ("console.cli.bundle", "carry images in one signed file, as on a stick"),
    "completion": ("console.cli.completion", "print what makes your shell complete `roost`"),
    "container": ("console.cli.container", "list containers, read their logs, work in them"),
    "demo": ("console.cli.demo", "show this machine beside simulated nodes"),
    "doctor": ("console.cli.doctor", "say what is wrong on the nodes, why, and how to mend it"),
    "engine": ("console.cli.engine", "build TensorRT engines on the nodes that will run them"),
    "gpu": ("console.cli.gpu", "list GPUs"),
    "image": ("console.cli.image", "bring images to nodes, see which node has what"),
    "job": ("console.cli.job", "see what nodes are at work on, cancel it, try it again"),
    "key": ("console.cli.key", "make keys, sign with them, say which of them nodes trust"),
    "metrics": ("console.cli.metrics", "tell Prometheus of drift, rollouts and silent nodes"),
    "node": ("console.cli.node", "list, show, add and remove nodes"),
    "release": ("console.cli.release", "look at a release before it goes out"),
    "rollout": ("console.cli.rollout", "let a release out on many nodes, in waves"),
    "secret": ("console.cli.secret", "keep passwords and keys on nodes, for their workloads"),
    "snapshot": ("console.cli.snapshot", "take down how a node is, compare, bring it back"),
    "tui": ("console.cli.tui", "open the terminal interface (also: no command at all)"),
    "workload": ("console.cli.workload", "have nodes run the services of Compose files"),
}


@click.group(
    cls=LazyGroup,
    lazy=_NOUNS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "\b\nFirst steps:\n"
        "  roost demo                               simulated nodes to try everything on\n"
        "  roost node install ssh://user@host       put the agent on a host, and add it\n"
        "  roost node add ssh://user@host           add a host that has it\n"
        "  roost                                    the terminal interface\n"
        "  roost doctor                             what is wrong, why, and how to mend it\n\n"
        "Exit codes: 0 done, 1 failed somewhere, 2 the command does not fit,"
        " 3 no node could be reached.\n\n"
        "Environment: ROOST_FLEET is a fleet.yaml as --fleet takes it. ROOST_SSH is the command"
        " that reaches ssh:// nodes, with options if need be; `ssh` if not given. Keys, hosts and"
        " jumps are those of your ~/.ssh/config."
    ),
)
@click.option(
    "--fleet",
    type=click.Path(path_type=Path),
    envvar="ROOST_FLEET",
    help="fleet.yaml to use instead of your own ($XDG_CONFIG_HOME/roost/fleet.yaml).",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 3600),
    metavar="SECONDS",
    help="How long to wait for a node, to get through and for each answer (15, ssh 30).",
)
@click.option("--read-only", is_flag=True, help="Refuse every command that changes something.")
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=show_version,
    help="Print the version.",
)
@click.pass_context
def cli(ctx: click.Context, fleet: Path | None, timeout: float | None, *, read_only: bool) -> None:
    """Run GPU nodes at the edge from a terminal.

    Without a command, the terminal interface opens.
    """
    ctx.obj = Setup(fleet_file=fleet, timeout=timeout, read_only=read_only)
    if ctx.invoked_subcommand is not None:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)
    # Hardly any of what it imports is garbage; console.tui.collecting collects again.
    gc.disable()
    tui = cli.get_command(ctx, "tui")
    if tui is not None:
        ctx.invoke(tui)


def _expected_failures() -> tuple[type[BaseException], ...]:
    from console.cli.failures import EXPECTED

    return EXPECTED


def main() -> None:
    """Entry point: runs the command, tells what went wrong, and exits."""
    # A name that the terminal's encoding lacks must not end the command.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(prog_name="roost", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit:  # completion ends so, and needs no more imports
        raise
    except _expected_failures() as error:  # evaluated only when something was raised
        from console.cli.failures import exit_code_of

        code = exit_code_of(error)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
