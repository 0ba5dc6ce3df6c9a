"""Workloads on the wire: services as a node shall run them, with everything resolved.

A console reads Compose files, puts in what differs per node, and sends these. Sizes are bytes and
times seconds; names are Compose's own where Compose has one.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent.protocol.engines import EngineRecipe, Model
from agent.protocol.patterns import whole

Name = Annotated[str, msgspec.Meta(pattern=whole(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}"))]
# A secret is a name here; its value is a file on the node and on no wire but the one that set it.
SecretName = Annotated[str, msgspec.Meta(pattern=whole(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}"))]
RestartPolicy = Literal["no", "always", "on-failure", "unless-stopped"]
Strategy = Literal["stop-then-start", "start-then-stop", "weighted"]
# What goes over a published port, to the proxy in front of it. http: HTTP/1. tcp: anything, also
# TLS: the proxy sees connections, and no answers. grpc: HTTP/2 without TLS.
Mode = Literal["http", "tcp", "grpc"]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Bytes = Annotated[int, msgspec.Meta(ge=0)]
PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Mount(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A bind of a path on the node, a named or an anonymous volume, or memory.

    A named volume that is not `external` is made where it lacks.
    """

    kind: Literal["bind", "volume", "tmpfs"]
    source: str = ""  # absolute path, or the volume's name; "": anonymous
    target: str  # absolute, in the container
    read_only: bool = False
    create_host_path: bool = True  # of a bind: Compose's short form makes it
    propagation: str | None = None  # "rslave", ...
    no_copy: bool = False  # of a volume: do not fill it from the image
    external: bool = False
    driver: str | None = None  # None: the runtime's default
    driver_options: dict[str, str] = {}
    size_bytes: Bytes | None = None  # of a tmpfs
    mode: int | None = None  # of a tmpfs


class Port(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A published port; `published` None: the runtime chooses one."""

    target: PortNumber
    published: PortNumber | None = None
    host_ip: str = ""
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"
    # Only a proxy asks. UNSET: http, and not sent: older agents refuse what they do not know.
    mode: Mode | msgspec.UnsetType = msgspec.UNSET


class Subnet(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Addresses of a network that is made, in CIDR form."""

    subnet: str
    gateway: str | None = None
    ip_range: str | None = None


class NetworkUse(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A network that the container is in. One that is not `external` is made where it lacks."""

    name: str  # as the runtime knows it
    aliases: list[str] = []
    ipv4_address: str | None = None
    ipv6_address: str | None = None
    external: bool = False
    driver: str | None = None
    driver_options: dict[str, str] = {}
    internal: bool = False
    enable_ipv6: bool = False
    subnets: list[Subnet] = []  # empty: the runtime chooses


class Healthcheck(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Compose's `healthcheck`; `test` as the runtime takes it: ["NONE"], ["CMD", ...]."""

    test: list[str] = []  # empty: the image's own
    interval: Seconds | None = None
    timeout: Seconds | None = None
    retries: int | None = None
    start_period: Seconds | None = None


class Ulimit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    soft: int
    hard: int


class SecretUse(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A secret of the node, mounted as Compose does: a file, read-only."""

    name: SecretName
    target: str  # absolute: "/run/secrets/camera"


class GpuRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which GPUs a workload gets.

    `select` is "least-memory", "least-busy", "spread" (one copy per GPU), "all", or a
    comma-separated list of "GPU-..." and "MIG-..." UUIDs (a unique beginning will do), indices,
    "name=A10" and "profile=1g.10gb"; `agent.rules.placement` reads it.
    """

    select: str
    count: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    exclusive: bool = False  # nobody else that Roost places may be on it
    memory_bytes: Bytes | None = None  # the ceiling; reserved on each GPU
    on_exceeded: Literal["tell", "restart"] = "tell"
    # Seen from inside, a GPU may vanish: `systemctl daemon-reload` can do that.
    on_lost: Literal["tell", "recreate"] = "tell"
    verify: Literal["if-possible", "required"] = "if-possible"
    # NVIDIA_DRIVER_CAPABILITIES; empty: the image's own, and the runtime's default without.
    capabilities: list[str] = []


class HttpProbe(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="http"):
    """`GET` on a port of the container; 200 to 399 passes."""

    port: PortNumber
    path: str = "/"
    timeout: Seconds = 5.0


class ExecProbe(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="exec"):
    """A command in the container; exit code 0 passes."""

    command: Annotated[list[str], msgspec.Meta(min_length=1)]
    timeout: Seconds = 5.0


class GpuProbe(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag="gpu"):
    """The workload's own look at its GPUs: it prints a line with each one's UUID."""

    command: Annotated[list[str], msgspec.Meta(min_length=1)]
    timeout: Seconds = 30.0


Probe = HttpProbe | ExecProbe | GpuProbe


class EngineUse(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The TensorRT engine that a workload gets: the one in use for a model when it is deployed."""

    model: Model
    required: bool = True  # False: where there is none that fits, it is deployed without
    recipe: EngineRecipe | None = None  # that the engine has to be of; None: any


class Workload(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One service of a Compose file, as one node shall run it.

    None and empty: the image's own. But a `command` or `entrypoint` of [] is none at all.
    """

    name: Name
    image: str  # a tag, or "sha256:<config digest>"
    # Further images of it, for other drivers and GPUs: the node takes the best that it can run.
    variants: list[str] = []
    command: list[str] | None = None
    entrypoint: list[str] | None = None
    environment: dict[str, str] = {}
    secrets: list[SecretUse] = []
    mounts: list[Mount] = []
    ports: list[Port] = []
    networks: list[NetworkUse] = []
    # "host", "none", "bridge"; "service:NAME": the network of that workload's container;
    # "container:NAME": of one that Roost need not know.
    network_mode: str | None = None
    gpu: GpuRequest | None = None
    engine: EngineUse | None = None
    shm_size_bytes: Bytes | None = None
    runtime: str | None = None
    healthcheck: Healthcheck | None = None
    restart: RestartPolicy = "no"
    restart_retries: int | None = None  # of "on-failure"
    ulimits: dict[str, Ulimit] = {}
    ipc: str | None = None
    pid: str | None = None
    log_driver: str | None = None
    log_options: dict[str, str] = {}
    stop_grace_period: Seconds | None = None
    stop_signal: str | None = None
    labels: dict[str, str] = {}
    user: str | None = None
    group_add: list[str] = []
    working_dir: str | None = None
    hostname: str | None = None
    extra_hosts: list[str] = []  # "name:address"
    dns: list[str] = []
    devices: list[str] = []  # "/dev/video0:/dev/video0:rwm"
    sysctls: dict[str, str] = {}
    cap_add: list[str] = []
    cap_drop: list[str] = []
    security_opt: list[str] = []
    privileged: bool = False
    read_only: bool = False
    init: bool | None = None
    tty: bool = False
    stdin_open: bool = False
    memory_limit_bytes: Bytes | None = None
    cpus: Annotated[float, msgspec.Meta(gt=0)] | None = None
    depends_on: dict[str, Literal["started", "healthy", "completed"]] = {}
    restarts_with: list[str] = []  # workloads: when one's container changes, so does this one's
    # x-roost
    strategy: Strategy | None = None  # None: chosen from ports, networks and free GPU memory
    probes: list[Probe] = []
    soak: Seconds = 10.0  # how long it must stay well until it is confirmed
    start_deadline: Seconds = 120.0  # until it must be healthy
