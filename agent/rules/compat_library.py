"""Whether an image's own libcuda can stand in for that of a driver that is too old.

Sources: NVIDIA's CUDA Compatibility guide (Forward Compatibility) and the hook of NVIDIA's
container toolkit that puts the library in front (cmd/nvidia-cdi-hook/cudacompat).
"""

from __future__ import annotations

from typing import Literal

from agent.rules.cases import Case
from agent.rules.known import Known

State = Literal[
    "none",  # the image brings none
    "not_looked",  # nobody has looked into the layers, or what is there could not be read
    "not_newer",  # the driver's own is as new: it is not used
    "works",
    "wrong_driver",  # not made for this branch of the driver
    "wrong_gpu",  # CUDA error 804
    "unclear_driver",
    "unclear_gpu",
]


def compat_state(known: Known, case: Case) -> State:
    """What becomes of the image's compatibility library on this GPU. The driver is known."""
    library, driver = known.compat, case.driver_version
    if library is None and not known.compat_looked:
        return _might_be(known, case)
    if library is None or driver is None:
        return "none"
    if known.compat_driver is not None and known.compat_driver <= driver:
        return "not_newer"
    branch = driver[0]
    if library.drivers:
        if branch not in library.drivers:
            return "wrong_driver"
    elif known.compat_driver is not None and known.compat_driver[0] <= branch:
        return "not_newer"  # without a note, the toolkit compares majors
    elif known.window is None:
        return "wrong_gpu" if case.consumer else "unclear_driver"
    elif branch not in known.window.drivers:
        return "wrong_driver"
    return _on_gpu(known, case)


def _might_be(known: Known, case: Case) -> State:
    """Without a look: there may be one, if one could work here."""
    driver = case.driver_version
    if case.consumer or driver is None:
        return "none"
    if known.window is not None and driver[0] not in known.window.drivers:
        return "none"
    return "not_looked"


def _on_gpu(known: Known, case: Case) -> State:
    library = known.compat
    if case.consumer:
        return "wrong_gpu"
    if case.brand is None:
        return "unclear_gpu"
    if library is not None and library.devices:
        return "works" if case.brand_number in library.devices else "wrong_gpu"
    return "works" if case.brand.lower() in known.tables.compat_brands else "wrong_gpu"
