"""TensorRT engines on the wire: recipes, what was built from them, and how to ask for one."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent.protocol.engine_figures import EngineCheck, Precision, Verification
from agent.protocol.node_files import NAME_PATTERN
from agent.protocol.patterns import whole
from agent.protocol.site import SiteGrant

Model = Annotated[str, msgspec.Meta(pattern=whole(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}"))]
NodePath = Annotated[str, msgspec.Meta(pattern="^/", max_length=4096)]
# The whole path of a file on the node, or one below the agent's folder of models.
ModelPath = Annotated[str, msgspec.Meta(pattern=rf"^/|{NAME_PATTERN}", max_length=4096)]
ImageName = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
GpuUuid = Annotated[str, msgspec.Meta(max_length=128)]
# Of an engine's key and of a plan: SHA-256 in hex.
HexDigest = Annotated[str, msgspec.Meta(pattern=whole(r"[0-9a-f]{64}"))]
# An engine's key, or the start of it.
KeyStart = Annotated[str, msgspec.Meta(pattern=whole(r"[0-9a-f]{4,64}"))]
Bytes = Annotated[int, msgspec.Meta(ge=1)]
Dimensions = Annotated[list[int], msgspec.Meta(max_length=8)]
Batch = Annotated[int, msgspec.Meta(ge=1, le=65536)]
# A process on the node, or a throw-away container of the model's own image.
Executor = Literal["host", "container"]


class ShapeRange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The sizes that an input may have, and those that the engine is tuned for."""

    min: Dimensions
    opt: Dimensions
    max: Dimensions


# What is asked for leaves out what says nothing: agents that do not know a newer field refuse it.
class Validation(
    msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True, omit_defaults=True
):
    """How an engine is tried before it is called good."""

    iterations: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 50  # 0: it is only deserialised
    warmup: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 5  # iterations that do not count
    # A folder on the node with NAME.bin for each input; None: random, the same each time.
    inputs: NodePath | None = None
    # An output may differ from what it is compared with by atol + rtol x its value.
    rtol: Annotated[float, msgspec.Meta(ge=0)] = 1e-2
    atol: Annotated[float, msgspec.Meta(ge=0)] = 1e-2
    onnxruntime: bool = True  # compare with it, on the CPU, where it is installed
    previous: bool = True  # compare with the engine before that was made of the same ONNX
    # NaN and infinity are like themselves only; where nothing is compared there may be none at all,
    # unless this says so.
    not_finite: bool = False
    max_latency_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None  # of p99
    # Empty: the smallest, the tuned and the largest of each profile.
    batches: Annotated[list[Batch], msgspec.Meta(max_length=64)] = []
    cuda_graphs: bool = False  # measure it as a CUDA graph, too


class Dla(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A Jetson's deep learning accelerator, which computes in fp16 and int8."""

    core: Annotated[int, msgspec.Meta(ge=0, le=15)] = 0
    gpu_fallback: bool = False  # what the DLA cannot do is done on the GPU; else there is no engine


class EngineRecipe(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How an engine is built. None leaves it to TensorRT."""

    model: Model  # how the engine is called here
    onnx: ModelPath  # on the node; external data lies beside it
    precision: Precision = "model"
    # Each by the inputs' names; several are several profiles of one engine.
    profiles: Annotated[list[dict[str, ShapeRange]], msgspec.Meta(max_length=16)] = []
    workspace_bytes: Bytes | None = None
    optimization_level: Annotated[int, msgspec.Meta(ge=0, le=5)] | None = None
    version_compatible: bool = False
    hardware_compatibility: Literal["ampere_plus", "same_compute_capability"] | None = None
    # "8.6"; TensorRT-RTX only, which builds without a GPU: those that the engine shall run on.
    compute_capabilities: Annotated[list[str], msgspec.Meta(max_length=8)] = []
    timing_cache: bool = True  # what TensorRT timed in other builds is used again
    calibration_cache: ModelPath | None = None  # int8 without Q/DQ in the ONNX
    sparsity: bool = False  # use that weights are 2:4 sparse, where they are
    dla: Dla | None = None  # None: on the GPU
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 3600.0
    gpu_memory_bytes: Bytes | None = None  # must be free; bounds workspace and tactics, not all
    memory_bytes: Bytes | None = None  # of the builder's container; None: 3/4 of the node's
    executor: Executor = "host"
    image: ImageName | None = None  # whose TensorRT builds, with executor: container
    validation: Validation = msgspec.field(default_factory=Validation)


class SharedPlan(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An engine of another node of the site, as that node told the console of it.

    Its plan is fetched under the grant, and tried where it shall run as one that was built there.
    """

    grant: SiteGrant
    key: HexDigest  # where it is another one than that of the node that fetches, nothing is fetched
    plan_sha256: HexDigest
    plan_bytes: Bytes
    build_seconds: Annotated[float, msgspec.Meta(ge=0)]  # there
    peak_memory_bytes: Bytes | None = None  # of the builder there
    layers: Annotated[int, msgspec.Meta(ge=0)] | None = None
    warnings: Annotated[int, msgspec.Meta(ge=0)] = 0


class BuildRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Have an engine. One that is there already is used as it is, unless `rebuild`.

    Of `POST /v1/engines/look`: say which one that would be, and whether it is there.
    """

    recipe: EngineRecipe
    gpu: GpuUuid | None = None  # None: the first
    rebuild: bool = False
    shared: SharedPlan | None = None  # where it can be had; None, or it is not good: it is built


class VerifyRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Try an engine again where it lies."""

    key: KeyStart | None = None  # None: the current one, or else the newest
    gpu: GpuUuid | None = None  # None: the one that it was built on, or else the first
    validation: Validation | None = None  # None: as its recipe says


class UseRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Have `current` point at an engine that was tried and found good."""

    key: KeyStart


class EngineRemoveRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Remove an engine; the one in use only by force, and then there is no current one."""

    key: KeyStart
    force: bool = False


class PlanImportRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Take in a plan that lies on the node; it is tried as one that was built here.

    Of "NAME.plan", "NAME.manifest.json" or "manifest.json" beside it says what it was built from.
    """

    model: Model
    plan: NodePath
    gpu: GpuUuid | None = None
    executor: Executor = "host"
    image: ImageName | None = None
    validation: Validation = msgspec.field(default_factory=Validation)


class BenchRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Build an engine for each batch size and precision, measure it, and throw it away."""

    recipe: EngineRecipe  # its precision and the first size of its dynamic inputs are set anew
    gpu: GpuUuid | None = None
    batches: Annotated[list[Batch], msgspec.Meta(min_length=1, max_length=16)]
    precisions: Annotated[list[Precision], msgspec.Meta(min_length=1, max_length=6)] = (
        msgspec.field(default_factory=lambda: ["model"])
    )
    max_latency_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    cuda_graphs: bool = False  # measure each engine as a CUDA graph, too


class Builder(msgspec.Struct, kw_only=True):
    """The TensorRT that builds."""

    flavour: Literal["tensorrt", "tensorrt_rtx"]
    version: str  # all of it: "10.13.2.6"
    python: str  # its Python's version
    image: str | None = None  # config digest of the image that has it; None: the node itself
    # Whether a build tells how far it is, so that a long silence means that something is wrong.
    progress: bool = True


class ModelFile(msgspec.Struct, kw_only=True):
    """A file that an engine was built from, as it was then."""

    path: str  # on the node
    size_bytes: int
    modified_ns: int
    sha256: str


class EngineParts(msgspec.Struct, kw_only=True):
    """All that an engine depends on: other parts, another engine."""

    onnx_sha256: str | None = None  # None: it was imported
    external_sha256: dict[str, str] = {}  # by the name that the ONNX has for it
    plan_sha256: str | None = None  # of one that was imported
    calibration_sha256: str | None = None
    recipe: EngineRecipe | None = None  # None: it was imported
    flavour: str
    tensorrt: str
    image: str | None = None  # config digest; None: the node's own TensorRT
    gpu: str | None = None  # its name; None: not built for the GPU of this node
    compute_capability: str | None = None
    gpu_memory_bytes: int | None = None
    sm_count: int | None = None
    module: str | None = None  # of a Jetson, as its device tree names it
    l4t: str | None = None
    power_mode: str | None = None


class EngineManifest(msgspec.Struct, kw_only=True):
    """What lies beside a plan, and says where it is from."""

    key: str  # SHA-256 of the parts, in hex
    parts: EngineParts
    driver_version: str | None = None  # under which it was built
    gpu_uuid: str | None = None  # on which
    built_at: float  # Unix seconds, by the node's clock; from elsewhere: when it was taken in
    build_seconds: float
    peak_memory_bytes: int | None = None  # of the builder, not of the GPU
    plan_bytes: int
    plan_sha256: str
    plan_version: list[int]  # as the plan's header has it
    layers: int | None = None  # of the parsed network
    warnings: int
    verification: Verification
    verification_reason: str | None = None
    check: EngineCheck | None = None  # the newest one
    files: list[ModelFile] = []
    image_name: str | None = None  # of the image that built it, as it was asked for
    imported: str | None = None  # the path that it was taken from
    shared_from: str | None = None  # the node that its plan was fetched from
    metadata: dict[str, str] = {}  # of an imported plan: what Ultralytics put before it
    job: str  # that built it


class Stale(msgspec.Struct, kw_only=True):
    """Why an engine may not be what would be built now."""

    what: Literal["tensorrt", "gpu", "power_mode", "image", "model", "driver"]
    rebuild: bool  # False: trying it again is enough
    text: str  # "driver 535.183.01 then, 580.95.05 now"


class Engine(msgspec.Struct, kw_only=True):
    """An engine in the node's store."""

    model: Model
    current: bool  # whether `current` points at it
    path: str  # of the plan, on the node
    manifest: EngineManifest
    used_by: list[str] | None = None  # workloads that have it, or go back to it; None: not known
    stale: list[Stale] = []
    stale_unknown: list[str] = []  # what could not be compared, and why
    gpu_gone: bool = False  # the very GPU that it was built on is not on the node any more

    def again(self, *, rebuild: bool = False) -> BuildRequest | None:
        """The request for the same recipe again; None: it was imported, and has none.

        On the GPU that it was built on; where another one took its place, on the first.
        """
        recipe = self.manifest.parts.recipe
        if recipe is None:
            return None
        swapped = self.gpu_gone or any(each.what == "gpu" for each in self.stale)
        gpu = None if swapped else self.manifest.gpu_uuid
        return BuildRequest(recipe=recipe, gpu=gpu, rebuild=rebuild)


class EngineLog(msgspec.Struct, kw_only=True):
    """The end of an engine's build.log: all that its builder printed."""

    model: Model
    key: str
    text: str
    size_bytes: int  # of the whole log
    cut_bytes: int = 0  # left out at its begin
