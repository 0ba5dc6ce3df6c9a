"""Arguments and options of the verbs that read Compose files, and what they mean together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce, wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from agent.protocol.problems import ProblemError
from console.cli.failures import tell
from console.cli.image_options import to_option
from console.cli.nodes import fleet_file, selected_nodes
from console.cli.options import complete_selector
from console.cli.output import say
from console.cli.setup import Setup
from console.compose.compose_file import (
    ComposeFile,
    NodeValues,
    NodeWorkloads,
    read_compose,
    workloads_for,
    workloads_for_each,
)
from console.compose.env_file import parse_env_file, read_env_file
from console.compose.findings import ComposeProblem, Findings, gathered
from console.fleet.fleet_file import load_inventory
from console.fleet.inventory import Inventory, NodeEntry
from console.fleet.variables import NAME, OWN, node_variables, own_variables
from console.text import plural

NAMED = 20  # nodes that a message names

_file_argument = click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
_optional_to = click.option(
    "--to",
    "selector",
    default="",
    metavar="SELECTOR",
    shell_complete=complete_selector,
    help="Nodes that are asked as well: labels, or @NAME.",
)
set_option = click.option(
    "--set",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable's value on every node; it goes before all others.",
)
env_file_option = click.option(
    "--env-file",
    "env_files",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="A file of NAME=value lines, for what fleet.yaml does not say.",
)
_profile_option = click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="NAME",
    help="Also the services of this profile; * means all.",
)


class Asked(msgspec.Struct, frozen=True):
    """Compose files, for which nodes, and what they say there."""

    files: tuple[Path, ...]
    selector: str
    given: tuple[str, ...]
    env_files: tuple[Path, ...]
    profiles: tuple[str, ...]


def compose_arguments(command: Callable[..., int]) -> Callable[..., int]:
    """FILE..., `--to`, `--set`, `--env-file` and `--profile`, all of them as the argument
    `asked`."""

    return _with_asked(command, to_option)


def release_arguments(command: Callable[..., int]) -> Callable[..., int]:
    """The same, and `--to` may be left out: `asked.selector` is "" then."""
    return _with_asked(command, _optional_to)


def _with_asked(
    command: Callable[..., int], to: Callable[[Callable[..., int]], Callable[..., int]]
) -> Callable[..., int]:
    @wraps(command)
    def with_asked(*arguments: Any, **options: Any) -> int:
        asked = Asked(**{name: options.pop(name) for name in Asked.__struct_fields__})
        return command(*arguments, asked=asked, **options)

    options: tuple[Callable[..., Any], ...]
    options = (_profile_option, env_file_option, set_option, to, _file_argument)
    return reduce(lambda wrapped, option: option(wrapped), options, with_asked)


def read_workloads(setup: Setup, asked: Asked) -> tuple[Sequence[NodeEntry], list[NodeWorkloads]]:
    """The nodes, and what the files, merged, mean for each of them, with their problems.

    Raises:
        ProblemError: `compose.*` where there is nothing to read, `console.usage`, `fleet.*`,
            `settings.*`.
    """
    entries = selected_nodes(setup, asked.selector)
    compose = read_compose(*asked.files, profiles=asked.profiles)
    return entries, meaning_on(setup, asked, compose, entries)


def meaning_on(
    setup: Setup, asked: Asked, compose: ComposeFile, entries: Sequence[NodeEntry]
) -> list[NodeWorkloads]:
    """What the files mean for each of these nodes, with their problems.

    Raises:
        ProblemError: `console.usage`, `compose.*`, `fleet.variable`, `settings.*`.
    """
    sets, common, inventory = _given(setup, asked)
    values = [
        NodeValues(
            entry.name,
            {**common, **node_variables(inventory, entry), **sets, **own_variables(entry)},
        )
        for entry in entries
    ]
    return workloads_for_each(compose, values)


def meaning_anywhere(setup: Setup, asked: Asked, compose: ComposeFile) -> NodeWorkloads:
    """What the files mean, whatever the node: a variable has the value of the first node of
    fleet.yaml that has one. Raises as `meaning_on`."""
    sets, common, inventory = _given(setup, asked)
    somewhere: dict[str, str] = {f"{OWN}NODE": "node"}
    for entry in reversed(inventory.nodes):
        somewhere |= {**node_variables(inventory, entry), **own_variables(entry)}
    return workloads_for(compose, NodeValues("", {**somewhere, **common, **sets}))


def _given(setup: Setup, asked: Asked) -> tuple[dict[str, str], dict[str, str], Inventory]:
    """Values of --set, those of --env-file, and the fleet."""
    sets = _sets(asked.given)
    common: dict[str, str] = {}
    for path in asked.env_files:
        common |= _of_file(path, sets)
    path = fleet_file(setup)
    return sets, common, load_inventory(path) if path.exists() else Inventory()


def tell_problems(found: Sequence[NodeWorkloads]) -> bool:
    """Say each problem once, with its nodes if it is not of all; whether one is an error."""
    problems = gathered((node.node, node.problems) for node in found)
    for problem in problems:
        nodes = "" if len(problem.nodes) == len(found) else f"{_nodes(problem)}: "
        if problem.level == "error":
            error = problem.error()
            error.detail = nodes + error.detail
            tell(error)
        else:
            say(f"warning: {nodes}{problem.place}: {problem.what}")
            say(f"hint: {problem.hint}")
    return any(problem.level == "error" for problem in problems)


def _nodes(problem: ComposeProblem) -> str:
    more = len(problem.nodes) - NAMED
    names = ", ".join(problem.nodes[:NAMED])
    return f"{names} and {plural(more, 'more node')}" if more > 0 else names


def _sets(given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not NAME.fullmatch(name):
            raise ProblemError(
                "console.usage", f"--set {text}: that is not NAME=VALUE", hint="Like: --set PORT=80"
            )
        if name.startswith(OWN):
            raise ProblemError(
                "console.usage",
                f"--set {text}: {name} is one of Roost's own",
                hint="Take a name that does not begin with ROOST_.",
            )
        found[name] = value
    return found


def _of_file(path: Path, sets: dict[str, str]) -> dict[str, str]:
    findings = Findings(str(path))
    text = read_env_file(path, findings, line=None)
    found = (
        {}
        if text is None
        else parse_env_file(text, name=str(path), variables=sets, findings=findings)
    )
    if findings.problems:
        *others, last = [problem.error() for problem in findings.problems]
        for problem in others:
            tell(problem)
        raise last
    return found
