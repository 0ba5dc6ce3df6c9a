"""Looks at the machine that only the doctor needs."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

import msgspec

from agent.doctor.daemon import DaemonLook, look_at_daemon
from agent.host.cdi import SPEC_DIRS, CdiSpec, read_cdi_specs
from agent.host.reading import read_line, read_text, reason_of
from agent.host.real_paths import here
from agent.protocol.node import NodeFacts

NVIDIA_PCI_VENDOR = "0x10de"
DISPLAY_CLASS = "0x03"  # of PCI: VGA, 3D and other display controllers


class SocketLook(msgspec.Struct, kw_only=True, frozen=True):
    """The runtime's socket file, and who the agent is."""

    path: str
    owner: str | None = None
    group: str | None = None
    mode: str | None = None  # "0660"
    agent_user: str | None = None
    reason: str | None = None  # why the file could not be looked at


class SystemLook(msgspec.Struct, kw_only=True, frozen=True):
    """All of it. None where it was not looked at."""

    nvidia_pci: tuple[str, ...] | None = None  # addresses of NVIDIA's display controllers
    nouveau_loaded: bool | None = None
    module_built: bool | None = None  # whether the running kernel has an nvidia module to load
    daemon: DaemonLook | None = None
    cdi_specs: tuple[CdiSpec, ...] | None = None
    socket: SocketLook | None = None


def look_at_system(facts: NodeFacts, root: Path = Path("/")) -> SystemLook:
    """Look at everything that the facts make worth a look. Blocks briefly; never raises."""
    stack, runtime = facts.gpu_stack, facts.runtime
    without_driver = stack.state in ("no_library", "driver_not_loaded", "no_gpu", "error")
    docker = runtime.state == "ok" and runtime.name == "Docker Engine"
    dirs = runtime.cdi_spec_dirs or SPEC_DIRS
    return SystemLook(
        nvidia_pci=_nvidia_pci(root),
        nouveau_loaded=_loaded(root, "nouveau"),
        module_built=_built(root, facts.host.kernel) if without_driver else None,
        daemon=look_at_daemon(runtime.address, root / "proc") if docker else None,
        cdi_specs=tuple(read_cdi_specs(root, dirs)),
        socket=_socket(runtime.address, root) if runtime.state == "no_permission" else None,
    )


def _nvidia_pci(root: Path) -> tuple[str, ...] | None:
    devices = root / "sys/bus/pci/devices"
    try:
        return tuple(
            sorted(
                device.name
                for device in devices.iterdir()
                if read_line(device / "vendor")[0] == NVIDIA_PCI_VENDOR
                and (read_line(device / "class")[0] or "").startswith(DISPLAY_CLASS)
            )
        )
    except OSError:  # no PCI here, or no /sys in the agent's container
        return None


def _loaded(root: Path, module: str) -> bool | None:
    text, _ = read_text(root / "proc/modules")
    if text is None:
        return None
    return any(line.startswith(f"{module} ") for line in text.splitlines())


def _built(root: Path, kernel: str) -> bool | None:
    """Whether modprobe would find nvidia.ko, compressed or not."""
    text, _ = read_text(root / "lib/modules" / kernel / "modules.dep")
    if text is None:
        return None
    names = {line.partition(":")[0].rpartition("/")[2] for line in text.splitlines()}
    return any(name.startswith("nvidia.ko") for name in names)


def _socket(address: str | None, root: Path) -> SocketLook | None:
    scheme, _, path = (address or "").partition("://")
    if scheme != "unix":
        return None
    user = _user(os.geteuid())
    try:
        about = here(path, root).stat()
    except OSError as error:
        return SocketLook(path=path, agent_user=user, reason=reason_of(error))
    try:
        group = grp.getgrgid(about.st_gid).gr_name
    except KeyError:
        group = str(about.st_gid)
    return SocketLook(
        path=path,
        owner=_user(about.st_uid),
        group=group,
        mode=f"{stat.S_IMODE(about.st_mode):04o}",
        agent_user=user,
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
