"""The examples in the help texts: each is a command that there is, with options that it has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click

from console.cli.lazy import LazyGroup
from console.cli.main import cli

EXAMPLE = re.compile(r"^ *(roost .*)$", re.MULTILINE)


def commands(group: click.Group) -> Iterator[click.Command]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        yield command
        if isinstance(command, click.Group):
            yield from commands(command)


def parse(words: list[str]) -> None:
    """Raises click.UsageError."""
    group: click.Group = cli
    while True:
        ctx = click.Context(group, info_name="roost")
        name, command, words = group.resolve_command(ctx, words)
        assert command is not None, name
        if not isinstance(command, LazyGroup):
            break
        group = command
    command.make_parser(click.Context(command)).parse_args(words)


def test_every_example_parses() -> None:
    found = [
        line
        for command in commands(cli)
        for line in EXAMPLE.findall((command.help or "").replace("\b", ""))
    ]
    assert len(found) >= 14
    for line in found:
        parse(shlex.split(re.split(r" [|>] ", line)[0])[1:])
