"""Whether one image runs on one node, in words: why, what would mend it, and who says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agent.protocol.compatibility import (
    ABILITIES,
    Ability,
    Found,
    GpuVerdict,
    ImageNeeds,
    Reason,
    Verdict,
)
from agent.protocol.node import NodeFacts
from console.images.runs_words import WORDS
from console.tui.look import words
from console.tui.rows.compat import TONES
from console.tui.widgets.page import BLANK, Entry

SAYS: Mapping[Ability, str] = {
    "runs": "runs",
    "warns": "runs, with a warning",
    "unknown": "not known whether it runs",
    "fails": "cannot run",
}
_LABEL = 6


def verdict_entries(verdict: Verdict) -> list[Entry]:
    """All reasons; what decides comes first. GPUs that fare alike stand together."""
    entries = []
    for reason in sorted(verdict.reasons, key=_worst_first):
        entries += _reason_entries("node", reason)
    for gpus in _alike(verdict.gpus):
        first = gpus[0]
        label = f"GPU {_numbers(gpus)}"
        name = f"{first.name}: {SAYS[first.ability]}"
        entries.append(Entry(f" {label:<{_LABEL}} ", name, TONES[first.ability], "accent"))
        for reason in sorted(first.reasons, key=_worst_first):
            entries += _reason_entries("", reason)
    if not entries:
        entries.append(Entry(" ", "Nothing stands against it.", "good"))
    return entries


def _reason_entries(label: str, reason: Reason) -> list[Entry]:
    def at(text: str) -> str:
        return f" {text:<{_LABEL}} "

    entries = [Entry(at(label or WORDS[reason.ability]), reason.what, TONES[reason.ability])]
    if reason.mend:
        entries.append(Entry(at("mend"), reason.mend, "", "accent"))
    entries.append(Entry(at("source"), f"{reason.source} ({reason.code})", "dim"))
    return entries


def _worst_first(reason: Reason) -> int:
    return -ABILITIES.index(reason.ability)


def _alike(gpus: Iterable[GpuVerdict]) -> list[list[GpuVerdict]]:
    """The best first: a container gets one of those."""
    found: dict[tuple[str, Ability, tuple[Reason, ...]], list[GpuVerdict]] = {}
    for gpu in gpus:
        found.setdefault((gpu.name, gpu.ability, tuple(gpu.reasons)), []).append(gpu)
    return sorted(found.values(), key=lambda several: ABILITIES.index(several[0].ability))


def _numbers(gpus: Sequence[GpuVerdict]) -> str:
    """ "0-3,6"."""
    spans: list[list[int]] = []
    for index in sorted(gpu.index for gpu in gpus):
        if spans and index == spans[-1][1] + 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in spans)


def whole_entries(
    verdict: Verdict, needs: ImageNeeds, facts: NodeFacts, *, why: Sequence[Entry] = ()
) -> list[Entry]:
    """A window about it: the verdict, then what the image needs, then what the node has.

    `why` stands at the top: how old it is, which of several images it is about.
    """
    entries = [Entry("", SAYS[verdict.ability], TONES[verdict.ability]), *why, BLANK]
    entries += verdict_entries(verdict)
    if verdict.needs_driver is not None:
        entries += [BLANK, Entry(" driver ", f"{verdict.needs_driver} would mend it", "accent")]
    entries += [BLANK, Entry("", "What the image needs", "accent"), *needs_entries(needs)]
    entries += [BLANK, Entry("", "What the node has", "accent"), *_facts_entries(facts)]
    return entries


def needs_entries(needs: ImageNeeds) -> list[Entry]:
    """As far as it is known, and where it was found."""
    platform = "/".join(part for part in (needs.os, needs.architecture, needs.variant) if part)
    entries = [
        Entry(" for       ", platform),
        Entry(" GPU       ", "wants one" if needs.wants_gpu else "asks for none"),
        Entry(" CUDA      ", _found(needs.cuda, needs, "cuda")),
        Entry(" TensorRT  ", _found(needs.tensorrt, needs, "tensorrt")),
    ]
    if needs.bundled_driver is not None:
        entries.append(Entry(" made with ", f"driver {_found(needs.bundled_driver, needs, '')}"))
    if needs.l4t is not None:
        entries.append(Entry(" Jetson    ", _found(needs.l4t, needs, "")))
    if needs.compat is not None:
        text = f"{needs.compat.path}, of driver {needs.compat.driver_version}"
        entries.append(Entry(" compat    ", text))
    entries += [Entry(" requires  ", f"{k}={v}") for k, v in needs.requires.items()]
    if needs.requires_disabled:
        entries.append(Entry(" requires  ", "NVIDIA_DISABLE_REQUIRE: nothing of it is looked at"))
    looked = "into its layers" if needs.looked_inside else "at its config only: v looks inside"
    return [*entries, Entry(" looked    ", looked, "dim")]


def _found(found: Found | None, needs: ImageNeeds, field: str) -> str:
    if found is not None:
        return f"{found.version} ({found.where})"
    reason = needs.unknown.get(field)
    return f"not known: {reason}" if reason else "none"


def _facts_entries(facts: NodeFacts) -> list[Entry]:
    stack, runtime, toolkit = facts.gpu_stack, facts.runtime, facts.toolkit
    models = words.join(
        [
            f"{gpu.index}: {gpu.name} ({gpu.compute_capability or words.UNKNOWN})"
            for gpu in facts.gpus
        ]
    )
    known = f"{runtime.name or 'no runtime'} {runtime.version or ''}".strip()
    return [
        Entry(" CPU       ", facts.host.architecture),
        Entry(
            " driver    ",
            f"{stack.driver_version or words.UNKNOWN}, up to CUDA "
            f"{stack.cuda_version or words.UNKNOWN}",
        ),
        Entry(" GPUs      ", models or "none"),
        Entry(" runtime   ", known),
        Entry(" toolkit   ", toolkit.version or "none that is known"),
    ]
