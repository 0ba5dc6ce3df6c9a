"""Which facts of a node are not as they shall be. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from agent.protocol.findings import Finding
from agent.protocol.gpus import Gpu
from agent.protocol.node import NodeFacts
from agent.rules.constraints import holds, is_constraint
from console.fleet.expectations import VERSIONS, Expectation, Value

_NUMBERS = re.compile(r"\d{1,18}(?:\.\d{1,18}){0,7}", re.ASCII)

State = Literal["as_expected", "off", "unknown"]


class Drift(msgspec.Struct, kw_only=True):
    """One expected fact beside what the node has. `has` None: `reason` says why."""

    fact: str
    expected: str
    said_by: str  # a selector of fleet.yaml ("": every node), "@node", or a snapshot's file
    state: State
    has: str | None = None
    reason: str | None = None


class _Had(msgspec.Struct):
    """What a node says of a fact. No values: unknown, or it has none of it (`lacks`)."""

    values: list[str] = []
    reason: str | None = None
    lacks: bool = False


def drift_of(expected: Iterable[Expectation], facts: NodeFacts) -> list[Drift]:
    """One for each expectation, in their order."""
    return [_look(each, facts) for each in expected]


def finding_of(drift: Drift, node: str) -> Finding:
    """The same as the doctor says things. Only for what is not as expected."""
    said = f"by {drift.said_by!r}" if drift.said_by else "of every node"
    has = drift.has if drift.has is not None else f"not known: {drift.reason}"
    return Finding(
        code="node.drift" if drift.state == "off" else "node.drift_unknown",
        severity="warning" if drift.state == "off" else "info",
        subject=f"fact/{drift.fact}",
        title=f"{drift.fact} is {has}; expected is {drift.expected}",
        cause=f"It is expected {said}.",
        mend=f"Bring {node} to it, or change what is expected in fleet.yaml.",
        evidence={"expected": drift.expected, "has": drift.has or ""},
    )


def has(fact: str, facts: NodeFacts) -> str:
    """What a node has of a fact: "none" where it has none of it, "not known" where that is open."""
    had = _HAD[fact](facts)
    return ", ".join(dict.fromkeys(had.values)) or ("none" if had.lacks else "not known")


def words_of(value: Value) -> str:
    """What is expected, as people read it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return " or ".join(value) if isinstance(value, list) else str(value)


def _look(each: Expectation, facts: NodeFacts) -> Drift:
    had = _HAD[each.fact](facts)
    drift = Drift(
        fact=each.fact,
        expected=words_of(each.value),
        said_by=each.said_by,
        state="unknown",
        reason=had.reason,
    )
    if had.lacks:
        drift.state, drift.has = "off", had.reason or "none"
    elif had.values:
        kept = [_keeps(each.fact, each.value, value) for value in had.values]
        drift.has = ", ".join(dict.fromkeys(had.values))
        if False in kept:
            drift.state = "off"
        elif None in kept:
            drift.reason = f"{drift.has!r} begins with no number"
        elif had.reason is None:
            drift.state = "as_expected"
    return drift


def _keeps(fact: str, value: Value, have: str) -> bool | None:
    if fact in VERSIONS and is_constraint(str(value)):
        return holds(str(value), have)
    if isinstance(value, list):
        return have in value
    return have == words_of(value)


def _driver(facts: NodeFacts, value: str | None, field: str) -> _Had:
    """Of the GPU stack. A driver that is not installed is no unknown one."""
    stack = facts.gpu_stack
    if value is not None:
        return _Had([value])
    if stack.state in ("no_gpu", "no_library", "driver_not_loaded"):
        return _Had(lacks=True, reason=stack.state.replace("_", " "))
    return _Had(reason=stack.unknown.get(field) or stack.reason or stack.state.replace("_", " "))


def _runtime(facts: NodeFacts, value: str | None) -> _Had:
    runtime = facts.runtime
    if value is not None:
        return _Had([value])
    if runtime.state == "not_found":
        return _Had(lacks=True, reason="no container runtime")
    return _Had(reason=runtime.reason or runtime.state.replace("_", " "))


def _toolkit(facts: NodeFacts) -> _Had:
    toolkit = facts.toolkit
    if toolkit.version is not None:
        return _Had([toolkit.version])
    reason = toolkit.unknown.get("version")
    return _Had(reason=reason) if reason else _Had(lacks=True, reason="not installed")


def _host(facts: NodeFacts, value: str | None, field: str) -> _Had:
    return _Had([value]) if value else _Had(reason=facts.host.unknown.get(field) or "not read")


def _l4t(facts: NodeFacts) -> _Had:
    version = facts.gpu_stack.l4t_version
    return _Had([version]) if version else _Had(lacks=True, reason="no Jetson")


def _gpus(facts: NodeFacts) -> _Had:
    known = facts.gpus or facts.gpu_stack.state in ("ok", "simulated", "no_gpu")
    return _Had([str(len(facts.gpus))]) if known else _driver(facts, None, "gpus")


def _of_each(facts: NodeFacts, read: Callable[[Gpu], str | None], field: str) -> _Had:
    """The values of all GPUs; of one that does not tell, why."""
    if not facts.gpus:
        return _driver(facts, None, field)
    values = [(gpu, read(gpu)) for gpu in facts.gpus]
    known = [value for _, value in values if value is not None]
    silent = [
        f"GPU {gpu.index}: {gpu.unknown.get(field, 'not read')}"
        for gpu, value in values
        if value is None
    ]
    return _Had(known, reason="; ".join(silent) or None)


def _switch(read: Callable[[Gpu], bool | None], field: str) -> Callable[[NodeFacts], _Had]:
    def word(gpu: Gpu) -> str | None:
        value = read(gpu)
        return None if value is None else words_of(value)

    return lambda facts: _of_each(facts, word, field)


_HAD: dict[str, Callable[[NodeFacts], _Had]] = {
    "driver": lambda f: _driver(f, f.gpu_stack.driver_version, "driver_version"),
    "cuda": lambda f: _driver(f, f.gpu_stack.cuda_version, "cuda_version"),
    "runtime": lambda f: _runtime(f, f.runtime.version),
    "runtime_name": lambda f: _runtime(f, f.runtime.name),
    "image_store": lambda f: _runtime(f, f.runtime.image_store),
    "toolkit": _toolkit,
    "agent": lambda f: _Had([f.agent.version]),
    "os": lambda f: _host(f, f.host.os_id, "os_id"),
    "os_version": lambda f: _host(f, f.host.os_version, "os_version"),
    "kernel": lambda f: _host(f, f.host.kernel, "kernel"),
    "architecture": lambda f: _host(f, f.host.architecture, "architecture"),
    "l4t": _l4t,
    "timezone": lambda f: _host(f, f.host.timezone, "timezone"),
    "gpus": _gpus,
    "gpu": lambda f: _of_each(f, lambda gpu: gpu.name, "name"),
    "persistence": _switch(lambda gpu: gpu.persistence, "persistence"),
    "ecc": _switch(lambda gpu: gpu.ecc, "ecc"),
    "mig": _switch(lambda gpu: gpu.mig, "mig"),
}


def expected_of(facts: NodeFacts, said_by: str) -> list[Expectation]:
    """What a node that was like `facts` shall be again: a snapshot's facts as expectations.

    Versions are expected as their numbers, but for a kernel's, whose builds differ behind them:
    a driver's module is of one. What was not known then is not expected.
    """
    found: list[Expectation] = []
    for fact, read in _HAD.items():
        had = read(facts)
        values = list(dict.fromkeys(had.values))
        if had.reason or len(values) != 1:
            continue  # unknown, or GPUs that differ
        value: Value = values[0]
        if fact in VERSIONS and fact != "kernel":
            version = _NUMBERS.match(values[0])
            if version is None:
                continue
            value = f"={version[0]}"
        found.append(Expectation(fact, value, said_by))
    return found
