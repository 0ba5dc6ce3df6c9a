"""Reads a measure, and a replay, of `analysis`: what nodes read beside requests and GPUs."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from agent.protocol.decoding import from_plain
from agent.protocol.measures import ExecMeasure, Measure, PrometheusMeasure, Replay
from console.compose.reading import Place

MeasureKind = Literal["metric", "exec"]
MEASURE_KEYS: dict[MeasureKind, tuple[str, ...]] = {
    "metric": (
        *("name", "port", "path", "metric", "labels", "read", "quantile", "per", "absent"),
        *("interval", "timeout"),
    ),
    "exec": ("name", "command", "interval", "timeout"),
}
_REPLAY_KEYS = (*("workload", "port", "method", "path", "headers", "body", "rate", "timeout"),)
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
    body = _text(place, "body")
    replay = _made(
        place,
        Replay,
        {
            "port": port and port.integer(1, 65535),
            "method": _text(place, "method"),
            "path": _text(place, "path"),
            "headers": headers and headers.named(),
            "body": None if body is None else body.encode(),
            "rate": rate and rate.number(),
            "timeout": _seconds(place, "timeout"),
        },
    )
    return None if name is None or replay is None else (name, replay)


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
