"""What worker.py says, as the agent reads it. It comes out of other people's images."""

from __future__ import annotations

from typing import Annotated, Literal

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


class Checked(_Event):
    """How far the plan was tried, and why no further."""

    state: Literal["header", "deserialised"]
    reason: Text | None = None


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
read_event = msgspec.json.Decoder(Event).decode
