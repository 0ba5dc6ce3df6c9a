"""A Compose file, read once, and the workloads that it means for each node."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.protocol.engines import EngineRecipe
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Workload
from console.compose import tree
from console.compose.definitions import NAME, read_definitions
from console.compose.engine import read_engine
from console.compose.environment import EnvFiles
from console.compose.extending import Extending, OtherFiles
from console.compose.findings import ComposeProblem, Findings
from console.compose.interpolation import names_in
from console.compose.merging import merge, without_tags
from console.compose.order import start_order
from console.compose.ports import see_published_once
from console.compose.reading import ROOST, Place
from console.compose.service import Around, read_service

SIZE_LIMIT = 1 << 20
WORKLOADS_LIMIT = 64  # what a node takes at once
PROJECT = "COMPOSE_PROJECT_NAME"
_TOP = (
    *("version", "name", "services", "networks", "volumes", "secrets", "configs", "include"),
    ROOST,
)
_PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class ComposeFile:
    """The file's tree, with variables not put in yet. Make it with `read_compose`."""

    name: str
    """As messages have it."""
    path: Path
    """Absolute; of several files, the first: paths in all of them start from its folder."""
    roots: Sequence[tree.Node | None]
    """Of each file; what a later one says goes before what an earlier one says."""
    paths: Sequence[Path]
    resets: bool
    """Whether `!reset` takes something away."""
    profiles: frozenset[str]
    problems: Sequence[ComposeProblem]
    """What is wrong whatever the node; it is in each node's problems as well."""
    variables: frozenset[str] | None
    """All that decide what the file means; None: any may, for it names other files with more."""
    env_files: EnvFiles
    others: OtherFiles


@dataclass(frozen=True, slots=True)
class NodeValues:
    """A node, and what the file's variables are there."""

    name: str
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NodeWorkloads:
    """What the file means for a node."""

    node: str
    project: str
    workloads: Sequence[Workload]
    """In the order in which they start; empty where a problem is an error."""
    problems: Sequence[ComposeProblem]
    engines: Mapping[str, EngineRecipe] = field(default_factory=dict)
    """How the engines are built that they get, by workload; empty as `workloads` is."""
    lines: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Where each service says what, by service and key: "image", "x-roost.variants"; "" is all."""

    @property
    def refused(self) -> bool:
        return any(problem.level == "error" for problem in self.problems)


def read_compose(*paths: Path, profiles: Iterable[str] = ()) -> ComposeFile:
    """Read a Compose file, or several that are merged, and none of those that they may name.

    `profiles` are those that are on; "*" means all.

    Raises:
        ProblemError: `compose.unreadable`, `compose.syntax`, `compose.too_large`.
    """
    return _parsed([(path, _text(path)) for path in paths], profiles)


def parse_compose(text: str, *, path: Path, profiles: Iterable[str] = ()) -> ComposeFile:
    """The same of a text; `path` says where it would stand.

    Raises:
        ProblemError: `compose.syntax`, `compose.too_large`.
    """
    return _parsed([(path, text)], profiles)


def _parsed(texts: Sequence[tuple[Path, str]], profiles: Iterable[str]) -> ComposeFile:
    roots: list[tree.Node | None] = []
    problems: list[ComposeProblem] = []
    for path, text in texts:
        findings = Findings(str(path))
        try:
            roots.append(tree.read_tree(text, findings))
        except tree.Unreadable:
            raise findings.problems[-1].error() from None
        problems += findings.problems
    paths = [path.absolute() for path, _ in texts]
    variables = [_variables(root) for root in roots]
    return ComposeFile(
        name=str(texts[0][0]),
        path=paths[0],
        roots=roots,
        paths=paths,
        resets=any("!reset" in text for _, text in texts),
        profiles=frozenset(profiles),
        problems=problems,
        variables=_all(variables),
        env_files=EnvFiles(paths[0].parent),
        others=OtherFiles(),
    )


def _text(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size > SIZE_LIMIT:
            raise _unreadable(path, f"it has more than {SIZE_LIMIT >> 20} MiB")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise _unreadable(path, "it is not UTF-8") from None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None


def _all(variables: Sequence[frozenset[str] | None]) -> frozenset[str] | None:
    found: frozenset[str] = frozenset()
    for names in variables:
        if names is None:
            return None
        found |= names
    return found


def workloads_for(file: ComposeFile, node: NodeValues) -> NodeWorkloads:
    """What `file` means for one node. Nothing is raised: mistakes are in the answer."""
    findings = Findings(file.name)
    found: list[Workload] = []
    engines: dict[str, EngineRecipe] = {}
    lines: dict[str, dict[str, int]] = {}
    project = ""
    variables = dict(node.variables)
    root = _whole(file, variables, findings)
    if root is None:
        findings.add("compose.invalid", None, "the file is empty", "It wants services: at least.")
    else:
        project, found, engines = _workloads(file, root, variables, findings, lines)
    problems = [*file.problems, *findings.problems]
    refused = any(problem.level == "error" for problem in problems)
    return NodeWorkloads(
        node.name, project, [] if refused else found, problems, {} if refused else engines, lines
    )


def workloads_for_each(file: ComposeFile, nodes: Sequence[NodeValues]) -> list[NodeWorkloads]:
    """The same for many: nodes for which the variables are the same are read once."""
    read: dict[tuple[tuple[str, str], ...], NodeWorkloads] = {}
    found: list[NodeWorkloads] = []
    for node in nodes:
        key = tuple(
            pair
            for pair in sorted(node.variables.items())
            if file.variables is None or pair[0] in file.variables
        )
        if key not in read:
            read[key] = workloads_for(file, node)
        same = read[key]
        found.append(dataclasses.replace(same, node=node.name))
    return found


def _whole(file: ComposeFile, variables: dict[str, str], findings: Findings) -> tree.Node | None:
    """All files as one, each service with what it extends."""
    whole: tree.Node | None = None
    for path, root in zip(file.paths, file.roots, strict=True):
        if root is None:
            continue
        one = Extending(path, file.others, variables, findings).root(root)
        whole = one if whole is None else merge(whole, one, findings)
    return whole if whole is None or not file.resets else without_tags(whole)


def _workloads(
    file: ComposeFile,
    node: tree.Node,
    variables: dict[str, str],
    findings: Findings,
    lines: dict[str, dict[str, int]],
) -> tuple[str, list[Workload], dict[str, EngineRecipe]]:
    root = Place(node, "", variables, findings)
    if not isinstance(node, tree.Mapping):
        findings.add("compose.invalid", node.line, "the file is no mapping", "Begin: services:")
        return "", [], {}
    root.known(_TOP)
    if (top := root.get(ROOST)) is not None:
        top.known(("rollout",))  # console.rollouts.strategy_file reads that
    if include := root.get("include"):
        include.unsupported("Put all services into one file.")
    project = _project(root, file.path.parent)
    variables.setdefault(PROJECT, project)
    services = root.get("services")
    if services is None:
        findings.add("compose.invalid", None, "it defines no services", "Begin with services:")
        return project, [], {}
    on, off = _chosen(services, file.profiles)
    lines |= {name: _lines(place) for name, place in on.items()}
    around = Around(read_definitions(root, project), file.env_files, [*on], off)
    read = {name: read_service(place, around) for name, place in on.items()}
    found = {name: workload for name, workload in read.items() if workload is not None}
    _see_all(on, off, found, findings)
    order, cycle = start_order({name: workload.depends_on for name, workload in found.items()})
    if cycle:
        what = f"services wait for each other: {' -> '.join(cycle)}"
        place = on[cycle[0]].get("depends_on") or on[cycle[0]]
        findings.add("compose.cycle", place.line, what, "Take one of them out of depends_on.")
    if "name" not in node.entries:
        _see_name(project, found, findings)
    engines: dict[str, EngineRecipe] = {}
    for name, workload in found.items():
        workload.engine = read_engine(on[name])
        if workload.engine is not None and workload.engine.recipe is not None:
            engines[name] = workload.engine.recipe
    return project, [found[name] for name in order], engines


def _lines(service: Place) -> dict[str, int]:
    """Where it says what."""
    found = {"": service.line}
    roost = service.get(ROOST)
    for prefix, place in (("", service), (f"{ROOST}.", roost)):
        if place is not None and isinstance(place.node, tree.Mapping):
            found.update((f"{prefix}{key}", below.line) for key, below in place.entries())
    return found


def _variables(root: tree.Node | None) -> frozenset[str] | None:
    found: set[str] = set()
    seen: set[int] = set()
    left = [] if root is None else [root]
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, tree.Scalar):
            found |= names_in(node.text)
        elif isinstance(node, tree.Sequence):
            left += node.items
        elif "env_file" in node.entries or "extends" in node.entries:
            return None
        else:
            left += [entry.value for entry in node.entries.values()]
    return frozenset(found)


def _project(root: Place, folder: Path) -> str:
    """The file's own name, or its folder's: what networks and volumes are named after."""
    if place := root.get("name"):
        name = place.text()
        if name is not None and not _PROJECT_NAME.fullmatch(name):
            hint = "Lower-case letters, digits, dashes and underscores, and no dash first."
            place.wrong(f"is {name[:80]!r}, which no project can be called", hint)
        return name or ""
    name = re.sub(r"[^a-z0-9_-]", "", folder.name.lower()).lstrip("_-")[:63]
    if not name:
        what = "has no name, and neither has its folder one that would do"
        hint = "Say name: and how the project is called."
        root.findings.add("compose.invalid", None, f"the file {what}", hint)
    return name


def _chosen(
    services: Place, profiles: frozenset[str]
) -> tuple[dict[str, Place], dict[str, list[str]]]:
    """The services that run, and the profiles of those that do not."""
    on: dict[str, Place] = {}
    off: dict[str, list[str]] = {}
    for name, place in services.entries():
        if name.startswith("x-"):
            continue
        if not NAME.fullmatch(name):
            hint = "Letters, digits, dots, dashes and underscores, at most 63."
            place.wrong("is not a name that a service can have", hint)
            continue
        listed = place.get("profiles")
        own = listed.texts() if listed else []
        if own and "*" not in profiles and not profiles & set(own):
            off[name] = own
        else:
            on[name] = place
    return on, off


def _see_all(
    on: Mapping[str, Place],
    off: Mapping[str, list[str]],
    found: Mapping[str, Workload],
    findings: Findings,
) -> None:
    if not on:
        what = "no service is left" + (", for all are of a profile" if off else "")
        findings.add("compose.invalid", None, what, "Name profiles with --profile, or add one.")
    if len(found) > WORKLOADS_LIMIT:
        what = f"it has {len(found)} services"
        hint = f"A node takes {WORKLOADS_LIMIT} at once: make it several files."
        findings.add("compose.too_large", None, what, hint)
    see_published_once(
        [(name, on[name].get("ports"), workload.ports) for name, workload in found.items()]
    )


def _see_name(project: str, found: Mapping[str, Workload], findings: Findings) -> None:
    """From another folder, the same file would have other volumes: data would seem lost."""
    prefix = f"{project}_"
    own = sorted(
        {
            mount.source
            for workload in found.values()
            for mount in workload.mounts
            if mount.kind == "volume" and mount.source.startswith(prefix) and not mount.external
        }
    )
    if own:
        what = f"the volume {own[0]} is named after this file's folder"
        hint = f"Say name: {project} at the top, so that it is the same from every folder."
        findings.add("compose.name", None, what, hint, level="warning")


def _unreadable(path: Path, why: str) -> ProblemError:
    return ProblemError(
        "compose.unreadable",
        f"{path}: {why}",
        params={"file": str(path)},
        hint="Name a Compose file that you can read.",
    )
