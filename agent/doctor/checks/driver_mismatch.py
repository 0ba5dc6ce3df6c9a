"""The loaded kernel module and the driver's library are of different versions."""

from __future__ import annotations

from agent.doctor.check import conclude, could_not_tell, does_not_apply
from agent.doctor.commands import hold_driver
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "driver_mismatch"


def check(evidence: Evidence) -> CheckOutcome:
    """Also found while the agent still reads GPUs with the library it loaded before."""
    stack = evidence.gpus.stack
    if evidence.is_tegra:
        return does_not_apply(NAME, "a Jetson's driver comes with its system")
    if stack.state in ("no_gpu", "no_library", "driver_not_loaded"):
        return does_not_apply(NAME, "no NVIDIA driver is loaded")
    module, library = stack.module_version, stack.library_version
    differ = module is not None and library is not None and module != library
    if stack.state == "driver_mismatch" or differ:
        return conclude(NAME, [_finding(evidence, module or "unknown", library or "unknown")])
    if stack.state in ("ok", "simulated") or (module is not None and module == library):
        return conclude(NAME, [])
    return could_not_tell(NAME, stack.reason or f"the driver's state is {stack.state}")


def _finding(evidence: Evidence, module: str, library: str) -> Finding:
    return Finding(
        code="gpu.driver_mismatch",
        severity="error",
        subject="node",
        title=f"Driver and library differ: module {module}, library {library}; reboot needed",
        cause="The driver's packages were upgraded, most often by unattended upgrades, while the "
        "old kernel module stayed loaded. Containers that run keep working; new ones fail.",
        mend=f"`sudo reboot` at a time that suits. {hold_driver(evidence.facts.host)}",
        evidence={"module_version": module, "library_version": library},
    )
