"""What an image needs, and whether it can run on a node and its GPUs.

Needs are read out of the image itself, also out of an archive that no node has yet; what a node
offers are its facts. Whoever has both can judge: `agent.rules.compatibility`.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Found(msgspec.Struct, kw_only=True, frozen=True):
    """A version, and where in the image it was found ("env CUDA_VERSION", a path in a layer)."""

    version: str
    where: str


# `Found.where` of a CUDA version that NVIDIA's toolkit reads, too: it alone makes a "legacy image".
CUDA_VERSION_VARIABLE = "env CUDA_VERSION"


class CompatLibrary(msgspec.Struct, kw_only=True, frozen=True):
    """The forward-compatibility libcuda that an image brings, as its ELF note describes it.

    A library without a note (before CUDA 12.9 or so) has None where the note would say.
    """

    path: str  # in the image
    driver_version: str  # of the library's file name: "575.57.08"
    cuda_version: str | None = None  # "12.9"
    drivers: list[int] | None = None  # branches of the host's driver that it runs on
    devices: list[int] | None = None  # NVML brand numbers that it runs on


class ImageNeeds(msgspec.Struct, kw_only=True):
    """What one image says of itself that decides where it runs.

    What could not be found out is None and has an entry in `unknown`: field to reason. None
    without an entry was looked for and is not there.
    """

    os: str = "linux"
    architecture: str  # as images name it: "amd64"
    variant: str = ""
    wants_gpu: bool  # it says so: NVIDIA_VISIBLE_DEVICES, a CUDA version, a label
    cuda: Found | None = None
    tensorrt: Found | None = None
    bundled_driver: Found | None = None  # CUDA_DRIVER_VERSION: the toolkit's own driver
    l4t: Found | None = None  # made for Jetson Linux: a label, a package of JetPack
    requires: dict[str, str] = {}  # NVIDIA_REQUIRE_*: as written
    requires_disabled: bool = False  # NVIDIA_DISABLE_REQUIRE
    compat: CompatLibrary | None = None
    product: str | None = None  # NVIDIA_PRODUCT_NAME: "Triton Server"
    looked_inside: bool = False  # whether the layers' files were looked at, too
    unknown: dict[str, str] = {}


Ability = Literal["runs", "warns", "unknown", "fails"]
ABILITIES: tuple[Ability, ...] = ("runs", "warns", "unknown", "fails")  # the worst last


class Reason(msgspec.Struct, kw_only=True, frozen=True):
    """Why an image cannot run there, or may not run well."""

    code: str  # stable, dotted: "cuda.driver_too_old"
    ability: Ability
    what: str  # one sentence
    mend: str  # what would make it run
    source: str  # of the rule


class GpuVerdict(msgspec.Struct, kw_only=True):
    """One GPU."""

    uuid: str
    index: int
    name: str
    ability: Ability
    reasons: list[Reason] = []


class Verdict(msgspec.Struct, kw_only=True):
    """One image on one node: the best of its GPUs, and what holds for all of them.

    `reasons` are those of the node as a whole (its CPU, no GPU, no toolkit); `gpus` have their own.
    """

    ability: Ability
    reasons: list[Reason] = []
    gpus: list[GpuVerdict] = []
    needs_driver: str | None = None  # the least driver that would mend it, where one would
