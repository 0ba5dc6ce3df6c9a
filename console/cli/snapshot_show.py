"""`roost snapshot show`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from agent.protocol.snapshots import NodeSnapshot
from console.cli.options import json_option
from console.cli.output import print_json
from console.cli.setup import Setup
from console.snapshots.snapshot_file import SnapshotFile, read_snapshot
from console.text import clean, plural, size


@click.command("show")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def command(_: Setup, file: Path, *, as_json: bool) -> None:
    """Say what the snapshot in FILE holds. No node is asked."""
    found = read_snapshot(file)
    if as_json:
        print_json(found.snapshot)
        return
    for line in lines_of(found):
        click.echo(clean(line))


def lines_of(found: SnapshotFile) -> list[str]:
    """A snapshot in a screenful."""
    snapshot = found.snapshot
    facts = snapshot.facts
    taken = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(snapshot.taken_at))
    stack = facts.gpu_stack
    lines = [
        f"snapshot  {found.path}, {size(found.bundle.index.size_bytes)}",
        f"node      {snapshot.node}, {taken}",
        f"driver    {stack.driver_version or 'none'}, CUDA {stack.cuda_version or 'unknown'}",
        *(
            f"GPU {each.index}     {each.name}, {size(each.memory_total_bytes)}"
            for each in facts.gpus
        ),
        f"runtime   {facts.runtime.name or 'none'} {facts.runtime.version or ''}".rstrip(),
        f"machine   {facts.host.os}, {facts.host.architecture}",
        f"carries   {_carried(found)}",
    ]
    lines += [f"workload  {text}" for text in _workloads(snapshot)]
    lines += [
        f"engine    {each.model} {each.manifest.key[:12]}{', in use' if each.current else ''}"
        for each in snapshot.engines
    ]
    if snapshot.secrets:
        lines.append(f"secrets   {', '.join(snapshot.secrets)} (names only)")
    return lines


def _carried(found: SnapshotFile) -> str:
    manifest = found.bundle.manifest
    names = [tag for image in manifest.images for tag in image.tags]
    parts = []
    if manifest.images:
        parts.append(f"{plural(len(manifest.images), 'image')} ({', '.join(names)})")
    if manifest.files:
        parts.append(plural(len(manifest.files), "model"))
    return ", ".join(parts) or "no images, no models"


def _workloads(snapshot: NodeSnapshot) -> list[str]:
    found = []
    for each in snapshot.workloads:
        image = each.workload.image if each.workload else "not known how it was asked for"
        gpus = f", GPU {each.workload.gpu.select}" if each.workload and each.workload.gpu else ""
        held = f", {plural(len(each.withheld), 'value')} withheld" if each.withheld else ""
        found.append(f"{each.name}: {image}{gpus}, {each.state}{held}")
    return found
