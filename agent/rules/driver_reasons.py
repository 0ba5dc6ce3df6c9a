"""Whether the driver under a GPU runs the image's CUDA.

Four rules that must not be mixed up (NVIDIA, CUDA Compatibility): a driver runs every older CUDA;
from CUDA 11 on, one driver version is enough for a whole major (the floor); the driver that came
with a release runs all of it; below the floor the image's own libcuda may help.
"""

from __future__ import annotations

from agent.protocol.compatibility import Ability, Reason
from agent.rules.cases import Case
from agent.rules.compat_library import State, compat_state
from agent.rules.known import Known, driver_runs
from agent.rules.versions import Version, dotted, minor, numbers

GUIDE = "NVIDIA, CUDA Compatibility"
# Reasons that a newer driver does away with.
MENDED_BY_DRIVER = {
    "cuda.driver_too_old",
    "cuda.compat_wrong_driver",
    "cuda.compat_wrong_gpu",
    "cuda.compat_unclear",
    "cuda.compat_not_looked",
}


def driver_reasons(known: Known, case: Case) -> list[Reason]:
    """Of a GPU that is no Tegra's, for an image whose CUDA version is known."""
    cuda = known.cuda
    if cuda is None:
        return []
    if known.floor is None and cuda[0] > known.newest_major:
        return [_not_in_tables(cuda)]
    driver = case.driver_version
    if driver is None:
        return [_driver_unknown()]
    if _is_full(known, case, driver):
        return []
    state = compat_state(known, case)
    floor = numbers(known.floor.driver) if known.floor else None
    if floor is None or driver >= floor:
        return _above_floor(known, case, cuda, state)
    return [_below_floor(known, case, cuda, state)]


def tegra_reasons(known: Known, case: Case) -> list[Reason]:
    """The same for a Jetson, whose driver is part of Jetson Linux."""
    cuda = known.cuda
    if cuda is None:
        return []
    row = known.jetson(case.l4t or "")
    own = case.cuda_version or (numbers(row.cuda) if row else None)
    source = row.source if row else GUIDE
    if own is None:
        return [_driver_unknown()]
    if minor(cuda) <= minor(own):
        return []
    here, image = dotted(minor(own)), dotted(minor(cuda))
    mend = f"An image for CUDA {here} or older, or a JetPack with CUDA {image}."
    if cuda[0] == own[0]:
        return [
            Reason(
                code="cuda.toolkit_driver",
                ability="warns",
                what=f"This Jetson's driver is made for CUDA {here}, the image for {image}: "
                "what is new in it, and code that is there only as PTX, fails.",
                mend=mend,
                source=source,
            )
        ]
    library = known.compat
    if library and known.compat_cuda and known.compat_cuda >= minor(cuda) and not library.drivers:
        return [_by_library(library.driver_version, f"CUDA {here} of this Jetson", "warns")]
    return [
        Reason(
            code="cuda.driver_too_old",
            ability="fails",
            what=f"This Jetson's driver runs CUDA {here}, and the image needs {image}.",
            mend=mend,
            source=source,
        )
    ]


def _is_full(known: Known, case: Case, driver: Version) -> bool:
    """By what the driver says it can run; else by the driver that came with the release."""
    cuda = known.cuda or ()
    runs = case.cuda_version
    if runs is not None:
        return minor(cuda) <= minor(runs)
    if known.own is not None:
        return driver >= known.own.driver
    older = driver_runs(known.tables, driver)
    return older is not None and minor(cuda) <= older


def _above_floor(known: Known, case: Case, cuda: Version, state: State) -> list[Reason]:
    image = dotted(minor(cuda))
    library = known.compat.driver_version if known.compat else ""
    if state == "works":
        return [_by_library(library, f"driver {case.driver}", "runs")]
    own = known.own.row if known.own else None
    newer = f"{own.driver} or newer" if own else f"a driver that says CUDA {image}"
    reasons = [
        Reason(
            code="cuda.toolkit_driver",
            ability="warns",
            what=f"Driver {case.driver} is older than the one that CUDA {image} came with: it runs "
            "by minor-version compatibility; what is new in it, and code that is there only as "
            "PTX (CUDA error 222), fails.",
            mend=f"Driver {newer}." if own else f"{newer[0].upper()}{newer[1:]}.",
            source=own.source if own else GUIDE,
        )
    ]
    if state == "wrong_gpu":
        reasons.append(
            Reason(
                code="cuda.compat_in_the_way",
                ability="warns",
                what=f"The image brings a compatibility library ({library}) that this kind of GPU "
                "does not take: where the toolkit puts it in front of the driver's, CUDA fails "
                "with error 804.",
                mend=f"Driver {library} or newer, or an image without /usr/local/cuda/compat.",
                source=f"{GUIDE}, Forward Compatibility",
            )
        )
    return reasons


def _below_floor(known: Known, case: Case, cuda: Version, state: State) -> Reason:
    image, floor = dotted(minor(cuda)), known.floor
    least, source = (floor.driver, floor.source) if floor else ("", GUIDE)
    too_old = f"Driver {case.driver} is too old for CUDA {image}, which needs {least}"
    mend = f"Driver {least} or newer, or an image for an older CUDA."
    library = known.compat.driver_version if known.compat else ""
    forward = f"{GUIDE}, Forward Compatibility"
    if state == "works":
        return _by_library(library, f"driver {case.driver}, too old for CUDA {image},", "warns")
    if state == "wrong_gpu":
        what = (
            f"{too_old}, and the image's compatibility library is for data-center GPUs: "
            "CUDA fails with error 804."
        )
        return _reason("cuda.compat_wrong_gpu", "fails", what, mend, forward)
    if state == "wrong_driver":
        made_for = (known.compat.drivers if known.compat else None) or (
            known.window.drivers if known.window else []
        )
        branches = ", ".join(map(str, made_for))
        what = f"{too_old}; the image's compatibility library is for the branches {branches}."
        return _reason("cuda.compat_wrong_driver", "fails", what, mend, forward)
    if state in ("unclear_driver", "unclear_gpu"):
        lacks = "branch of the driver" if state == "unclear_driver" else "kind of GPU"
        what = f"{too_old}; whether its compatibility library takes this {lacks} is not known."
        return _reason("cuda.compat_unclear", "unknown", what, mend, forward)
    if state == "not_looked":
        what = f"{too_old}; whether it brings a compatibility library of its own is not known."
        mend = f"Check the archive of the image, whose layers say, or use driver {least} or newer."
        return _reason("cuda.compat_not_looked", "unknown", what, mend, forward)
    ability: Ability = "warns" if floor and floor.recalled else "fails"
    return _reason("cuda.driver_too_old", ability, f"{too_old}.", mend, source)


def _by_library(library: str, instead_of: str, ability: Ability) -> Reason:
    return Reason(
        code="cuda.forward_compat",
        ability=ability,
        what=f"It runs with the image's compatibility library {library} in place of "
        f"{instead_of.rstrip(',')}.",
        mend="Nothing has to be done; a newer driver makes the library unnecessary.",
        source=f"{GUIDE}, Forward Compatibility",
    )


def _not_in_tables(cuda: Version) -> Reason:
    return Reason(
        code="cuda.not_in_tables",
        ability="unknown",
        what=f"Roost's tables do not know CUDA {dotted(minor(cuda))}.",
        mend="Add its rows to the operator's table file, or use a newer Roost.",
        source="agent/rules/data/driver_floors.json",
    )


def _driver_unknown() -> Reason:
    return Reason(
        code="driver.unknown",
        ability="unknown",
        what="The version of the GPU driver is not known.",
        mend="`roost doctor NODE` says why.",
        source=GUIDE,
    )


def _reason(code: str, ability: Ability, what: str, mend: str, source: str) -> Reason:
    return Reason(code=code, ability=ability, what=what, mend=mend, source=source)
