"""An NVIDIA GPU without a driver that works."""

from __future__ import annotations

from agent.doctor.check import conclude, does_not_apply
from agent.doctor.commands import install
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "driver"


def check(evidence: Evidence) -> CheckOutcome:
    """Found when the driver's library, its kernel module or access to it is missing.

    A mismatch and a driver that hangs are other checks' business.
    """
    stack = evidence.gpus.stack
    if stack.state == "no_gpu":
        return does_not_apply(NAME, "no NVIDIA GPU in this machine")
    look = {
        "no_library": _no_library,
        "driver_not_loaded": _not_loaded,
        "no_permission": _no_permission,
        "error": _error,
    }.get(stack.state)
    if look is None:
        return conclude(NAME, [])
    finding = look(evidence)
    if stack.reason:
        finding.evidence["reason"] = stack.reason
    if evidence.system.nvidia_pci:
        finding.evidence["pci"] = ", ".join(evidence.system.nvidia_pci)
    return conclude(NAME, [finding])


def _no_library(evidence: Evidence) -> Finding:
    return Finding(
        code="gpu.no_driver",
        severity="error",
        subject="node",
        title="No NVIDIA driver is installed",
        cause="The driver's library libnvidia-ml.so.1 is not there, so nothing can use the GPU. "
        "An agent in a container needs NVIDIA_DRIVER_CAPABILITIES with `utility` to see it.",
        mend=f"Install one: {_install_driver(evidence)}, then `sudo reboot`.",
    )


def _not_loaded(evidence: Evidence) -> Finding:
    system = evidence.system
    kernel = evidence.facts.host.kernel
    cause = "The driver's kernel module is not loaded."
    mend = "`sudo modprobe nvidia`, and read `sudo dmesg | grep -i nvidia` if that fails."
    if system.nouveau_loaded:
        cause = "The kernel uses nouveau for the GPU, so NVIDIA's module cannot take it."
        mend = (
            "`printf 'blacklist nouveau\\noptions nouveau modeset=0\\n' | "
            "sudo tee /etc/modprobe.d/blacklist-nouveau.conf`, rebuild the initial ramdisk "
            "(`sudo update-initramfs -u` or `sudo dracut --force`), then `sudo reboot`."
        )
    elif system.module_built is False:
        cause = f"There is no NVIDIA kernel module for the running kernel {kernel}."
        mend = (
            "Install the kernel's headers and build the module: "
            f"`sudo dkms autoinstall -k {kernel} && sudo modprobe nvidia`. "
            f"Without DKMS: {_install_driver(evidence)}."
        )
    elif system.module_built:
        cause += " It is there for the running kernel; Secure Boot refuses one that is not signed."
        mend += " `mokutil --sb-state` says whether Secure Boot is on."
    return Finding(
        code="gpu.driver_not_loaded",
        severity="error",
        subject="node",
        title="The NVIDIA driver is not loaded",
        cause=cause,
        mend=mend,
        evidence={"kernel": kernel},
    )


def _no_permission(_evidence: Evidence) -> Finding:
    return Finding(
        code="gpu.no_permission",
        severity="error",
        subject="node",
        title="The agent may not use the GPU's devices",
        cause="The driver refuses the agent's user access to /dev/nvidia*.",
        mend="`ls -l /dev/nvidia*` shows who may; run the agent as root, or add its user to that "
        "group with `sudo usermod -aG GROUP USER` and restart it.",
    )


def _error(_evidence: Evidence) -> Finding:
    return Finding(
        code="gpu.driver_error",
        severity="error",
        subject="node",
        title="The NVIDIA driver answers with an error",
        cause="The driver is there, but starting to use it failed.",
        mend="`nvidia-smi` and `sudo dmesg | grep -iE 'nvrm|nvidia'` say more; if neither helps, "
        "`sudo reboot`.",
    )


def _install_driver(evidence: Evidence) -> str:
    if evidence.facts.host.os_id == "ubuntu":
        return "`sudo ubuntu-drivers install`"
    return install(evidence.facts.host, "nvidia-driver")
