"""What is counted and should not happen: XIDs and restarts of the candidate."""

from __future__ import annotations

import msgspec

from agent.protocol.arms import Arm, WorkloadArms
from console.rollouts.judging.analysis import Condition
from console.rollouts.judging.looked import Looked
from console.rollouts.judging.looks import ConditionLooks
from console.rollouts.judging.words import name_of, reason


def look(
    condition: Condition, workload: WorkloadArms, looks: ConditionLooks, *, counts: bool = True
) -> Looked:
    """One look: one too many fails at once. `counts`: False while it warms up."""
    if condition.of == "xids" and workload.candidate.gpus == []:
        return Looked(looks=looks, state="off", words="it was given no GPU")
    arm = workload.candidate
    number = _restarts(arm) if condition.of == "restarts" else _xids(arm)
    if isinstance(number, str):
        return Looked(looks=looks, state="blind", words=f"{name_of(condition)}: {reason(number)}")
    carried = looks.carried
    if number < looks.counted:  # the agent started anew, and so did its count
        carried += looks.counted
    if not counts:
        carried = -number  # what came while it warmed up is taken off
    looks = msgspec.structs.replace(looks, carried=carried, counted=number)
    total = carried + number
    may_be = int(condition.at_most or 0)
    words = f"{name_of(condition)} {total}, {may_be} may be"
    codes = sorted({code for gpu in arm.gpus or [] for code in gpu.xid_codes})
    if condition.of == "xids" and codes:
        words += f": XID {', '.join(str(code) for code in codes)}"
    return Looked(
        looks=looks,
        state="worse" if total > may_be else "holds",
        words=words,
        candidate=total,
        samples=1,
    )


def _restarts(arm: Arm) -> int | str:
    if arm.restarts is None:
        return arm.unknown.get("restarts", "the node does not tell of them")
    return arm.restarts


def _xids(arm: Arm) -> int | str:
    """Of all its GPUs; unknown of one of them is unknown."""
    if arm.gpus is None:
        return arm.unknown.get("gpus", "the node does not tell of its GPUs")
    for gpu in arm.gpus:
        if gpu.xids is None:
            return gpu.unknown.get("xids", "the node does not tell of them")
    return sum(gpu.xids or 0 for gpu in arm.gpus)
