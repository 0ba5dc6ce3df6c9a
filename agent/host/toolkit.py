"""NVIDIA Container Toolkit: its version, mode, programs and CDI specifications."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.host.cdi import SPEC_DIRS, read_cdi_specs
from agent.host.reading import read_text, reason_of
from agent.host.real_paths import command_there, here
from agent.protocol.node import ToolkitFacts

# The packages that carry nvidia-ctk; the base package alone is enough for CDI.
PACKAGES = ("nvidia-container-toolkit", "nvidia-container-toolkit-base")

PROGRAM_DIRS = (
    "usr/bin",
    "usr/local/bin",
    "usr/sbin",
    "usr/local/sbin",
    "usr/local/nvidia/toolkit",
)

CONFIG = "etc/nvidia-container-runtime/config.toml"
COMMAND_TIMEOUT_SECONDS = 5

_SECTION = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?$")
_MODE = re.compile(r"""\s*mode\s*=\s*("|')([^"']*)\1\s*(#.*)?$""")
_VERSION = re.compile(r"version\s+v?(\d+\.\d+\.\d+\S*)")


class ToolkitReader:
    """Reads the facts of the toolkit that is below `root`, again and again.

    The version comes from dpkg's database, else from `nvidia-ctk --version` (rpm's database
    cannot be read without rpm), which is run again only when its file has changed.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        *,
        command: Callable[[Sequence[str], Path], Sequence[str]] = command_there,
    ) -> None:
        self._root, self._command = root, command
        self._told: tuple[tuple[int, int], str] | None = None  # the file's signature, its version

    def read(self, cdi_dirs: Sequence[str] = ()) -> ToolkitFacts:
        """The facts now. Never raises. `cdi_dirs`: the runtime's; empty: those of most."""
        return _facts(self._root, cdi_dirs or SPEC_DIRS, self._version)

    def _version(self, program: str) -> tuple[str | None, str]:
        try:
            about = here(program, self._root).stat()
        except OSError as error:
            return None, reason_of(error)
        signature = (about.st_mtime_ns, about.st_size)
        if self._told is not None and self._told[0] == signature:
            return self._told[1], ""
        version, reason = _ask_version(self._command([program, "--version"], self._root))
        if version is not None:
            self._told = (signature, version)
        return version, reason


def _facts(
    root: Path, cdi_dirs: Sequence[str], ask: Callable[[str], tuple[str | None, str]]
) -> ToolkitFacts:
    unknown: dict[str, str] = {}
    ctk = _program(root, "nvidia-ctk")
    version = _package_version(root)
    if version is None and ctk is not None:
        version, reason = ask(ctk)
        if version is None:
            unknown["version"] = reason
    mode, reason = _mode(root)
    if mode is None:
        unknown["mode"] = reason
    specs = read_cdi_specs(root, cdi_dirs)
    return ToolkitFacts(
        version=version,
        mode=mode,
        hook_path=_program(root, "nvidia-container-runtime-hook"),
        runtime_path=_program(root, "nvidia-container-runtime"),
        ctk_path=ctk,
        cdi_specs=[spec.path for spec in specs],
        cdi_devices=[f"{spec.kind}={device}" for spec in specs for device in spec.devices],
        unknown=unknown,
    )


def _program(root: Path, name: str) -> str | None:
    """Where `name` is as an executable file, seen from `root`."""
    for folder in PROGRAM_DIRS:
        path = here(f"/{folder}/{name}", root)
        if path.is_file() and os.access(path, os.X_OK):
            return f"/{folder}/{name}"
    return None


def _package_version(root: Path) -> str | None:
    """The upstream version of the installed package, "1.17.8", or None if dpkg has none."""
    info = root / "var/lib/dpkg/info"
    try:
        # The status file is large, so it is read only where the package is known to be.
        if not any((info / f"{package}.list").exists() for package in PACKAGES):
            return None
    except OSError:
        return None
    text, _ = read_text(root / "var/lib/dpkg/status")
    for paragraph in (text or "").split("\n\n"):
        if not paragraph.startswith(f"Package: {PACKAGES[0]}"):
            continue
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if ": " in line and not line.startswith(" ")
        )
        if fields.get("Package") in PACKAGES and fields.get("Status", "").endswith(" installed"):
            return fields.get("Version", "").partition("-")[0] or None
    return None


def _ask_version(command: Sequence[str]) -> tuple[str | None, str]:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"nvidia-ctk did not answer in {COMMAND_TIMEOUT_SECONDS} s"
    except OSError as error:
        return None, reason_of(error)
    found = _VERSION.search(done.stdout.decode("utf-8", "replace"))
    if done.returncode != 0 or found is None:
        return None, f"nvidia-ctk --version ended with {done.returncode} and told no version"
    return found[1], ""


def _mode(root: Path) -> tuple[str | None, str]:
    """`mode` of section [nvidia-container-runtime]; Python 3.10 has no TOML reader."""
    text, reason = read_text(root / CONFIG)
    if text is None:
        return None, reason
    section = ""
    for line in text.splitlines():
        if header := _SECTION.match(line):
            section = header[1].strip("\"' ")
        elif section == "nvidia-container-runtime" and (mode := _MODE.match(line)):
            return mode[2], ""
    return None, "not_set"
