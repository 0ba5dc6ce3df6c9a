"""What a Jetson's files say about its GPU. All paths are below a root that is "/" on the real one.

The places are those of JetPack 4 to 6: devfreq for load and clock, thermal zones, the INA3221
power monitor and the fan through hwmon, the device tree for what the machine is.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import NamedTuple

# The GPU's devfreq node: its address and "gpu" (JetPack 6) or the chip's name (before).
_GPU_NODES = ("gpu", "ga10b", "gv11b", "gp10b", "gm20b")
_RELEASE = re.compile(r"# R(\d+) \(release\), REVISION: ([\d.]+)")
# The mode that nvpmodel was set to, and what its configuration calls each.
_MODE = re.compile(r"pmode:(\d+)")
_MODE_NAME = re.compile(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)", re.MULTILINE)
# What a thermal zone says while its part of the chip has no power is far below zero.
_COLDEST_MILLIDEGREES = -50_000


class Chip(NamedTuple):
    """A Tegra with a GPU, after the device tree's `compatible`."""

    name: str
    compute_capability: str
    architecture: str


# Compute capabilities: NVIDIA's list of CUDA GPUs.
CHIPS = {
    "nvidia,tegra210": Chip("Tegra X1", "5.3", "maxwell"),
    "nvidia,tegra186": Chip("Tegra X2", "6.2", "pascal"),
    "nvidia,tegra194": Chip("Xavier", "7.2", "volta"),
    "nvidia,tegra234": Chip("Orin", "8.7", "ampere"),
    "nvidia,tegra264": Chip("Thor", "11.0", "blackwell"),
}


class Figure(NamedTuple):
    """A number from a file, or the word for why there is none."""

    value: int | None
    reason: str | None = None


class TegraFiles:
    """Finds the GPU's files once, and reads them on demand. Blocks for as long as sysfs does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._devfreq = self._find_devfreq()
        self._zone = self._find_zone()
        self._rail = self._find_rail()
        self._fan = self._find_fan()

    @property
    def found(self) -> bool:
        """Whether there is a GPU at all."""
        return self._devfreq is not None

    def compatible(self) -> list[str]:
        """The device tree's names for this machine, most special first."""
        return device_tree(self.root, "compatible").split("\0")

    def chip(self) -> Chip | None:
        """The chip, where it is one of the known ones."""
        return next((CHIPS[name] for name in self.compatible() if name in CHIPS), None)

    def load_permille(self) -> Figure:
        """Share of time in which the GPU was busy."""
        return _number(self._devfreq and self._devfreq / "device/load")

    def clock_hz(self) -> Figure:
        return _number(self._devfreq and self._devfreq / "cur_freq")

    def temperature_millidegrees(self) -> Figure:
        figure = _number(self._zone and self._zone / "temp")
        if figure.value is not None and figure.value < _COLDEST_MILLIDEGREES:
            return Figure(None, "not_ready")
        return figure

    def power_microwatts(self) -> Figure:
        """Of the rail that feeds the GPU. On most boards other parts of the chip hang on it too."""
        if self._rail is None:
            return Figure(None, "not_supported")
        monitor, number = self._rail
        volts = _number(monitor / f"in{number}_input")  # mV
        amperes = _number(monitor / f"curr{number}_input")  # mA
        if volts.value is None or amperes.value is None:
            return Figure(None, volts.reason or amperes.reason)
        return Figure(volts.value * amperes.value)

    def fan_of_255(self) -> Figure:
        return _number(self._fan)

    def _find_devfreq(self) -> Path | None:
        for place in _children(self.root / "sys/class/devfreq"):
            if place.name.rpartition(".")[2] in _GPU_NODES:
                return place
        return None

    def _find_zone(self) -> Path | None:
        """ "GPU-therm" up to JetPack 5, "gpu-thermal" since."""
        for place in _children(self.root / "sys/class/thermal"):
            if _text(place / "type").lower().startswith("gpu"):
                return place
        return None

    def _find_rail(self) -> tuple[Path, str] | None:
        for place in _children(self.root / "sys/class/hwmon"):
            if _text(place / "name") != "ina3221":
                continue
            for label in _children(place, "in*_label"):
                if "GPU" in _text(label).upper():
                    return place, label.name[len("in") : -len("_label")]
        return None

    def _find_fan(self) -> Path | None:
        for place in _children(self.root / "sys/class/hwmon"):
            if _text(place / "name") == "pwmfan" and (place / "pwm1").exists():
                return place / "pwm1"
        return None


def is_tegra(root: Path) -> bool:
    """Whether this machine is a Jetson or another Tegra."""
    return "nvidia,tegra" in device_tree(root, "compatible") or l4t_version(root) is not None


def l4t_version(root: Path) -> str | None:
    """Jetson Linux's version: "36.4.0"; None elsewhere, and in a container without the file."""
    found = _RELEASE.match(_text(root / "etc/nv_tegra_release"))
    return f"{found[1]}.{found[2]}" if found else None


def power_mode(root: Path) -> str | None:
    """What nvpmodel was last set to: "2: 15W", or "2" where the mode has no name."""
    found = _MODE.search(_text(root / "var/lib/nvpmodel/status"))
    if found is None:
        return None
    number = int(found[1])
    names = {
        int(each[1]): each[2] for each in _MODE_NAME.finditer(_text(root / "etc/nvpmodel.conf"))
    }
    return f"{number}: {names[number]}" if number in names else str(number)


def device_tree(root: Path, name: str) -> str:
    """A property of the device tree's root, without its last NUL; empty without one."""
    return _text(root / "proc/device-tree" / name).rstrip("\0")


def _children(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(folder.glob(pattern)) if folder.is_dir() else []


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip("\n ")
    except OSError:
        return ""


def _number(file: Path | None) -> Figure:
    if file is None:
        return Figure(None, "not_supported")
    try:
        return Figure(int(file.read_text()))
    except FileNotFoundError:
        return Figure(None, "not_supported")
    except PermissionError:
        return Figure(None, "no_permission")
    except OSError as error:
        # EAGAIN: the part of the chip has no power now.
        return Figure(None, "not_ready" if error.errno == errno.EAGAIN else "not_supported")
    except ValueError:
        return Figure(None, "not_supported")
