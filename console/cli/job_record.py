"""A job as `--json` prints it, and finding one in the fleet."""

from __future__ import annotations

import msgspec

from agent.protocol.jobs import Job
from agent.protocol.problems import Problem, ProblemError
from console.cli.failures import tell
from console.cli.run import ask_each
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.text import plural


class JobRecord(msgspec.Struct, kw_only=True):
    """A job on a node. A node that did not answer has one record with `job` None."""

    node: str
    production: bool
    problem: Problem | None = None
    job: Job | None = None


def record_of(entry: NodeEntry, job: Job) -> JobRecord:
    return JobRecord(node=entry.name, production=entry.production, job=job)


def find_job(setup: Setup, name: str, selector: str | None) -> tuple[NodeEntry, Job]:
    """The one job of that id, or that start of an id, on the selected nodes.

    Raises:
        ProblemError: `job.not_found`, `job.ambiguous`, `settings.*`, `fleet.*`; where only one
            node was asked also that node's own.
    """
    answers = ask_each(setup, selector, lambda _, client: client.job(name))
    found = [(answer.entry, answer.value) for answer in answers if answer.value is not None]
    problems = {
        answer.entry.name: answer.problem
        for answer in answers
        if answer.problem is not None and answer.problem.code != "job.not_found"
    }
    if len(found) == 1 and "job.ambiguous" not in {each.code for each in problems.values()}:
        return found[0]
    if found:
        nodes = [entry.name for entry, _ in found]
        raise ProblemError(
            "job.ambiguous",
            f"jobs on {', '.join(nodes)} begin with {name!r}",
            params={"job": name, "nodes": nodes},
            hint="Write more of the id, or name the node with a selector: @NODE",
        )
    if len(answers) == 1 and answers[0].problem is not None:
        raise answers[0].problem
    for node, problem in problems.items():
        tell(problem, node=node)
    raise ProblemError(
        "job.not_found",
        f"of {plural(len(answers), 'node')}, {len(answers) - len(problems)} answered, and none has"
        f" a job {name!r}",
        params={"job": name},
        hint="See which there are: roost job ls. Old ones are forgotten after a while.",
    )
