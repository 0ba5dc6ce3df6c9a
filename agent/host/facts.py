"""Facts of the machine: operating system, kernel, processor, memory, boot, time zone."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from agent.host.reading import read_line, read_text
from agent.host.real_paths import here
from agent.protocol.node import HostFacts

# What uname says, and what image indexes call it (GOARCH).
ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "i686": "386",
    "i386": "386",
}

# DMI fields that a board maker left as they were say nothing.
DMI_FILLERS = {"", "to be filled by o.e.m.", "default string", "system product name", "none"}


def read_facts(root: Path = Path("/"), *, machine: str | None = None) -> HostFacts:
    """The facts of the machine whose root is `root`. Never raises.

    Args:
        machine: What `uname -m` says; this kernel's unless given.
    """
    unknown: dict[str, str] = {}

    def known(field: str, answer: tuple[str | None, str]) -> str | None:
        value, reason = answer
        if value is None:
            unknown[field] = reason
        return value

    release = os_release(root)
    if not release:
        unknown["os"] = "missing"
    uname = os.uname()
    machine = machine or uname.machine
    cpus, booted_at = _stat(root, unknown)
    return HostFacts(
        hostname=read_line(root / "proc/sys/kernel/hostname")[0] or uname.nodename,
        os=release.get("PRETTY_NAME") or release.get("NAME") or "Linux",
        os_id=release.get("ID"),
        os_version=release.get("VERSION_ID"),
        kernel=read_line(root / "proc/sys/kernel/osrelease")[0] or uname.release,
        architecture=ARCHITECTURES.get(machine, machine),
        machine=known("machine", _machine(root)),
        cpu_model=known("cpu_model", _cpu_model(root)),
        cpu_count=cpus,
        memory_total_bytes=_memory(root, unknown),
        boot_id=known("boot_id", read_line(root / "proc/sys/kernel/random/boot_id")),
        booted_at=booted_at,
        timezone=known("timezone", _timezone(root)),
        unknown=unknown,
    )


def os_release(root: Path) -> dict[str, str]:
    """os-release(5): /etc first, then /usr/lib. Empty where neither is there."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        text, _ = read_text(here(path, root))
        if text is not None:
            return _assignments(text)
    return {}


def _assignments(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if not equals or name.startswith("#"):
            continue
        try:
            words = shlex.split(value)
        except ValueError:  # an open quote: take the line as it is
            words = [value]
        found[name.strip()] = words[0] if words else ""
    return found


def _machine(root: Path) -> tuple[str | None, str]:
    """The device tree's model (Jetson) or DMI's vendor and product."""
    model, reason = read_line(root / "proc/device-tree/model")
    if model is not None:
        return model, ""
    words: list[str] = []
    for field in ("sys_vendor", "product_name"):
        word, reason = read_line(root / "sys/class/dmi/id" / field)
        if word is not None and word.lower() not in DMI_FILLERS and word not in words:
            words.append(word)
    return (" ".join(words), "") if words else (None, reason or "not_reported")


def _cpu_model(root: Path) -> tuple[str | None, str]:
    text, reason = read_text(root / "proc/cpuinfo")
    for line in (text or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip(), ""
    # 64-bit ARM kernels print numbers of implementer and part only.
    return None, reason or "not_reported"


def _stat(root: Path, unknown: dict[str, str]) -> tuple[int, float | None]:
    """Processors that are online, and the Unix time of boot."""
    text, reason = read_text(root / "proc/stat")
    cpus = 0
    booted_at: float | None = None
    for line in (text or "").splitlines():
        name, _, value = line.partition(" ")
        if name.startswith("cpu") and name != "cpu":
            cpus += 1
        elif name == "btime" and value.strip().isdecimal():
            booted_at = float(value)
    if booted_at is None:
        unknown["booted_at"] = reason or "not_reported"
    return cpus or os.cpu_count() or 1, booted_at


def _memory(root: Path, unknown: dict[str, str]) -> int:
    text, reason = read_text(root / "proc/meminfo")
    for line in (text or "").splitlines():
        name, _, value = line.partition(":")
        number = value.split()[:1]
        if name == "MemTotal" and number and number[0].isdecimal():
            return int(number[0]) * 1024
    # The field has no "unknown", so the C library is asked instead, and that is said.
    unknown["memory_total_bytes"] = f"/proc/meminfo: {reason or 'not_reported'}; from sysconf"
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _timezone(root: Path) -> tuple[str | None, str]:
    """The IANA name that /etc/localtime points to, else the one in /etc/timezone.

    Without either the zone is UTC, as localtime(5) says.
    """
    localtime = root / "etc/localtime"
    try:
        target = str(localtime.readlink())
    except FileNotFoundError:
        written, reason = read_line(root / "etc/timezone")
        return ("UTC", "") if reason == "missing" else (written, reason)
    except OSError:  # a copy of the zone's file: it does not carry its own name
        written, reason = read_line(root / "etc/timezone")
        return written, "localtime_is_a_copy" if written is None else ""
    _, found, name = target.partition("zoneinfo/")
    for prefix in ("posix/", "right/"):
        name = name.removeprefix(prefix)
    return (name, "") if found and name else (None, "localtime_points_elsewhere")
