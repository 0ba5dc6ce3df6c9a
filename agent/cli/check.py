"""`roost-agent check`: what this machine has and what is wrong with it, without a daemon."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import click
import msgspec

from agent.cli.machine import this_machine
from agent.cli.options import config_option
from agent.cli.shown_certificate import ShownCertificate, shown_certificate
from agent.gpu.detect import gpu_source
from agent.host.real_paths import host_root
from agent.protocol.findings import DoctorReport
from agent.protocol.gpus import Gpu, GpuReport, GpuSample
from agent.protocol.node import NodeFacts
from agent.settings import Settings, load_settings
from agent.store.database import Database

GIBIBYTE = 2**30


class Checked(msgspec.Struct):
    """What `--json` prints."""

    facts: NodeFacts
    gpus: GpuReport
    doctor: DoctorReport
    https: ShownCertificate


@click.command("check")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
def command(config: Path | None, *, as_json: bool) -> None:
    """Look at this machine once: driver, GPUs, runtime, disks, and what the doctor finds.

    Exits with 1 if a finding is an error or worse.
    """
    logging.basicConfig(level=logging.ERROR)  # what warnings say is in the report
    checked = asyncio.run(_look(load_settings(config)))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(checked)).decode())
    else:
        _print(checked)
    if any(finding.severity in {"error", "critical"} for finding in checked.doctor.findings):
        sys.exit(1)


async def _look(settings: Settings) -> Checked:
    node = this_machine(settings, Database(None), gpu_source(host_root()))
    try:
        await node.start(by_itself=False)
        await node.sampler.tick()
        # Rates need two samples.
        await asyncio.sleep(1)
        await node.sampler.tick()
        doctor = await node.examine()
        return Checked(
            facts=node.facts,
            gpus=node.gpu_report(),
            doctor=doctor,
            https=shown_certificate(settings),
        )
    finally:
        await node.stop()


def _print(checked: Checked) -> None:
    facts, stack = checked.facts, checked.facts.gpu_stack
    click.echo(f"host      {facts.host.hostname}, {facts.host.os}, {facts.host.architecture}")
    driver = stack.driver_version or "no driver"
    state = _state(stack.state, stack.reason)
    click.echo(f"driver    {driver}, CUDA {stack.cuda_version or '?'} ({state})")
    runtime = facts.runtime
    name = f"{runtime.name} {runtime.version}" if runtime.name else "none"
    click.echo(f"runtime   {name} ({_state(runtime.state, runtime.reason)})")
    click.echo(f"toolkit   {facts.toolkit.version or 'not installed'}")
    for disk in facts.disks:
        click.echo(
            f"disk      {disk.path}: {disk.free_bytes / GIBIBYTE:.1f} of"
            f" {disk.total_bytes / GIBIBYTE:.1f} GiB free ({', '.join(disk.purposes)})"
        )
    if checked.https.address is not None:
        shown = checked.https.fingerprint or f"no certificate to show: {checked.https.reason}"
        click.echo(f"https     {checked.https.address}, {shown}")
    samples = {sample.uuid: sample for sample in checked.gpus.samples}
    for gpu in checked.gpus.gpus:
        click.echo(f"gpu {gpu.index}     {_gpu(gpu, samples.get(gpu.uuid))}")
    for check in checked.doctor.checks:
        if check.outcome == "could_not_tell":
            click.echo(f"unknown   {check.check}: {check.reason}")
    for finding in checked.doctor.findings:
        click.echo(f"{finding.severity:<9} {finding.title} ({finding.subject})")
        click.echo(f"          why:  {finding.cause}")
        click.echo(f"          mend: {finding.mend}")
    if not checked.doctor.findings:
        click.echo("findings  none")


def _state(state: str, reason: str | None) -> str:
    return f"{state}: {reason}" if reason else state


def _gpu(gpu: Gpu, sample: GpuSample | None) -> str:
    parts = [gpu.name, gpu.uuid]
    if gpu.compute_capability:
        parts.append(f"compute {gpu.compute_capability}")
    if sample is None:
        return ", ".join([*parts, "not sampled"])
    if sample.state != "ok":
        return ", ".join([*parts, _state(sample.state, sample.reason)])
    used, total = sample.memory_used_bytes, sample.memory_total_bytes
    if used is not None and total is not None:
        parts.append(f"{used / GIBIBYTE:.1f} of {total / GIBIBYTE:.1f} GiB")
    if sample.utilization_percent is not None:
        parts.append(f"{sample.utilization_percent:.0f} % busy")
    if sample.temperature_celsius is not None:
        parts.append(f"{sample.temperature_celsius:.0f} C")
    return ", ".join(parts)
