"""Arguments and options that the verbs about engines share."""

from __future__ import annotations

import re

import click

from agent.protocol.problems import ProblemError

_KEY = re.compile(r"[0-9a-f]{4,64}")
_TIME = re.compile(r"(\d+(?:\.\d+)?) *(us|ms|s|)", re.ASCII)
_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "": 1.0}


def key_callback(_ctx: click.Context, _param: click.Parameter, text: str | None) -> str | None:
    """The start of a key as it was given; click.BadParameter where it is none."""
    if text is not None and not _KEY.fullmatch(text):
        raise click.BadParameter("a key has 4 to 64 hex digits: roost engine ls has its start")
    return text


model_argument = click.argument("model", metavar="MODEL")
key_argument = click.argument("key", metavar="KEY", callback=key_callback)
key_option = click.option(
    "--key",
    metavar="KEY",
    callback=key_callback,
    help="The start of its key; without, the one in use, else the newest.",
)
gpu_option = click.option("--gpu", metavar="UUID", help="The GPU, if the node has several.")


def milliseconds(
    text: str, *, how: str = "how long the slowest run may take: --max-latency 20ms"
) -> float:
    """ "20ms", "1.5s", "800us"; a plain number is milliseconds.

    Args:
        how: what to say, for who said no time.

    Raises:
        ProblemError: `console.usage`.
    """
    found = _TIME.fullmatch(text.strip())
    value = float(found[1]) * _MS[found[2]] if found is not None else 0.0
    if value <= 0:
        raise ProblemError(
            "console.usage",
            f"{text[:40]!r} is not a time like 20ms or 1.5s",
            hint=f"Say {how}",
        )
    return value


def batches(text: str) -> list[int]:
    """ "1,4,8".

    Raises:
        ProblemError: `console.usage`.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part[:6]) > 0 for part in parts):
        raise ProblemError(
            "console.usage",
            f"{text[:40]!r} is not a list of batch sizes like 1,4,8",
            hint="Write whole numbers from 1, with commas between them.",
        )
    return [int(part) for part in parts]
