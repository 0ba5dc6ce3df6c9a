"""What went wrong, on standard error, and the exit code that says so."""

from __future__ import annotations

import os
import sys

import click

from agent.protocol.problems import Problem, ProblemError
from console.text import clean

FAILED = 1
USAGE = 2
UNREACHABLE = 3
INTERRUPTED = 130

# What ends a command without being a mistake of ours.
EXPECTED = (
    ProblemError,
    click.ClickException,
    click.exceptions.Abort,
    KeyboardInterrupt,
    BrokenPipeError,
)
# About the command or the fleet's file, not about what happened on a node.
_OURS = ("fleet.", "settings.", "console.", "compose.")
_USAGE_CODES = (
    "fleet.",
    "settings.",
    "console.usage",
    "console.read_only",
    "console.terminal",
    "request.invalid",
)


def not_reached(problem: Problem | ProblemError) -> bool:
    """Whether it says that we did not get through to an agent of ours.

    Without a token nobody is let in, as with a wrong one; that says nothing of the way there.
    """
    return problem.code.startswith(("link.", "ssh.")) and problem.code != "link.token_missing"


def tell(problem: Problem | ProblemError, *, node: str | None = None) -> None:
    """`error: <node>: <detail>`, and how to go on; both may quote what a node said."""
    detail = clean(problem.detail)
    if node is not None and not detail.startswith((f"{node}:", f"{node} ")):
        detail = f"{node}: {detail}"
    click.echo(f"error: {detail}", err=True)
    if problem.hint:
        click.echo(f"hint: {clean(problem.hint)}", err=True)


def exit_code_of(error: BaseException) -> int:
    """Tell what ended the command, which is one of `EXPECTED`; the exit code for it."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, ProblemError):
        node = error.params.get("node")
        ours = error.code.startswith(_OURS)
        tell(error, node=node if isinstance(node, str) and not ours else None)
        return _code(error)
    if isinstance(error, click.exceptions.Abort):
        interrupted = isinstance(error.__cause__, KeyboardInterrupt)
        if not interrupted:
            click.echo("error: the question was not answered", err=True)
        return INTERRUPTED if interrupted else FAILED
    if isinstance(error, click.ClickException):
        _tell_usage(error)
        return USAGE
    # Who read our output has enough of it. Python must not try to write the rest at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def _code(error: ProblemError) -> int:
    if not_reached(error):
        return UNREACHABLE
    return USAGE if error.code.startswith(_USAGE_CODES) else FAILED


def _tell_usage(error: click.ClickException) -> None:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    message = clean(error.format_message()).rstrip(".")
    click.echo(f"error: {message[:1].lower()}{message[1:]}", err=True)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f"hint: {error.ctx.command_path} --help", err=True)
