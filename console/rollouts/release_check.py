"""What is wrong with a release, or missing from it, beyond what its workloads say: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.protocol.problems import ProblemError
from agent.rules.references import familiar
from console.compose.compose_file import ComposeFile, NodeWorkloads
from console.compose.findings import ComposeProblem, Findings, nearest
from console.compose.reading import ROOST, Place
from console.fleet.inventory import NodeEntry
from console.fleet.selectors import parse_selector, select
from console.rollouts.judging.analysis import Analysis
from console.rollouts.parcels import Parcels
from console.rollouts.unjudged import INSTEAD, KEY, unjudged


def check_release(
    file: ComposeFile,
    means: NodeWorkloads,
    *,
    parcels: Parcels | None,
    fleet: Sequence[NodeEntry] | None,
    analysis: Analysis | None = None,
) -> list[ComposeProblem]:
    """Images that no archive has, waves that mean no node, services that nothing watches, and what
    a rollout would judge by and cannot see.

    Args:
        file: the release.
        means: what it means for a node.
        parcels: the archives that have its images; None: nobody said.
        fleet: the nodes that waves choose from; None: not known.
        analysis: of the release; None: nothing is judged.
    """
    findings = Findings(file.name)
    if parcels is not None:
        _images(means, parcels, findings)
    _watched(means, findings)
    for each in unjudged(analysis, means.workloads) if analysis else ():
        what = f"services.{each.workload}: {each.why}"
        line = _line(means, each.workload, KEY)
        findings.add("release.unjudged", line, what, INSTEAD, level="warning")
    return [*findings.problems, *_waves(file, fleet)]


def images_of(means: NodeWorkloads) -> list[str]:
    """Every image that the release names, each once."""
    named = (name for _, _, name in _named(means))
    return list(dict.fromkeys(named))


def _named(means: NodeWorkloads) -> Iterable[tuple[str, str, str]]:
    """Service, key and image."""
    for workload in means.workloads:
        yield workload.name, "image", workload.image
        for name in workload.variants:
            yield workload.name, f"{ROOST}.variants", name
        recipe = means.engines.get(workload.name)
        if recipe is not None and recipe.image is not None and recipe.image != workload.image:
            yield workload.name, f"{ROOST}.engine", recipe.image


def _images(means: NodeWorkloads, parcels: Parcels, findings: Findings) -> None:
    for service, key, image in _named(means):
        if parcels.has(image):
            continue
        near = nearest(familiar(image), parcels.names, cutoff=0.7)
        hint = f"Did you mean {near}? " if near else ""
        findings.add(
            "release.image",
            _line(means, service, key),
            f"services.{service}.{key}: no archive has {image}",
            f"{hint}Name the archive that has it with --archive.",
        )
    used = images_of(means)
    for path in parcels.unused(used) if used else ():
        what = f"{path} has none of the release's images"
        findings.add(
            "release.archive", None, what, "Leave it out, or see its tags.", level="warning"
        )


def _watched(means: NodeWorkloads, findings: Findings) -> None:
    for workload in means.workloads:
        check = workload.healthcheck
        if workload.probes or (check is not None and check.test not in ([], ["NONE"])):
            continue
        findings.add(
            "release.unwatched",
            _line(means, workload.name, ""),
            f"services.{workload.name} has neither probes nor a healthcheck of its own",
            "Only whether its container runs decides then, unless its image has a health check."
            " Say x-roost: {probes: [{http: {port: 8080, path: /readyz}}]}.",
            level="warning",
        )


def _waves(file: ComposeFile, fleet: Sequence[NodeEntry] | None) -> Iterable[ComposeProblem]:
    """Selectors of waves that cannot be read, or mean no node."""
    for root, path in zip(file.roots, file.paths, strict=True):
        findings = Findings(str(path))
        if root is None:
            continue
        place: Place | None = Place(root, "", {}, findings)
        for key in (ROOST, "rollout", "waves"):
            place = None if place is None else place.get(key)
        if place is None or not place.is_list():
            continue
        for wave in place.items():
            found = wave.get("selector")
            text = None if found is None or not found.is_text() else found.text()
            if found is not None and text is not None:
                _wave(found, text, fleet)
        yield from (each for each in findings.problems if each.code == "release.wave")


def _wave(place: Place, text: str, fleet: Sequence[NodeEntry] | None) -> None:
    try:
        chosen = None if fleet is None else select(text, fleet)
        parse_selector(text)
    except ProblemError as problem:
        place.wrong(f"is no wave: {problem.detail}", problem.hint or "", "release.wave")
        return
    if chosen == []:
        hint = "Change the selector, or take the wave out."
        place.wrong(f"is {text!r}, which means none of the nodes", hint, "release.wave")


def _line(means: NodeWorkloads, service: str, key: str) -> int | None:
    lines = means.lines.get(service, {})
    return lines.get(key, lines.get(""))
