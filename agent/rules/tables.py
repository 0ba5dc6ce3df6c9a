"""What is known of drivers, CUDA releases and GPUs: tables with a source for every row.

The built-in rows are files in `data/`; an operator may replace, add and remove rows with a file
of their own. That file is JSON, each table a list of rows with the fields of the built-in ones:

    {"toolkit_drivers": [{"cuda": "13.4.1", "driver": "615.10", "source": "our depot"}],
     "gpu_architectures": [{"capability": "9.9", "remove": true}]}

A row takes the place of the one with the same key, which is its first field. A row that is
`recalled` has not been looked up: it may warn, and never refuses.
"""

from __future__ import annotations

import difflib
import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from agent.protocol.decoding import from_plain
from agent.protocol.patterns import whole
from agent.protocol.problems import ProblemError

Dotted = Annotated[str, msgspec.Meta(pattern=whole(r"\d{1,9}(\.\d{1,9}){0,3}"))]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Row(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Any row."""

    source: Text
    recalled: bool = False


class ToolkitDriver(Row, kw_only=True, frozen=True):
    """The Linux driver that a CUDA release ships: with it, all of the release works."""

    cuda: Dotted
    driver: Dotted


class DriverFloor(Row, kw_only=True, frozen=True):
    """The least Linux driver for a CUDA major; before CUDA 11 for each minor."""

    cuda: Dotted
    driver: Dotted


class GpuArchitecture(Row, kw_only=True, frozen=True):
    """The CUDA releases and driver branches that know a compute capability. None: still do."""

    capability: Dotted
    architecture: Text
    first_cuda: Dotted
    last_cuda: Dotted | None = None  # "12" is every 12.x
    last_driver: int | None = None  # a branch


class TensorRtSupport(Row, kw_only=True, frozen=True):
    """The TensorRT releases that know a compute capability, where not all do."""

    capability: Dotted
    first: Dotted | None = None
    last: Dotted | None = None  # "8" is every 8.x


class DriverBranch(Row, kw_only=True, frozen=True):
    """A branch of the data-center driver."""

    branch: int
    kind: Literal["lts", "production", "new_feature"]
    cuda: Dotted  # the highest major without a compatibility library
    end_of_life: Annotated[str, msgspec.Meta(pattern=whole(r"\d{4}-\d{2}"))] | None = None


class ForwardCompat(Row, kw_only=True, frozen=True):
    """The driver branches below the compatibility library of a CUDA release, where it has no note
    that says so itself."""

    cuda: Dotted
    drivers: list[int]


class CompatBrand(Row, kw_only=True, frozen=True):
    """A kind of GPU that compatibility libraries run on, where their note does not say."""

    brand: Text


class Jetson(Row, kw_only=True, frozen=True):
    """The CUDA of a Jetson Linux release, which its driver is made for."""

    l4t: Dotted  # "36.4", or a major for all of its releases
    cuda: Dotted


class Tables(msgspec.Struct, kw_only=True, frozen=True, eq=False):
    """All of them, by key. Compared by identity: what is worked out of them is kept."""

    toolkit_drivers: dict[str, ToolkitDriver] = {}
    driver_floors: dict[str, DriverFloor] = {}
    gpu_architectures: dict[str, GpuArchitecture] = {}
    tensorrt: dict[str, TensorRtSupport] = {}
    driver_branches: dict[str, DriverBranch] = {}
    forward_compat: dict[str, ForwardCompat] = {}
    compat_brands: dict[str, CompatBrand] = {}
    jetson: dict[str, Jetson] = {}


# Each table's rows, and the field that names one.
SHAPES: dict[str, tuple[type[Row], str]] = {
    "toolkit_drivers": (ToolkitDriver, "cuda"),
    "driver_floors": (DriverFloor, "cuda"),
    "gpu_architectures": (GpuArchitecture, "capability"),
    "tensorrt": (TensorRtSupport, "capability"),
    "driver_branches": (DriverBranch, "branch"),
    "forward_compat": (ForwardCompat, "cuda"),
    "compat_brands": (CompatBrand, "brand"),
    "jetson": (Jetson, "l4t"),
}


def built_in() -> Tables:
    """The rows that come with Roost. Reads small files: ask once and keep the answer."""
    folder = resources.files("agent.rules") / "data"
    read = {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in SHAPES}
    return _merged(Tables(), read, "the built-in tables")


def read_tables(file: Path) -> Tables:
    """The built-in rows, with an operator's from `file` in place; there need not be one.

    Raises:
        ProblemError: `compatibility.tables`, `settings.unreadable`.
    """
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return built_in()
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(
            "settings.unreadable",
            f"{file}: {error}",
            params={"file": str(file)},
            hint="Check the file's permissions and that it is UTF-8.",
        ) from None
    return merge(built_in(), text, file=str(file))


def merge(tables: Tables, override_text: str, *, file: str = "the override file") -> Tables:
    """The tables with an operator's rows in place.

    Raises:
        ProblemError: `compatibility.tables`, with the line, or the table and the row.
    """
    if not override_text.strip():
        return tables
    try:
        read = json.loads(override_text)
    except json.JSONDecodeError as error:
        raise _bad(f"{file}, line {error.lineno}", f"is not JSON: {error.msg}") from None
    except (RecursionError, ValueError) as error:
        raise _bad(file, f"cannot be read: {error}") from None
    return _merged(tables, read, file)


def _merged(tables: Tables, read: Any, file: str) -> Tables:
    if not isinstance(read, dict):
        raise _bad(file, "must be an object with a list of rows for each table")
    merged: dict[str, dict[str, Any]] = {}
    for name, rows in read.items():
        if name not in SHAPES:
            near = difflib.get_close_matches(name, SHAPES, 1)
            raise _bad(file, f"has {name!r}, which is no table" + (f": {near[0]}?" if near else ""))
        if not isinstance(rows, list):
            raise _bad(f"{file}, {name}", "must be a list of rows")
        merged[name] = dict(getattr(tables, name))
        for number, row in enumerate(rows, 1):
            _put(merged[name], name, row, f"{file}, {name}, row {number}")
    return msgspec.structs.replace(tables, **merged)


def _put(table: dict[str, Any], name: str, row: Any, where: str) -> None:
    shape, field = SHAPES[name]
    if not isinstance(row, dict) or field not in row:
        raise _bad(where, f"must be an object with {field!r}")
    key = str(row[field])
    if row.get("remove") is True:
        if table.pop(key, None) is None:
            raise _bad(where, f"removes {field} {key}, which is not there")
        return
    try:
        table[key] = from_plain(row, shape)
    except msgspec.ValidationError as error:
        raise _bad(where, f"is not valid: {error}") from None


def _bad(where: str, what: str) -> ProblemError:
    return ProblemError(
        "compatibility.tables",
        f"{where}: {what}",
        params={"where": where},
        hint="The tables and their fields are those of agent/rules/data; every row has a source.",
    )
