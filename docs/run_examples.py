"""Writes the answers into docs/images.md: each command of a `console` block there is really run.

`python -m docs.run_examples`. The nodes are simulated; the archives are made here, of noise.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import msgspec
import yaml

from tests.archives_made import Made, docker_archive, tar
from tests.simulated import simulator_process

PAGE = Path(__file__).with_name("images.md")
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)
LIMIT_SECONDS = 60


def main() -> None:
    """Run all of them in their order, on nodes of their own."""
    with (
        tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as name,
        simulator_process(6, faults=False) as simulator,
    ):
        home = Path(name)
        config = home / ".config" / "roost"
        config.mkdir(parents=True)
        fleet = yaml.safe_dump(msgspec.to_builtins(simulator.nodes))
        (config / "fleet.yaml").write_text(fleet, encoding="utf-8")
        _make_archives(home)
        text = BLOCK.sub(lambda block: _answered(block[0], home), PAGE.read_text(encoding="utf-8"))
        PAGE.write_text(text, encoding="utf-8")


def _make_archives(home: Path) -> None:
    """Two versions of an image, over one base."""
    base = _layer("usr/lib/base", 6_000_000)
    for version in ("1", "2"):
        image = Made([base, _layer(f"srv/app-{version}", 400_000)], tags=[f"app:{version}"])
        (home / f"app-{version}.tar").write_bytes(docker_archive([image]))


def _layer(name: str, size: int) -> bytes:
    return tar({name: Random(name).randbytes(size)})  # noqa: S311 - noise, no secret


def _answered(block: str, home: Path) -> str:
    lines: list[str] = []
    for command in (line for line in block.splitlines() if line.startswith("$ ")):
        lines += [command, *_answer(command[2:], home).splitlines()]
    return "".join(f"{line}\n" for line in lines)


def _answer(command: str, home: Path) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=home,
        env={"HOME": str(home), "PATH": path, "USER": "maria"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    return done.stdout.replace(f"{home}/", "")


if __name__ == "__main__":
    main()
