"""Data on standard output: JSON, and lines for people."""

from __future__ import annotations

import json
import shutil
import sys

import click
import msgspec

from console.text import clean

# Wide enough for anything: who pipes wants all of it.
NO_LIMIT = 1 << 20


def print_json(value: object) -> None:
    """`value` as indented JSON."""
    click.echo(safe_json(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))


def safe_json(text: str) -> str:
    """JSON in which what a terminal might obey is escaped; it means the same."""
    return "\n".join(
        line if line.isprintable() else "".join(map(_escaped, line)) for line in text.split("\n")
    )


def say(text: str) -> None:
    """A line for people that is not the command's data."""
    click.echo(clean(text), err=True)


def on_terminal() -> bool:
    """Whether standard output is a person's terminal."""
    return sys.stdout.isatty()


def width() -> int:
    """How many cells a line may have."""
    return shutil.get_terminal_size().columns if on_terminal() else NO_LIMIT


def _escaped(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]
