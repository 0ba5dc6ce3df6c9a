"""Engines in use that are not what would be built now."""

from __future__ import annotations

from agent.doctor.check import conclude, could_not_tell, does_not_apply
from agent.doctor.evidence import Evidence
from agent.protocol.engines import Engine
from agent.protocol.findings import CheckOutcome, Finding

NAME = "stale_engines"
_KEY = 12


def check(evidence: Evidence) -> CheckOutcome:
    """Of each model the current engine, or else the newest; and those for other kinds of GPU."""
    if evidence.engines is None:
        return could_not_tell(NAME, "which engines there are could not be read")
    if not evidence.engines:
        return does_not_apply(NAME, "no engine was built here")
    first = {each.model: each for each in reversed(evidence.engines)}
    findings = [
        _stale(each, evidence.facts.name, beside=each is not first[each.model])
        for each in evidence.engines
        if each.stale
    ]
    findings += [
        _not_good(each, evidence.facts.name)
        for each in evidence.engines
        if not each.stale and each.manifest.verification == "header" and _was_good(each)
    ]
    unknown = [
        f"{each.model}: {why}"
        for each in evidence.engines
        if not each.stale
        for why in each.stale_unknown
    ]
    return conclude(NAME, findings, unknown)


def _was_good(engine: Engine) -> bool:
    """Whether it is in use, or was until it failed when it was tried again."""
    check = engine.manifest.check
    return engine.current or (check is not None and check.state != "header")


def _stale(engine: Engine, node: str, *, beside: bool) -> Finding:
    """`beside`: it is for another kind of GPU than the first of its model."""
    rebuild = any(each.rebuild for each in engine.stale)
    key = engine.manifest.key[:_KEY]
    which = f"{engine.model} --key {key}" if beside else engine.model
    verify = f"`roost engine verify {node} {which}` tries it again"
    if not rebuild:
        mend = f"{verify}; it need not be built anew unless that fails."
    elif engine.manifest.parts.recipe is None:
        mend = "It was imported: import one that was built for this node, or build it here."
    else:
        mend = f"`roost engine build --stale --to @{node}` builds it again from its recipe."
    return Finding(
        code="engine.stale",
        severity="warning",
        subject=f"engine/{engine.model}/{key}" if beside else f"engine/{engine.model}",
        title=f"the engine of {engine.model} is stale"
        if rebuild
        else f"the engine of {engine.model} must be tried again",
        cause=f"Since it was built this changed: {'; '.join(e.text for e in engine.stale)}.",
        mend=mend,
        evidence={"key": key, "changed": ", ".join(each.what for each in engine.stale)},
    )


def _not_good(engine: Engine, node: str) -> Finding:
    why = engine.manifest.verification_reason or "it was not tried on a GPU"
    had_by = f" Still had by: {', '.join(engine.used_by)}." if engine.used_by else ""
    return Finding(
        code="engine.not_verified",
        severity="error",
        subject=f"engine/{engine.model}",
        title=f"the engine of {engine.model} that is in use was not found good"
        if engine.current
        else f"no engine of {engine.model} is in use: the newest is not good any more",
        cause=f"When it was last tried: {why.rstrip('.')}.{had_by}",
        mend=f"`roost engine show {node} {engine.model}` lists others; `roost engine use` switches"
        " to one that was found good, `roost engine build` makes one.",
        evidence={"key": engine.manifest.key[:_KEY]},
    )
