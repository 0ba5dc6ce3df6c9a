"""What was found when an engine was tried: latencies, memory, outputs; and tables of many."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent.protocol.problems import Problem

# What the ONNX itself has, or what the builder may use beside it.
Precision = Literal["model", "fp16", "bf16", "int8", "fp8", "best"]
# "header": the plan begins as it should, and was not tried on a GPU; `reason` says why.
Verification = Literal["header", "deserialised", "ran"]


class GraphLatency(msgspec.Struct, kw_only=True):
    """Of an engine that was launched as a CUDA graph."""

    p50_ms: float
    p99_ms: float
    mean_ms: float
    throughput: float  # items a second


class EngineLatency(msgspec.Struct, kw_only=True):
    """One batch size of one profile, warm-up apart; copies to and from the GPU are not in it."""

    profile: int
    batch: int | None = None
    shapes: dict[str, list[int]] = {}
    iterations: int
    p50_ms: float
    p99_ms: float
    mean_ms: float
    throughput: float  # items a second
    graph: GraphLatency | None = None  # the same as a CUDA graph; None: not asked for, or
    no_graph: str | None = None  # why it is none


class EngineGpuMemory(msgspec.Struct, kw_only=True):
    """Of the whole GPU in use before and after, measured.

    `engine_bytes` is the most that was in use in between, less what was before: weights, workspace,
    inputs and outputs, and whatever else on that GPU began meanwhile.
    """

    before_bytes: int | None = None
    engine_bytes: int | None = None
    after_bytes: int | None = None


class EngineOutput(msgspec.Struct, kw_only=True):
    """One output of the last run."""

    name: str
    shape: list[int]
    dtype: str
    bytes: int
    sha256: str | None = None
    nan: int | None = None  # how many of its values are none; None: not known
    infinite: int | None = None  # and how many of them are


class EngineTensor(msgspec.Struct, kw_only=True):
    """What goes into an engine, or comes out of it."""

    name: str
    shape: list[int]  # -1: it varies
    dtype: str  # as TensorRT calls it: "float", "half", "bf16", "int8", "bool"
    host: bool = False  # a shape tensor, which lies on the host
    linear: bool = True  # laid out as one would think


class EngineTensors(msgspec.Struct, kw_only=True):
    """As the engine itself told it when it was loaded."""

    inputs: list[EngineTensor]
    outputs: list[EngineTensor]
    # Of each profile the smallest, best and largest shape of each input.
    profiles: list[dict[str, Annotated[list[list[int]], msgspec.Meta(min_length=3, max_length=3)]]]


class EngineCompared(msgspec.Struct, kw_only=True):
    """The outputs beside those of ONNX Runtime on the CPU, or of the engine before."""

    with_: str = msgspec.field(name="with")
    ok: bool
    max_abs: float | None = None
    max_rel: float | None = None
    reason: str | None = None


class EngineCheck(msgspec.Struct, kw_only=True):
    """How far an engine was tried, and what was seen."""

    state: Verification
    reason: str | None = None  # why no further
    at: float | None = None  # Unix seconds, by the node's clock
    driver_version: str | None = None  # under which
    tensorrt: str | None = None  # with which: "tensorrt 10.13.2.6"
    image: str | None = None  # config digest of the image that has it; None: the node's own
    inputs_sha256: str | None = None  # of the files that inputs were read from; None: random
    gpu: str | None = None  # its UUID
    compute_capability: str | None = None  # of that GPU: "8.6"
    tensors: EngineTensors | None = None  # None: not loaded, or by an agent that kept none
    gpu_memory: EngineGpuMemory | None = None
    latencies: list[EngineLatency] = []
    outputs: list[EngineOutput] = []
    compared: EngineCompared | None = None
    not_compared: str | None = None  # why


class BenchRow(msgspec.Struct, kw_only=True):
    """One engine of a bench: tuned for one batch size. A figure that is None has its `reason`."""

    precision: Precision
    batch: Annotated[int, msgspec.Meta(ge=1)]
    build_seconds: float | None = None
    plan_bytes: int | None = None
    gpu_memory_bytes: int | None = None  # `EngineGpuMemory.engine_bytes`: measured
    p50_ms: float | None = None
    p99_ms: float | None = None
    mean_ms: float | None = None
    throughput: float | None = None  # items a second
    graph: GraphLatency | None = None  # the same engine as a CUDA graph
    no_graph: str | None = None  # why it is none; all other figures are without
    reason: str | None = None
    problem: Problem | None = None  # why there is no engine


class EngineBench(msgspec.Struct, kw_only=True):
    """`GET /v1/engine-benches/{job}`: what a bench measured, as far as it is."""

    job: str
    model: str
    at: float  # when it began, Unix seconds by the node's clock
    flavour: str
    tensorrt: str
    gpu: str | None = None  # its name
    driver_version: str | None = None
    max_latency_ms: float | None = None
    cuda_graphs: bool = False  # whether they were asked for
    # The only batch size that the model and the recipe allow; None: it varies, or is not known yet.
    fixed_batch: int | None = None
    rows: list[BenchRow] = []
    recommended: int | None = None  # which of the rows
    recommended_graph: bool = False  # and whether as a CUDA graph
    why: str = ""  # or why none is
