"""TensorRT engines on the wire: recipes, what was built from them, and how to ask for one."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Model = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$")]
NodePath = Annotated[str, msgspec.Meta(pattern="^/", max_length=4096)]
Dimensions = Annotated[list[int], msgspec.Meta(max_length=8)]
# What the ONNX itself has, or what the builder may use beside it.
Precision = Literal["model", "fp16", "bf16", "int8", "fp8", "best"]
# "header": the plan begins as it should, and was not tried on a GPU; `reason` says why.
Verification = Literal["header", "deserialised"]


class ShapeRange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The sizes that an input may have, and those that the engine is tuned for."""

    min: Dimensions
    opt: Dimensions
    max: Dimensions


class EngineRecipe(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How an engine is built. None leaves it to TensorRT."""

    model: Model  # how the engine is called here
    onnx: NodePath  # on the node; external data lies beside it
    precision: Precision = "model"
    # Each by the inputs' names; several are several profiles of one engine.
    profiles: Annotated[list[dict[str, ShapeRange]], msgspec.Meta(max_length=16)] = []
    workspace_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    optimization_level: Annotated[int, msgspec.Meta(ge=0, le=5)] | None = None
    version_compatible: bool = False
    hardware_compatibility: Literal["ampere_plus", "same_compute_capability"] | None = None
    # "8.6"; TensorRT-RTX only, which builds without a GPU: those that the engine shall run on.
    compute_capabilities: Annotated[list[str], msgspec.Meta(max_length=8)] = []
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 3600.0


class BuildRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Have an engine. One that is there already is used as it is, unless `rebuild`."""

    recipe: EngineRecipe
    gpu: Annotated[str, msgspec.Meta(max_length=128)] | None = None  # its UUID; None: the first
    rebuild: bool = False


class Builder(msgspec.Struct, kw_only=True):
    """The TensorRT that builds."""

    flavour: Literal["tensorrt", "tensorrt_rtx"]
    version: str  # all of it: "10.13.2.6"
    python: str  # its Python's version


class EngineParts(msgspec.Struct, kw_only=True):
    """All that an engine depends on: other parts, another engine."""

    onnx_sha256: str
    external_sha256: dict[str, str] = {}  # by the name that the ONNX has for it
    recipe: EngineRecipe
    flavour: str
    tensorrt: str
    gpu: str | None = None  # its name; None: not built for the GPU of this node
    compute_capability: str | None = None
    gpu_memory_bytes: int | None = None


class EngineManifest(msgspec.Struct, kw_only=True):
    """What lies beside a plan, and says where it is from."""

    key: str  # SHA-256 of the parts, in hex
    parts: EngineParts
    driver_version: str | None = None
    built_at: float  # Unix seconds, by the node's clock
    build_seconds: float
    peak_memory_bytes: int  # of the builder, not of the GPU
    plan_bytes: int
    plan_sha256: str
    plan_version: list[int]  # as the plan's header has it
    layers: int  # of the parsed network
    warnings: int
    verification: Verification
    verification_reason: str | None = None
    job: str  # that built it


class Engine(msgspec.Struct, kw_only=True):
    """An engine in the node's store."""

    model: Model
    current: bool  # whether `current` points at it
    path: str  # of the plan, on the node
    manifest: EngineManifest
