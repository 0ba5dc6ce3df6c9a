"""Prometheus text format, version 0.0.4.

Written here because prometheus_client insists on a `_total` suffix for counters, and the DCGM
exporter's counters, which existing dashboards ask for, have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Kind = Literal["gauge", "counter"]


class Exposition:
    """Samples by metric, in the order in which the metrics first came."""

    def __init__(self) -> None:
        self._heads: dict[str, str] = {}
        self._samples: dict[str, list[str]] = {}

    def add(
        self, name: str, kind: Kind, text: str, value: float | None, labels: Mapping[str, str]
    ) -> None:
        """One sample; None, which means unknown, is left out."""
        if value is None:
            return
        if name not in self._heads:
            self._heads[name] = f"# HELP {name} {text}\n# TYPE {name} {kind}"
            self._samples[name] = []
        inside = ",".join(f'{key}="{_escape(label)}"' for key, label in labels.items())
        self._samples[name].append(f"{name}{{{inside}}} {_number(value)}")

    def render(self) -> str:
        """The whole page."""
        lines: list[str] = []
        for name, head in self._heads.items():
            lines += [head, *self._samples[name]]
        return "\n".join([*lines, ""])


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
