"""Commands to mend things with, as this system's package manager spells them."""

from __future__ import annotations

from agent.protocol.node import HostFacts

_APT = {"debian", "ubuntu", "linuxmint", "pop", "raspbian"}
_DNF = {"fedora", "rhel", "centos", "rocky", "almalinux", "ol", "amzn"}


def install(host: HostFacts, package: str) -> str:
    """How to install `package`, as a part of a sentence."""
    if host.os_id in _APT:
        return f"`sudo apt-get install {package}`"
    if host.os_id in _DNF:
        return f"`sudo dnf install {package}`"
    return f"install the package {package} with this system's package manager"


def reset_gpu(gpu: str) -> str:
    """How to reset a GPU that nothing uses any more. The agent holds the driver open, too."""
    return (
        "stop the agent (`sudo systemctl stop roost-agent`, where it is a service), "
        f"`sudo nvidia-smi --gpu-reset -i {gpu}`, and start the agent again"
    )


def hold_driver(host: HostFacts) -> str:
    """How to keep the driver's packages from being upgraded unasked, as a sentence."""
    if host.os_id in _APT:
        return (
            "To keep it from happening again, hold the driver's packages: `sudo apt-mark hold "
            "$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\\n' '*nvidia*' "
            "| awk '/^ii/ && !/container/ {print $2}')`; `sudo apt-mark unhold` lets go of them "
            "for a planned upgrade."
        )
    if host.os_id in _DNF:
        return (
            "To keep it from happening again, lock the driver's packages: "
            "`sudo dnf install python3-dnf-plugin-versionlock && "
            "sudo dnf versionlock add '*nvidia*'`."
        )
    return "To keep it from happening again, exclude the driver's packages from upgrades."
