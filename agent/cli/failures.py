"""What went wrong, on standard error, and the exit code that says so: as `roost` tells it."""

from __future__ import annotations

import click

from agent.protocol.problems import ProblemError

FAILED = 1
USAGE = 2
INTERRUPTED = 130

# What ends a command without being a mistake of ours.
EXPECTED = (ProblemError, click.ClickException, click.exceptions.Abort)


def exit_code_of(error: BaseException) -> int:
    """Tell what ended the command, which is one of `EXPECTED`; the exit code for it."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return USAGE
    if isinstance(error, click.ClickException):
        ctx = error.ctx if isinstance(error, click.UsageError) else None
        hint = f"{ctx.command_path} --help" if ctx is not None else None
        _tell(error.format_message().rstrip("."), hint)
        return USAGE
    if isinstance(error, ProblemError):
        _tell(f"{error.title}: {error.detail}", error.hint)
        return FAILED
    return INTERRUPTED


def _tell(text: str, hint: str | None) -> None:
    click.echo(f"error: {text[:1].lower()}{text[1:]}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
