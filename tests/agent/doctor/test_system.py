"""The looks at the machine, over fake roots and over this one."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.doctor.daemon import DaemonLook, look_at_daemon
from agent.doctor.system import SystemLook, look_at_system
from agent.protocol.gpus import GpuStack
from agent.protocol.node import RuntimeFacts
from tests.agent.doctor.patients import Patient
from tests.agent.host.tree import write

HOOK = "nvidia-container-runtime-hook"


def dockerd(root: Path, pid: int, *, path: str = "/usr/bin:/opt/nvidia") -> None:
    """A fake process named dockerd."""
    environment = f"LANG=C\0PATH={path}\0"
    write(root, {f"{pid}/comm": "dockerd\n", f"{pid}/environ": environment})
    (root / f"{pid}/root").mkdir()


def test_the_hook_is_found_as_dockerd_would(tmp_path: Path) -> None:
    dockerd(tmp_path, 7)
    write(
        tmp_path,
        {
            f"7/root/usr/bin/{HOOK}": "not executable",
            f"7/root/opt/nvidia/{HOOK}": "#!/bin/sh\n",
            "7/root/usr/bin/nvidia-cdi-hook": "#!/bin/sh\n",
            "8/comm": "containerd\n",
            "self/comm": "dockerd\n",
        },
    )
    assert look_at_daemon(None, tmp_path) == DaemonLook(
        pid=7,
        path="/usr/bin:/opt/nvidia",
        hook=f"/opt/nvidia/{HOOK}",
        cdi_hook="/usr/bin/nvidia-cdi-hook",
    )


def test_no_hook_in_the_path(tmp_path: Path) -> None:
    dockerd(tmp_path, 7, path="/usr/bin")
    look = look_at_daemon("tcp://10.0.0.1:2375", tmp_path)
    assert (look.hook, look.cdi_hook, look.reason) == (None, None, None)


def test_none_or_several_dockerds(tmp_path: Path) -> None:
    reason = look_at_daemon(None, tmp_path).reason
    assert reason == "no process named dockerd is seen from the agent"
    dockerd(tmp_path, 7)
    dockerd(tmp_path, 9)
    assert (look_at_daemon(None, tmp_path).reason or "").startswith("2 processes")
    assert look_at_daemon(None, tmp_path / "none").reason == "/proc: missing"


def test_a_dockerd_whose_files_are_closed(tmp_path: Path) -> None:
    write(tmp_path, {"7/comm": "dockerd\n"})
    assert look_at_daemon(None, tmp_path).reason == (
        "the environment of dockerd (process 7): missing"
    )
    write(tmp_path, {"7/environ": "PATH=/bin"})
    assert look_at_daemon(None, tmp_path).reason == "the files of dockerd (process 7): missing"


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A real process named dockerd that listens on a socket; its number and the socket."""
    path = tmp_path / "d.sock"
    folder = tmp_path / "bin"
    write(tmp_path, {f"bin/{HOOK}": "#!/bin/sh\n"})
    program = (
        "import socket, sys; open('/proc/self/comm', 'w').write('dockerd')\n"
        "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": f"/usr/bin:{folder}"},
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid, path
        process.stdin.close()
        process.stdout.close()


def test_the_listener_on_the_socket_is_the_dockerd(listener: tuple[int, Path]) -> None:
    pid, path = listener
    look = look_at_daemon(f"unix://{path}")
    assert look.pid == pid
    assert look.hook == f"{path.parent}/bin/{HOOK}"
    assert look.reason is None


def test_what_is_on_the_bus_and_in_the_kernel(tmp_path: Path) -> None:
    patient = Patient()
    patient.stack = GpuStack(state="driver_not_loaded", source="nvml")
    write(
        tmp_path,
        {
            "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
            "sys/bus/pci/devices/0000:01:00.0/class": "0x030200\n",
            "sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de\n",
            "sys/bus/pci/devices/0000:01:00.1/class": "0x040300\n",  # its sound device
            "sys/bus/pci/devices/0000:02:00.0/vendor": "0x8086\n",
            "sys/bus/pci/devices/0000:02:00.0/class": "0x030000\n",
            "proc/modules": "nouveau 1 0 - Live 0x0\nnouveau_helper 1 0 - Live 0x0\n",
            f"lib/modules/{patient.host.kernel}/modules.dep": "updates/dkms/nvidia.ko.zst:\n",
            "etc/cdi/nvidia.yaml": "kind: nvidia.com/gpu\ndevices: [{name: all}]\n",
        },
    )
    look = look_at_system(patient.evidence().facts, tmp_path)
    assert look.nvidia_pci == ("0000:01:00.0",)
    assert look.nouveau_loaded is True
    assert look.module_built is True
    assert look.cdi_specs is not None
    assert [spec.devices for spec in look.cdi_specs] == [("all",)]
    assert look.socket is None
    write(tmp_path, {f"lib/modules/{patient.host.kernel}/modules.dep": "kernel/nvidiafb.ko:\n"})
    assert look_at_system(patient.evidence().facts, tmp_path).module_built is False


def test_an_empty_root_tells_nothing(tmp_path: Path) -> None:
    patient = Patient()
    patient.use_podman()
    assert look_at_system(patient.evidence().facts, tmp_path) == SystemLook(cdi_specs=())


def test_who_may_use_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "run/docker.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o640)
        patient = Patient()
        patient.runtime = RuntimeFacts(state="no_permission", address="unix:///run/docker.sock")
        look = look_at_system(patient.evidence().facts, tmp_path).socket
    assert look is not None
    assert (look.path, look.mode, look.reason) == ("/run/docker.sock", "0640", None)
    assert look.owner == look.agent_user
    path.unlink()
    look = look_at_system(patient.evidence().facts, tmp_path).socket
    assert look is not None
    assert look.reason == "missing"


def test_this_machine() -> None:
    look = look_at_system(Patient().evidence().facts)
    assert (look.nouveau_loaded is not None) == Path("/proc/modules").exists()
    assert look.daemon is not None
    assert (look.daemon.path is None) == (look.daemon.reason is not None)
