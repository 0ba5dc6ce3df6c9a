"""Containers on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Cells = Annotated[int, msgspec.Meta(ge=1, le=10_000)]  # of a terminal

ContainerState = Literal[
    "created", "running", "paused", "restarting", "removing", "exited", "dead", "unknown"
]


class Container(msgspec.Struct, kw_only=True):
    """One container, as lists show it."""

    id: str  # full, 64 hex digits
    name: str
    image: str  # as given when it was created
    image_id: str
    state: ContainerState
    health: Literal["none", "starting", "healthy", "unhealthy"] = "none"
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    restart_count: int = 0
    ports: list[str] = []  # "0.0.0.0:8000->8000/tcp"
    labels: dict[str, str] = {}
    gpus: list[str] = []  # what it asked for: "GPU-...", "0", "all"
    gpu_way: Literal["none", "cdi", "device_request", "runtime", "devices"] = "none"
    command: str | None = None


class ContainerFigures(msgspec.Struct, kw_only=True):
    """What a container uses now. `cpu_percent` is of one core: 200 is two cores."""

    id: str
    cpu_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_limit_bytes: int | None = None  # None without a limit
    process_count: int | None = None
    unknown: dict[str, str] = {}


class ContainerDetails(msgspec.Struct, kw_only=True):
    """`GET /v1/containers/{id}`. Values of environment variables are left out: secrets."""

    container: Container
    figures: ContainerFigures | None = None
    environment_names: list[str] = []
    mounts: list[str] = []  # "/data:/data:ro"
    networks: list[str] = []
    restart_policy: str | None = None
    runtime: str | None = None
    pid: int | None = None
    user: str | None = None
    log_driver: str | None = None


class LogLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of a container's output; `event: lines` carries a list of them.

    A line over `LOG_LINE_LIMIT_BYTES` is cut there and `cut_bytes` says how much is gone.
    """

    text: str
    at: str | None = None  # RFC 3339 with nanoseconds, as the runtime says it; `since` takes it
    stream: Literal["stdout", "stderr"] = "stdout"
    cut_bytes: int = 0


LOG_LINE_LIMIT_BYTES = 16 * 1024


class ExecRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/containers/{id}/exec`. The answer is an event stream: see `ExecStarted`."""

    command: Annotated[list[str], msgspec.Meta(min_length=1)]
    tty: bool = False
    stdin: bool = False
    columns: Cells = 80
    rows: Cells = 24
    user: str | None = None
    working_dir: str | None = None
    environment: dict[str, str] = {}


class ExecStarted(msgspec.Struct, kw_only=True):
    """`event: started`, the first of an exec's stream.

    `event: output` follows, its data an `ExecOutput`; last comes `event: exit`, an `ExecExit`.
    Input goes to `POST /v1/execs/{id}/input` (raw bytes; `?close=true` ends it), a new size of
    the terminal to `POST /v1/execs/{id}/size`. Closing the stream ends the exec's connection.
    """

    id: str


class ExecOutput(msgspec.Struct, kw_only=True):
    stream: Literal["stdout", "stderr"]
    data: bytes  # base64 on the wire


class ExecExit(msgspec.Struct, kw_only=True):
    code: int | None  # None: the runtime could not tell
    reason: str | None = None


class TerminalSize(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    columns: Cells
    rows: Cells


class ContainerChange(msgspec.Struct, kw_only=True):
    """The answer to start, stop and restart: the container as it was read back after."""

    action: Literal["start", "stop", "restart"]
    container: Container
    changed: bool  # False: it was so already
