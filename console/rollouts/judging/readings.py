"""What is read again and again: memory, utilisation, temperature, measures, what is seen inside.

Such readings are noisy, and so many in a row as the condition says must be out of bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from agent.protocol.arms import Arm, ArmGpu, Figure, WorkloadArms
from console.rollouts.judging.analysis import Condition
from console.rollouts.judging.looked import Looked, State, broken
from console.rollouts.judging.looks import ConditionLooks
from console.rollouts.judging.words import UNITS, count, figure, name_of, reason

_NO_GPU = "it was given no GPU"


def look(
    condition: Condition, workload: WorkloadArms, looks: ConditionLooks, *, counts: bool = True
) -> Looked:
    """One look; `counts`: False while it warms up."""
    if condition.of.startswith("gpu_") and workload.candidate.gpus == []:
        return Looked(looks=looks, state="off", words=_NO_GPU)
    if workload.window != looks.window:
        looks = msgspec.structs.replace(
            looks, window=workload.window, read_at=None, read_errors=0, counted=0
        )
    if condition.of == "gpu_probe":
        return _probed(condition, workload.candidate, looks, counts=counts)
    found = _figure(condition, workload.candidate)
    if isinstance(found, str):
        return Looked(looks=looks, state="blind", words=reason(found))
    failed = max(0, found.errors - looks.read_errors)
    looks = msgspec.structs.replace(looks, read_errors=found.errors)
    value = found.last
    if found.unknown is not None and found.errors:
        return broken(looks, f"{name_of(condition)}: {reason(found.unknown)}", failed)
    if value is None or found.last_at is None:
        return Looked(
            looks=looks,
            state="few",
            words=f"{name_of(condition)}: {reason(found.unknown or 'no reading yet')}",
            needs=max(1, condition.least),
        )
    if not math.isfinite(value):
        return broken(looks, f"{name_of(condition)} is {value}, which is no number")
    stable = _stable(condition, workload.stable)
    if isinstance(stable, str):
        return Looked(looks=looks, state="blind", words=reason(stable), candidate=value)
    out = _out(condition, value, stable)
    looks = _read(looks, found.last_at, max(1, found.count - looks.counted), out=out, counts=counts)
    looks = msgspec.structs.replace(looks, counted=found.count)
    needs = max(0, max(1, condition.least) - looks.candidate)
    return Looked(
        looks=looks,
        state=_state(condition, looks, needs),
        words=_words(condition, looks, value, stable) + _shared(condition, workload.candidate),
        candidate=value,
        stable=stable,
        samples=looks.candidate,
        needs=needs,
    )


def _probed(condition: Condition, arm: Arm, looks: ConditionLooks, *, counts: bool) -> Looked:
    probed = arm.gpu_probe
    if probed is None or probed.verdict == "unknown":
        why = arm.unknown.get("gpu_probe", "nobody has looked yet")
        why = why if probed is None else probed.what
        return Looked(looks=looks, state="blind", words=reason(f"{name_of(condition)}: {why}"))
    if probed.at >= 0 or not looks.candidate:  # below 0 it is of the window before
        looks = _read(looks, probed.at, 1, out=probed.verdict == "wrong", counts=counts)
    words = f"{name_of(condition)}: {probed.verdict}, {probed.what}"
    return Looked(
        looks=looks,
        state=_state(condition, looks, 0),
        words=reason(words),
        samples=looks.candidate,
    )


def _read(
    looks: ConditionLooks, read_at: float, new: int, *, out: bool, counts: bool
) -> ConditionLooks:
    """With one reading more, if it is one."""
    if looks.read_at == read_at:
        return looks
    return msgspec.structs.replace(
        looks,
        read_at=read_at,
        broken=0,
        misses=looks.misses + 1 if out and counts else 0,
        candidate=looks.candidate + (new if counts else 0),
    )


def _state(condition: Condition, looks: ConditionLooks, needs: int) -> State:
    if looks.misses >= condition.consecutive:
        return "worse"
    if needs:
        return "few"
    return "doubt" if looks.misses else "holds"


def _out(condition: Condition, value: float, stable: float | None) -> bool:
    if condition.worse_by is not None and stable is not None:
        room = condition.worse_by * abs(stable)
        return value < stable - room if condition.better == "higher" else value > stable + room
    return (condition.at_most is not None and value > condition.at_most) or (
        condition.at_least is not None and value < condition.at_least
    )


def _stable(condition: Condition, arm: Arm) -> float | str | None:
    if condition.worse_by is None:
        return None
    if arm.container is None:
        return "nothing ran here before, so there is nothing to compare with"
    found = _figure(condition, arm)
    if isinstance(found, str):
        return found
    if found.last is None or not math.isfinite(found.last):
        return f"of stable: {found.unknown or 'no reading yet'}"
    return found.last


_OF_GPU: dict[str, Callable[[ArmGpu], Figure]] = {
    "gpu_utilization": lambda gpu: gpu.utilization_percent,
    "gpu_temperature": lambda gpu: gpu.temperature_celsius,
}


def _figure(condition: Condition, arm: Arm) -> Figure | str:
    """Or why there is none. Of several GPUs, that of the highest reading."""
    name = name_of(condition)
    if condition.of == "measure":
        found = arm.measures.get(condition.name)
        why = arm.unknown.get(f"measures.{condition.name}", "the node does not measure it")
        return found or f"{name}: {why}"
    if condition.of == "gpu_memory":
        why = arm.unknown.get("gpu_memory_bytes", "the node does not tell of it")
        return arm.gpu_memory_bytes or f"{name}: {why}"
    if not arm.gpus:
        return f"{name}: {arm.unknown.get('gpus', 'the node does not tell of its GPUs')}"
    figures = [_OF_GPU[condition.of](gpu) for gpu in arm.gpus]
    return max(figures, key=lambda each: -math.inf if each.last is None else each.last)


def _words(condition: Condition, looks: ConditionLooks, value: float, stable: float | None) -> str:
    unit = UNITS.get(condition.of, "")
    said = f"{name_of(condition)} {figure(value, unit)}"
    if stable is not None:
        said += f", stable {figure(stable, unit)}, {condition.worse_by or 0:.0%} worse may be"
    if condition.at_most is not None:
        said += f", {figure(condition.at_most, unit)} at most"
    if condition.at_least is not None:
        said += f", {figure(condition.at_least, unit)} at least"
    if looks.misses and condition.consecutive > 1:
        said += f"; {count(looks.misses, 'reading')} in a row, {condition.consecutive} may not be"
    return said


def _shared(condition: Condition, arm: Arm) -> str:
    if condition.of not in _OF_GPU:
        return ""
    with_whom = {name for gpu in arm.gpus or [] for name in gpu.shared_with or []}
    return f" (the GPU is shared with {', '.join(sorted(with_whom))})" if with_whom else ""
