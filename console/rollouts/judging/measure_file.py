"""Reads a measure, and a replay, of `analysis`: what nodes read beside requests and GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from agent.protocol.decoding import from_plain
from agent.protocol.measures import (
    REPLAY_BODY_LIMIT_BYTES,
    ExecMeasure,
    Measure,
    PrometheusMeasure,
    Replay,
)
from console.compose.reading import Place

MeasureKind = Literal["metric", "exec"]
MEASURE_KEYS: dict[MeasureKind, tuple[str, ...]] = {
    "metric": (
        *("name", "port", "path", "metric", "labels", "read", "quantile", "per", "absent"),
        *("interval", "timeout"),
    ),
    "exec": ("name", "command", "interval", "timeout"),
}
_REPLAY_KEYS = (
    *("workload", "port", "method", "path", "headers", "body", "body_file", "rate", "timeout"),
)
_READS = ("value", "rate", "quantile")
_ABSENT = ("error", "zero")
T = TypeVar("T")


def read_measure(place: Place, kind: MeasureKind) -> Measure | None:
    """None where it cannot be one, which is noted. Other keys there are not looked at."""
    found = {
        "name": _text(place, "name"),
        "interval": _seconds(place, "interval"),
        "timeout": _seconds(place, "timeout"),
    }
    if kind == "exec":
        command = place.get("command")
        return _made(place, ExecMeasure, {**found, "command": command and command.words()})
    port, quantile, read = place.get("port"), place.get("quantile"), place.get("read")
    labels, absent = place.get("labels"), place.get("absent")
    return _made(
        place,
        PrometheusMeasure,
        {
            **found,
            "port": port and port.integer(1, 65535),
            "path": _text(place, "path"),
            "metric": _text(place, "metric"),
            "labels": labels and labels.named(),
            "read": read and read.one_of(_READS),
            "quantile": quantile and quantile.number(),
            "per": _text(place, "per"),
            "absent": absent and absent.one_of(_ABSENT),
        },
    )


def read_replay(place: Place, workloads: list[str]) -> tuple[str, Replay] | None:
    """Of which workload, and what is sent. None where it cannot be one, which is noted."""
    if place.known(_REPLAY_KEYS) is None:
        return None
    workload = place.get("workload")
    if workload is None:
        place.wrong("names no workload", "Say workload: and the name of a service.")
        return None
    name = workload.one_of(workloads)
    port, headers, rate = place.get("port"), place.get("headers"), place.get("rate")
    replay = _made(
        place,
        Replay,
        {
            "port": port and port.integer(1, 65535),
            "method": _text(place, "method"),
            "path": _text(place, "path"),
            "headers": headers and headers.named(),
            "body": _body(place),
            "rate": rate and rate.number(),
            "timeout": _seconds(place, "timeout"),
        },
    )
    return None if name is None or replay is None else (name, replay)


def _body(place: Place) -> bytes | None:
    """`body`, or what is in `body_file`, which is looked for beside the Compose file."""
    body, file = place.get("body"), place.get("body_file")
    if body is not None and file is not None:
        file.wrong("stands beside a body", "Say one of the two.")
        return None
    text = None if (found := body or file) is None else found.text()
    if file is None or text is None:
        return None if text is None else text.encode()
    try:
        with (Path(place.findings.file).parent / text).open("rb") as opened:
            content = opened.read(REPLAY_BODY_LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:
        file.wrong(f"cannot be read: {getattr(error, 'strerror', None) or error}", "Is it there?")
        return None
    if len(content) > REPLAY_BODY_LIMIT_BYTES:
        most = f"{REPLAY_BODY_LIMIT_BYTES // 1024} KiB"
        file.wrong(f"is longer than {most}", "It goes to every node of the rollout: a smaller one.")
        return None
    return content


def _made(place: Place, kind: type[T], values: dict[str, Any]) -> T | None:
    """What is not given is as the wire has it. It must be what a node would take."""
    given = {key: value for key, value in values.items() if value is not None}
    try:
        made = from_plain(given, kind)
    except msgspec.ValidationError as error:
        place.wrong(f"cannot be: {error}", "See docs/rollouts.md, Judging.")
        return None
    return made


def _text(place: Place, key: str) -> str | None:
    found = place.get(key)
    return None if found is None else found.text()


def _seconds(place: Place, key: str) -> float | None:
    found = place.get(key)
    return None if found is None else found.seconds()
