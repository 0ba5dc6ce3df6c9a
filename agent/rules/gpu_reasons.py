"""Whether an image has code for a GPU: its architecture against CUDA's and TensorRT's.

Both sides count. CUDA 13 makes no code for Pascal, and CUDA 12.6 knows no Blackwell. Code for an
earlier GPU of the same major runs, though (NVIDIA, CUDA C++ Programming Guide, Binary
Compatibility); the GPUs of Jetsons are left out of that promise.
"""

from __future__ import annotations

from agent.protocol.compatibility import Ability, Reason
from agent.rules.cases import Case
from agent.rules.known import Known
from agent.rules.tables import GpuArchitecture, Row
from agent.rules.versions import Version, dotted, minor, numbers, within

BINARY_COMPATIBILITY = "NVIDIA, CUDA C++ Programming Guide, Binary Compatibility"


def gpu_reasons(known: Known, case: Case) -> list[Reason]:
    """For an image that says its CUDA or its TensorRT."""
    if known.cuda is None and known.tensorrt is None:
        return []
    if case.capability is None:
        return [
            _unknown("gpu.capability_unknown", "The GPU's compute capability is not known.", "")
        ]
    reasons = []
    if known.cuda is not None:
        reasons += _cuda(known, case, case.capability, minor(known.cuda))
    if known.tensorrt is not None:
        reasons += _tensorrt(known, case.capability, known.tensorrt)
    return reasons


def _cuda(known: Known, case: Case, capability: str, cuda: Version) -> list[Reason]:
    row = known.architecture(capability)
    if row is None:
        what = f"Roost's tables do not know compute capability {capability}."
        return [_unknown("gpu.not_in_tables", what, "gpu_architectures.json")]
    gpu, image = _gpu(row), f"CUDA {dotted(cuda)}"
    if row.last_cuda is not None and _is_after(cuda, row.last_cuda):
        return [
            Reason(
                code="gpu.too_old_for_cuda",
                ability=_refusal(row),
                what=f"{image} has no code for {gpu}.",
                mend=f"An image for CUDA {_up_to(row.last_cuda)}; no driver mends it.",
                source=row.source,
            )
        ]
    if cuda < (numbers(row.first_cuda) or ()):
        family = None if case.tegra else known.same_family(capability, cuda)
        newer = f"An image for CUDA {row.first_cuda} or newer."
        if family is not None:
            return [
                Reason(
                    code="gpu.newer_than_cuda",
                    ability="warns",
                    what=f"{image} does not know {gpu}: its code for {family} is used.",
                    mend=newer,
                    source=BINARY_COMPATIBILITY,
                )
            ]
        return [
            Reason(
                code="gpu.too_new_for_cuda",
                ability=_refusal(row),
                what=f"{image} has no code for {gpu}.",
                mend=newer,
                source=row.source,
            )
        ]
    return []


def _tensorrt(known: Known, capability: str, tensorrt: Version) -> list[Reason]:
    row = known.tensorrt_support(capability)
    if row is None:
        return []
    what = f"TensorRT {dotted(tensorrt[:3])} does not run on compute capability {capability}."
    if row.first is not None and tensorrt < (numbers(row.first) or ()):
        return [
            Reason(
                code="gpu.too_new_for_tensorrt",
                ability=_refusal(row),
                what=what,
                mend=f"An image with TensorRT {row.first} or newer.",
                source=row.source,
            )
        ]
    if row.last is not None and _is_after(tensorrt, row.last):
        return [
            Reason(
                code="gpu.too_old_for_tensorrt",
                ability=_refusal(row),
                what=what,
                mend=f"An image with TensorRT {_up_to(row.last)}; no driver mends it.",
                source=row.source,
            )
        ]
    return []


def _is_after(version: Version, last: str) -> bool:
    family = numbers(last) or ()
    return version > family and not within(version, family)


def _refusal(row: Row) -> Ability:
    """What nobody has looked up warns, and does not refuse."""
    return "warns" if row.recalled else "fails"


def _gpu(row: GpuArchitecture) -> str:
    return f"this GPU ({row.architecture}, compute capability {row.capability})"


def _up_to(last: str) -> str:
    return f"{last} or older" if "." in last else f"{last}.x or older"


def _unknown(code: str, what: str, table: str) -> Reason:
    return Reason(
        code=code,
        ability="unknown",
        what=what,
        mend="Add its row to the operator's table file." if table else "`roost doctor NODE`.",
        source=f"agent/rules/data/{table}" if table else "the node's facts",
    )
