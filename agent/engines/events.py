"""What worker.py says, as the agent reads it. It comes out of other people's images."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from agent.protocol.problems import CODES, ProblemError

Text = Annotated[str, msgspec.Meta(max_length=8192)]
Count = Annotated[int, msgspec.Meta(ge=0)]
# The worker's own words for why there is no engine.
_CODES = {code for code in CODES if code.startswith("engine.")}


class _Event(msgspec.Struct, kw_only=True, tag_field="event", tag=str.lower):
    pass


class Device(msgspec.Struct, kw_only=True):
    """The GPU that an engine is built for and tried on."""

    name: Text
    compute_capability: Text
    multiprocessors: Count
    memory_bytes: Count


class Versions(_Event):
    """Which TensorRT it found, and which GPU."""

    flavour: Literal["tensorrt", "tensorrt_rtx"]
    tensorrt: Annotated[str, msgspec.Meta(max_length=64)]
    python: Annotated[str, msgspec.Meta(max_length=64)]
    module_file: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    progress: bool = True  # whether it will tell how far a build is
    gpu: Count | None = None
    no_gpu: Text | None = None  # why there is none
    device: Device | None = None


class Tensor(msgspec.Struct, kw_only=True):
    """An input or output; -1 is a dynamic size."""

    name: Text
    shape: list[int]
    dtype: Text


class Parsed(_Event):
    """The model, as TensorRT took it."""

    layers: Count
    inputs: list[Tensor]
    outputs: list[Tensor]


class Progress(_Event):
    """How far the build is; `phase` in the builder's own words."""

    phase: Text
    fraction: Annotated[float, msgspec.Meta(ge=0, le=1)]


class Message(_Event):
    """What the builder says of its own accord."""

    severity: Literal["warning", "error"]
    text: Text


class Header(msgspec.Struct, kw_only=True):
    """How a plan begins."""

    serialization: int
    version: list[int]


class Built(_Event):
    """The plan is on disk under its name."""

    seconds: float
    plan_bytes: Count
    header: Header
    peak_memory_bytes: Count


class GraphLatency(msgspec.Struct, kw_only=True):
    """Of the same run as a CUDA graph."""

    p50_ms: float
    p99_ms: float
    mean_ms: float
    throughput: float


class Latency(msgspec.Struct, kw_only=True):
    """Of one batch size of one profile; copies to and from the GPU are not in it."""

    profile: Count
    batch: Count
    shapes: dict[str, list[int]]
    iterations: Count
    p50_ms: float
    p99_ms: float
    mean_ms: float
    throughput: float  # items a second
    graph: GraphLatency | None = None
    no_graph: Text | None = None  # why


class GpuMemory(msgspec.Struct, kw_only=True):
    """Of the whole GPU in use before and after; the engine's is the most between, less that."""

    before_bytes: Count
    engine_bytes: Count
    after_bytes: Count


class Output(msgspec.Struct, kw_only=True):
    """What came out of the trial whose outputs are kept."""

    name: Text
    shape: list[int]
    dtype: Text
    bytes: Count
    sha256: str
    # How many values are none, and how many infinite; None: Python has no numbers of its type.
    nan: Count | None = None
    infinite: Count | None = None


class Compared(msgspec.Struct, kw_only=True):
    """The outputs beside others of the same inputs."""

    with_: Literal["onnxruntime", "previous"] = msgspec.field(name="with")
    ok: bool
    max_abs: float
    max_rel: float
    reason: Text | None = None


class EngineTensor(Tensor, kw_only=True):
    """One of the engine itself. `host`: a shape tensor."""

    host: bool = False
    linear: bool = True


class Tensors(msgspec.Struct, kw_only=True):
    """Of each profile the smallest, best and largest shape of each input."""

    inputs: list[EngineTensor]
    outputs: list[EngineTensor]
    profiles: list[dict[Text, list[list[int]]]]


class Checked(_Event):
    """How far the plan was tried, why no further, and what was seen."""

    state: Literal["header", "deserialised", "ran"]
    reason: Text | None = None
    header: Header | None = None
    metadata: dict[str, Any] | None = None  # what Ultralytics wrote before the plan
    tensors: Tensors | None = None  # None: it was not loaded
    gpu_memory: GpuMemory | None = None
    latencies: list[Latency] = []
    outputs: list[Output] = []
    compared: Compared | None = None
    not_compared: Text | None = None  # why


class Done(_Event):
    """All of it went well."""


class Cancelled(_Event):
    """It was told to end, and has."""


class Failed(_Event):
    """Why there is no engine."""

    code: Text
    text: Annotated[str, msgspec.Meta(max_length=65536)]
    hint: Text = ""

    def problem(self) -> ProblemError:
        code = self.code if self.code in _CODES else "engine.worker"
        return ProblemError(code, self.text, hint=self.hint or None)


Event = Versions | Parsed | Progress | Message | Built | Checked | Done | Cancelled | Failed
read_event = msgspec.json.Decoder(Event).decode  # a union; made with the module
