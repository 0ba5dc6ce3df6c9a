"""The tables, laid out for questions about one image: found once, asked for every node."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, TypeVar

from agent.protocol.compatibility import ImageNeeds
from agent.rules.tables import (
    DriverFloor,
    ForwardCompat,
    GpuArchitecture,
    Jetson,
    Tables,
    TensorRtSupport,
    ToolkitDriver,
)
from agent.rules.versions import Version, dotted, minor, numbers, within

_Row = TypeVar("_Row", DriverFloor, ForwardCompat)


class Shipped(NamedTuple):
    """A driver that came with a CUDA release."""

    driver: Version
    cuda: Version  # major and minor
    row: ToolkitDriver


class KnownDriver(NamedTuple):
    """A driver of the tables, and the newest CUDA that it runs by itself."""

    version: Version
    text: str
    cuda: str | None


class Known:
    """What the tables say that bears on the image."""

    def __init__(self, needs: ImageNeeds, tables: Tables) -> None:
        self.tables = tables
        self.cuda = self._cuda(needs)
        self.tensorrt = numbers(needs.tensorrt.version) if needs.tensorrt else None
        self.shipped = _shipped(tables)
        self.drivers = _drivers(tables)
        self.floor = self._floor()
        self.own = self._own()
        self.window = self._window()
        majors = {_read(row.cuda)[0] for row in tables.driver_floors.values()}
        self.newest_major = max(majors, default=0)
        self.compat = needs.compat
        self.compat_looked = needs.looked_inside and "compat" not in needs.unknown
        self.compat_driver = numbers(needs.compat.driver_version) if needs.compat else None
        self.compat_cuda = numbers(needs.compat.cuda_version) if needs.compat else None

    def architecture(self, capability: str) -> GpuArchitecture | None:
        return self.tables.gpu_architectures.get(capability)

    def tensorrt_support(self, capability: str) -> TensorRtSupport | None:
        return self.tables.tensorrt.get(capability)

    def jetson(self, l4t: str) -> Jetson | None:
        """The row of that release, else that of its major."""
        version = numbers(l4t)
        if version is None:
            return None
        fitting = [row for row in self.tables.jetson.values() if within(version, _read(row.l4t))]
        return max(fitting, key=lambda row: len(_read(row.l4t)), default=None)

    def same_family(self, capability: str, cuda: Version) -> str | None:
        """The highest lower capability of the same major that this CUDA makes code for."""
        wanted = _read(capability)
        lower = [
            (_read(row.capability), row.capability)
            for row in self.tables.gpu_architectures.values()
            if _read(row.capability)[0] == wanted[0]
            and _read(row.capability) < wanted
            and _read(row.first_cuda) <= cuda
        ]
        return max(lower)[1] if lower else None

    def _cuda(self, needs: ImageNeeds) -> Version | None:
        """What the image says; what is made for a Jetson Linux has its CUDA."""
        if needs.cuda is not None:
            return numbers(needs.cuda.version)
        row = self.jetson(needs.l4t.version.removeprefix("r")) if needs.l4t else None
        return numbers(row.cuda) if row else None

    def _floor(self) -> DriverFloor | None:
        return _of(self.tables.driver_floors, self.cuda)

    def _window(self) -> ForwardCompat | None:
        return _of(self.tables.forward_compat, self.cuda)

    def _own(self) -> Shipped | None:
        """The least driver that came with the image's CUDA, whichever of its updates it is."""
        if self.cuda is None:
            return None
        wanted = minor(self.cuda)
        return next((each for each in self.shipped if each.cuda == wanted), None)


def driver_runs(tables: Tables, driver: Version) -> Version | None:
    """The newest CUDA release whose own driver is that one or older, as major and minor."""
    runs = (each.cuda for each in _shipped(tables) if each.driver <= driver)
    return max(runs, default=None)


@lru_cache(maxsize=4)
def _shipped(tables: Tables) -> tuple[Shipped, ...]:
    """The oldest driver first."""
    rows = tables.toolkit_drivers.values()
    found = (Shipped(_read(row.driver), minor(_read(row.cuda)), row) for row in rows)
    return tuple(sorted(found, key=lambda each: (each.driver, each.cuda)))


@lru_cache(maxsize=4)
def _drivers(tables: Tables) -> tuple[KnownDriver, ...]:
    """All that the tables name, the oldest first."""
    texts = {row.driver for row in tables.toolkit_drivers.values()}
    texts |= {row.driver for row in tables.driver_floors.values()}
    found = []
    for version, text in sorted((_read(text), text) for text in texts):
        cuda = driver_runs(tables, version)
        found.append(KnownDriver(version, text, dotted(cuda) if cuda else None))
    return tuple(found)


def _of(table: dict[str, _Row], cuda: Version | None) -> _Row | None:
    if cuda is None:
        return None
    fitting = [row for row in table.values() if within(cuda, _read(row.cuda))]
    return max(fitting, key=lambda row: len(_read(row.cuda)), default=None)


def _read(text: str) -> Version:
    version = numbers(text)
    if version is None:  # the tables' types forbid it
        raise ValueError(text)
    return version
