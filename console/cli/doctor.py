"""`roost doctor`: what is wrong on the nodes, why, and how to mend it."""

from __future__ import annotations

import click
import msgspec

from agent.protocol.findings import DoctorReport
from agent.protocol.problems import Problem
from console.cli.failures import FAILED
from console.cli.finding_text import finding_lines
from console.cli.options import json_option, selector_argument
from console.cli.output import print_json, say
from console.cli.run import Answer, ask_each, conclude
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.text import clean, plural


class DoctorRecord(msgspec.Struct, kw_only=True):
    """A node as `--json` prints it: its report, or why there is none."""

    node: str
    production: bool
    problem: Problem | None = None
    report: DoctorReport | None = None


@click.command("doctor")
@selector_argument
@click.option("--verbose", "-v", is_flag=True, help="Also checks that could not tell.")
@json_option
@click.pass_obj
def command(setup: Setup, selector: str | None, *, verbose: bool, as_json: bool) -> int:
    """Say what is wrong on the nodes, why, and how to mend it.

    Exits with 1 if a finding is an error or worse.
    """
    answers = ask_each(setup, selector, _examine)
    if as_json:
        print_json([_record(answer) for answer in answers])
    else:
        for answer in answers:
            if answer.value is not None:
                _print(answer.entry, answer.value, verbose=verbose)
        _say_summary(answers)
    code = conclude(answers)
    bad = any(
        finding.severity in {"error", "critical"}
        for answer in answers
        if answer.value is not None
        for finding in answer.value.findings
    )
    return FAILED if bad else code


async def _examine(_entry: NodeEntry, client: NodeClient) -> DoctorReport:
    _, offset, uncertainty = await client.node_and_clock()
    return await client.doctor(clock_offset_seconds=offset, clock_uncertainty_seconds=uncertainty)


def _record(answer: Answer[DoctorReport]) -> DoctorRecord:
    return DoctorRecord(
        node=answer.entry.name,
        production=answer.entry.production,
        problem=answer.problem.problem() if answer.problem else None,
        report=answer.value,
    )


def _print(entry: NodeEntry, report: DoctorReport, *, verbose: bool) -> None:
    unsure = [check for check in report.checks if check.outcome == "could_not_tell"]
    if not report.findings and not (verbose and unsure):
        return
    click.echo(f"{entry.name}{' PROD' if entry.production else ''}")
    for finding in report.findings:
        for line in finding_lines(finding, indent="  "):
            click.echo(line)
    if verbose:
        for check in unsure:
            click.echo(clean(f"  unknown   {check.check}: {check.reason}"))
    click.echo()


def _say_summary(answers: list[Answer[DoctorReport]]) -> None:
    reports = [answer.value for answer in answers if answer.value is not None]
    if not reports:
        return
    found = sum(len(report.findings) for report in reports)
    sound = sum(not report.findings for report in reports)
    unsure = sum(check.outcome == "could_not_tell" for r in reports for check in r.checks)
    say(
        f"{plural(len(reports), 'node')} examined: {plural(found, 'finding')},"
        f" {sound} without any, {plural(unsure, 'check')} could not tell"
    )
