"""The stale engines of nodes, as builds."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol.engines import Engine
from agent.protocol.problems import ProblemError
from agent.rules.engine_use import in_use
from console.cli.run import Answer, ask_nodes
from console.cli.setup import Setup
from console.engines.node_build import NodeBuild
from console.fleet.inventory import NodeEntry


def stale_builds(
    setup: Setup, entries: Sequence[NodeEntry]
) -> tuple[list[NodeBuild], list[Answer[None]]]:
    """A build for each stale engine in use; and the nodes that did not answer.

    An engine that was imported has no recipe: that is told as a problem, too.
    """
    found = ask_nodes(setup, entries, lambda _, client: client.engines.list())
    builds: list[NodeBuild] = []
    problems: list[Answer[None]] = []
    for answer in found:
        if answer.problem is not None:
            problems.append(Answer(answer.entry, problem=answer.problem))
        for engine in in_use(answer.value or []):
            request = engine.again() if engine.stale else None
            if request is not None:
                builds.append(NodeBuild(answer.entry, request, engine.manifest.key))
            elif engine.stale:
                problems.append(Answer(answer.entry, problem=_no_recipe(engine)))
    return builds, problems


def _no_recipe(engine: Engine) -> ProblemError:
    return ProblemError(
        "engine.recipe",
        f"the engine of {engine.model} is stale and was imported: it has no recipe",
        hint="Import another one, or build it: roost engine build RECIPE --to SELECTOR",
    )
