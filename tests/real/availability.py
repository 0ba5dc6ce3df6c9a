"""Which real parts can run on this machine, and why the others cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.real import bare_machine, roots

# A skipped real test is a failure when this is 1; CI sets it.
REQUIRE = "ROOST_REQUIRE_REAL"


@dataclass(frozen=True)
class Part:
    """What a real part needs, and the fixtures that start it."""

    commands: tuple[str, ...]
    fixtures: tuple[str, ...] = ()
    # Namespaces, mounts, accounts.
    enclosed: bool = True
    # Makes cgroups for containers.
    cgroups: bool = False
    # Run from folders that tests/real/make-roots and make-detector make.
    roots: tuple[str, ...] = ()


ENCLOSURE = ("unshare", "nsenter", "mount", "umount", "ip")
PARTS = {
    "docker": Part(
        ("dockerd", "containerd", "runc", "docker", "iptables", "busybox", *ENCLOSURE),
        ("docker_engine", "docker_engine_factory"),
        cgroups=True,
    ),
    "containerd_store": Part(
        ("docker", "busybox", "pivot_root", *ENCLOSURE),
        ("containerd_store", "containerd_store_factory"),
        cgroups=True,
        roots=(roots.DOCKER,),
    ),
    "podman": Part(
        ("podman", "conmon", "runc", "docker", "iptables", "busybox", *ENCLOSURE),
        ("podman_service", "podman_service_factory"),
        cgroups=True,
    ),
    "new_podman": Part(
        ("runc", "docker", "busybox", "pivot_root", *ENCLOSURE),
        ("new_podman",),
        cgroups=True,
        roots=(roots.DOCKER,),
    ),
    "skopeo": Part(("skopeo", *ENCLOSURE), ("skopeo",)),
    "ssh": Part(
        ("sshd", "ssh", "ssh-keygen", *ENCLOSURE),
        ("ssh_server", "ssh_server_factory"),
    ),
    "machine": Part(
        ("ssh", "pivot_root", *ENCLOSURE),
        ("machine_factory",),
        cgroups=True,
        roots=bare_machine.ROOTS,
    ),
    # For a test marked `real("machine_with_docker")`.
    "machine_with_docker": Part(
        ("ssh", "pivot_root", *ENCLOSURE), cgroups=True, roots=(bare_machine.WITH_DOCKER,)
    ),
    # For a test marked `real("machine_with_podman")`.
    "machine_with_podman": Part(
        ("ssh", "pivot_root", *ENCLOSURE),
        cgroups=True,
        roots=tuple(bare_machine.WITH_PODMAN.split(":")),
    ),
    # For a test marked `real("corner")`: enclosures and nothing else.
    "corner": Part(ENCLOSURE),
    # For a test marked `real("filesystem")`: a small one, to be filled.
    "filesystem": Part(("mkfs.ext4", "losetup", *ENCLOSURE)),
    # For a test marked `real("network")`: a site of namespaces behind a slow link.
    "network": Part(("tc", *ENCLOSURE)),
    # For a test marked `real("systemd")`: a manager of its own, of a user's kind.
    "systemd": Part(("systemctl", *ENCLOSURE)),
    # For a test marked `real("haproxy")`, and the image of a traffic gateway.
    "haproxy": Part(("haproxy", *ENCLOSURE), ("gateways",)),
    "detector": Part(
        ("tar",),
        ("detector_image",),
        roots=("machine-bookworm", "detector-wheels", "detector-client"),
    ),
    # For a test marked `real("gateway")`: images/gateway, built.
    "gateway": Part(("tar",), roots=("machine-bookworm", "gateway-debs")),
    # For a test marked `real("triton_config")`: Triton's own message of a model's configuration.
    "triton_config": Part((), enclosed=False, roots=("detector-client",)),
    # This machine's GPUs, under a Docker Engine of its own.
    "gpus": Part(
        ("nvidia-smi", "gcc", "dockerd", "containerd", "runc", "docker", "busybox", *ENCLOSURE[:4]),
        ("gpu_engine",),
        cgroups=True,
    ),
    # For a test marked `real("prometheus")`.
    "prometheus": Part(
        ("prometheus", "promtool", "prometheus-node-exporter"),
        enclosed=False,
    ),
    # For a test marked `real("rpm")`: packages and databases of rpm's own.
    "rpm": Part(("rpm", "rpmbuild"), enclosed=False),
    # For a test marked `real("compiler")`.
    "compiler": Part(("gcc",), enclosed=False),
}


def parts_of(fixtures: Iterable[str]) -> set[str]:
    """The parts that these fixtures start."""
    wanted = set(fixtures)
    return {name for name, part in PARTS.items() if wanted.intersection(part.fixtures)}


def why_not(name: str) -> str | None:
    """Why a part cannot run here, in a few words; None when it can. KeyError: no such part."""
    part = PARTS[name]
    if part.enclosed and os.geteuid() != 0:
        return "not root"
    if missing := [command for command in part.commands if shutil.which(command) is None]:
        return f"not in PATH: {', '.join(missing)}"
    if part.enclosed:
        probe = ["unshare", "--mount", "--net", "mount", "-t", "tmpfs", "tmpfs", "/run"]
        tried = subprocess.run(probe, capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            return f"no namespaces of its own: {tried.stderr.strip()}"
    for root in part.roots:
        if not roots.is_made(root):
            return f"no {roots.folder(root)}: `make test-runtimes` makes it"
    if part.cgroups and os.statvfs(_cgroup_mount()).f_flag & os.ST_RDONLY:
        return "cgroups are read-only"
    return None


def _cgroup_mount() -> Path:
    """Where containers get their cgroups: one of v1's hierarchies, or v2's only one."""
    first = Path("/sys/fs/cgroup/pids")
    return first if first.is_dir() else first.parent


def required() -> bool:
    """Whether a skipped real test is a failure."""
    return os.environ.get(REQUIRE) == "1"
