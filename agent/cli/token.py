"""`roost-agent token`: bearer tokens for the https listener."""

from __future__ import annotations

import re
import time
from pathlib import Path

import click

from agent.cli.options import config_option
from agent.protocol.access import ROLES, Role
from agent.settings import load_settings
from agent.store.database import Database
from agent.store.tokens import TokenStore

LONGEST_YEARS = 100
_SPANS = {"m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}


class Span(click.ParamType[float]):
    """`90m`, `12h`, `30d`, `1y` as seconds."""

    name = "span"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+)([mhdy])", value)
        if not match:
            self.fail(f"{value!r} is not a span like 90m, 12h, 30d or 1y", param, ctx)
        seconds = float(match[1]) * _SPANS[match[2]]
        if seconds > LONGEST_YEARS * _SPANS["y"]:
            self.fail(f"{value!r} is over {LONGEST_YEARS} years", param, ctx)
        return seconds


def _checked_name(_: click.Context, __: click.Parameter, name: str) -> str:
    """It is shown in terminals and logs as the owner of what was done."""
    if not re.fullmatch(r"[\w.@+-]{1,64}", name):
        raise click.BadParameter("a name has 1 to 64 letters, digits, dots, @, +, - or _")
    return name


@click.group("token")
def command() -> None:
    """Make, list and revoke the tokens that https callers need."""


@command.command("make")
@click.argument("name", callback=_checked_name)
@click.option("--role", type=click.Choice(ROLES), default="operator", show_default=True)
@click.option("--expires", type=Span(), help="90m, 12h, 30d, 1y. Never, if not given.")
@config_option
def make(name: str, role: Role, expires: float | None, config: Path | None) -> None:
    """Make a token and print it: it cannot be shown again."""
    click.echo(_store(config).make(name, role, lifetime_seconds=expires))


@command.command("ls")
@config_option
def list_tokens(config: Path | None) -> None:
    """List the tokens, without their secrets."""
    for token in _store(config).list():
        click.echo(f"{token.name}\t{token.role}\t{_expiry(token.expires_at)}")


@command.command("revoke")
@click.argument("name")
@config_option
def revoke(name: str, config: Path | None) -> None:
    """Make a token worthless at once."""
    _store(config).revoke(name)
    click.echo(f"revoked {name}", err=True)


def _store(config: Path | None) -> TokenStore:
    return TokenStore(Database(load_settings(config).database))


def _expiry(expires_at: float | None) -> str:
    if expires_at is None:
        return "never expires"
    word = "expired" if expires_at <= time.time() else "expires"
    return f"{word} {time.strftime('%Y-%m-%d %H:%M', time.localtime(expires_at))}"
