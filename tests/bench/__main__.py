"""`python -m tests.bench [NAME...]`: run the benchmarks and print their table."""

from __future__ import annotations

import importlib
import json
import logging
import os
import platform
import sys
import time
from pathlib import Path

import click
import msgspec

from tests.bench.table import Row, render

NAMES = (
    *("startup", "terminal", "console", "agent", "images"),
    *("kits", "compatibility", "pins", "traffic", "engines", "site", "judging", "rollouts"),
    "detector",
    "snapshots",
    "upgrades",
)
log = logging.getLogger(__name__)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--short", is_flag=True, help="Shorter runs: to see that they work, not to quote.")
@click.option("--json", "as_json", type=click.Path(path_type=Path), help="Write the figures here.")
def main(names: tuple[str, ...], as_json: Path | None, *, short: bool) -> None:
    """Run the benchmarks NAMES, all of them if none is named."""
    click.echo(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()},"
        f" load {os.getloadavg()[0]:.1f}. Shared machine: compare ratios, not times.",
        err=True,
    )
    rows: list[Row] = []
    broken: list[str] = []
    for name in names or NAMES:
        click.echo(f"running {name} ...", err=True)
        started = time.monotonic()
        try:
            rows += importlib.import_module(f"tests.bench.{name}").run(short=short)
        except Exception:  # what the others measured is kept
            log.exception("%s broke", name)
            broken.append(name)
        click.echo(f"  {time.monotonic() - started:.0f} s", err=True)
    click.echo(render(rows))
    if as_json:
        as_json.write_text(json.dumps(msgspec.to_builtins(rows), indent=1) + "\n", encoding="utf-8")
    if broken:
        click.echo(f"broke, see above: {', '.join(broken)}", err=True)
    if broken or not all(row.within for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
