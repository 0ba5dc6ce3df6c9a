"""`roost container pin`: the same container on other GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import click

from agent.protocol.deployments import DeployOptions, DeployPlan, PinRequest, WorkloadStatus
from agent.protocol.jobs import ENDED
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuRequest, Strategy
from console.cli.consent import consent
from console.cli.deploying import (
    check_option,
    confirm_options,
    follow_one,
    problem_of,
    unconfirmed,
)
from console.cli.nodes import one_node
from console.cli.options import container_argument, json_option, node_argument, yes_option
from console.cli.output import print_json, say
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.fleet.plan_words import plan_lines
from console.images.rate import parse_bytes
from console.text import clean

# The runtime takes the start of an id for the container; a shorter one is more likely a name.
ID_START = 4


@click.command("pin")
@node_argument
@container_argument
@click.option(
    "--gpu",
    "select",
    required=True,
    metavar="SELECT",
    help="A GPU-... or MIG-... UUID or its beginning, an index, name=A10, profile=1g.10gb,"
    " igpu (a Jetson's own), least-memory, least-busy or all. Several with commas.",
)
@click.option("--count", type=click.IntRange(1, 64), help="How many, where SELECT chooses.")
@click.option(
    "--exclusive/--no-exclusive", default=None, help="No other workload of Roost's may be on it."
)
@click.option("--memory", metavar="SIZE", help="Reserve so much on each GPU: 6GiB; 0: nothing.")
@click.option(
    "--strategy",
    type=click.Choice(["stop-then-start", "start-then-stop"]),
    help="Chosen from ports, volumes and free GPU memory unless said.",
)
@click.option(
    "--verify/--no-verify", default=None, help="Fail where the GPU cannot be checked from inside."
)
@confirm_options
@check_option
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    node: str,
    container: str,
    *,
    select: str,
    count: int | None,
    exclusive: bool | None,
    memory: str | None,
    strategy: Strategy | None,
    verify: bool | None,
    confirm: Literal["auto", "manual"],
    confirm_within: float,
    check: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Make CONTAINER on NODE again on the GPUs that SELECT says, with everything else it has.

    The new container is made before the old one is touched. If it does not start, is not well or
    does not see its GPUs, the old one runs again as before. `roost workload undo` goes back later.

    A workload keeps what it was deployed with: --exclusive, --memory, --verify and --count say
    otherwise.
    """
    entry = one_node(setup, node)
    size = None if memory is None or memory.strip() == "0" else parse_bytes(memory)
    terms = _terms(ask_one(setup, entry.name, lambda _, client: client.workloads.list()), container)
    terms.select, terms.count = select, count or terms.count
    if exclusive is not None:
        terms.exclusive = exclusive
    if memory is not None:
        terms.memory_bytes = size
    if verify is not None:
        terms.verify = "required" if verify else "if-possible"
    request = PinRequest(
        gpu=terms,
        strategy=strategy,
        options=DeployOptions(confirm=confirm, confirm_within=confirm_within),
    )
    plan = ask_one(
        setup, entry.name, lambda _, client: client.workloads.plan_pin(container, request)
    )
    if check:
        if as_json:
            print_json(plan)
        else:
            _tell(entry, plan)
        return 1 if plan.problems else 0
    for problem in plan.problems:
        raise ProblemError.from_problem(problem)
    setup.refuse_changes("container pin")
    _tell(entry, plan)
    consent([entry], f"pin {container}", yes=yes)

    job = follow_one(
        setup,
        entry,
        lambda client, key: client.workloads.pin(container, request, key),
        manual=confirm == "manual",
    )
    if as_json:
        print_json(job)
    elif job.state in ENDED:
        for name, outcome in job.result.items():
            click.echo(clean(f"{entry.name}  {name}  {outcome}"))
    if job.state not in ENDED:
        say(unconfirmed(entry.name, plan.workloads[0].name, confirm_within))
    skipped = problem_of(job)
    if skipped is not None:
        raise skipped
    return 0


def _terms(workloads: Sequence[WorkloadStatus], container: str) -> GpuRequest:
    """What a workload was given its GPUs with; of any other container, nothing."""
    for each in workloads:
        started = len(container) >= ID_START and (each.container or "").startswith(container)
        if each.gpu is not None and (each.name == container or started):
            each.gpu.count = max(1, len(each.gpus))
            return each.gpu
    return GpuRequest(select="")


def _tell(entry: NodeEntry, plan: DeployPlan) -> None:
    say(f"{entry.name}:")
    for line in plan_lines(plan):
        say(f"  {line}")
