"""Short and long forms of every key: what each becomes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.protocol.engines import EngineRecipe
from agent.protocol.workloads import (
    EngineUse,
    ExecProbe,
    GpuProbe,
    Healthcheck,
    HttpProbe,
    Mount,
    NetworkUse,
    Port,
    SecretUse,
    Subnet,
    Ulimit,
    Workload,
)
from tests.console.compose.files import service

DEFAULT = NetworkUse(name="plant_default", aliases=["app"])
VOLUMES = """
volumes:
  media: {}
  nas: {name: nas-1, external: true}
  nfs: {driver: local, driver_opts: {type: nfs, device: ":/x"}}
"""
NETWORKS = """
networks:
  front:
  back: {internal: true, ipam: {config: [{subnet: 10.9.0.0/24, gateway: 10.9.0.1}]}}
  site: {external: true}
  cams: {name: cameras, driver: macvlan, driver_opts: {parent: eth1}, enable_ipv6: true}
  old: {external: {name: old-1}}
"""
SECRETS = """
secrets:
  cam: {external: true}
  key: {external: true, name: tls.key}
  other: {external: true}
"""


def port(target: int, published: int | None = None, ip: str = "", protocol: Any = "tcp") -> Port:
    return Port(target=target, published=published, host_ip=ip, protocol=protocol)


def bind(source: str, target: str, **more: Any) -> Mount:
    return Mount(kind="bind", source=source, target=target, **more)


def volume(source: str, target: str, **more: Any) -> Mount:
    return Mount(kind="volume", source=source, target=target, **more)


def tmpfs(target: str, **more: Any) -> Mount:
    return Mount(kind="tmpfs", target=target, **more)


FORMS: list[tuple[str, str, Any]] = [
    # commands
    ("command: null", "command", None),
    ("command: sleep 10", "command", ["sleep", "10"]),
    ("command: sh -c 'echo \"a b\"; exit'", "command", ["sh", "-c", 'echo "a b"; exit']),
    ('command: [sh, -c, "a $$b"]', "command", ["sh", "-c", "a $b"]),
    ("command: []", "command", []),
    ("command: ''", "command", []),
    ("command: >\n  a\n  b", "command", ["a", "b"]),
    ("entrypoint: /run.sh --all", "entrypoint", ["/run.sh", "--all"]),
    ("entrypoint: []", "entrypoint", []),
    # environment
    ("environment: [A=b, C=d=e, 'F=']", "environment", {"A": "b", "C": "d=e", "F": ""}),
    (
        "environment: {A: b, N: 5, T: true, E: ''}",
        "environment",
        {"A": "b", "N": "5", "T": "true", "E": ""},
    ),
    # ports
    ("ports: ['80']", "ports", [port(80)]),
    ("ports: [80]", "ports", [port(80)]),
    ("ports: ['8080:80']", "ports", [port(80, 8080)]),
    ("ports: [8080:80]", "ports", [port(80, 8080)]),
    ("ports: ['53:53/udp']", "ports", [port(53, 53, protocol="udp")]),
    ("ports: ['127.0.0.1:8080:80']", "ports", [port(80, 8080, "127.0.0.1")]),
    ("ports: ['127.0.0.1::80']", "ports", [port(80, None, "127.0.0.1")]),
    ("ports: ['[::1]:8080:80']", "ports", [port(80, 8080, "::1")]),
    ("ports: ['3000-3002']", "ports", [port(3000), port(3001), port(3002)]),
    ("ports: ['9000-9001:8000-8001']", "ports", [port(8000, 9000), port(8001, 9001)]),
    ("ports: [{target: 80}]", "ports", [port(80)]),
    (
        "ports: [{target: 80, published: '8080', host_ip: 10.0.0.1, protocol: udp, mode: host}]",
        "ports",
        [port(80, 8080, "10.0.0.1", "udp")],
    ),
    (
        "ports: [{name: web, target: 80, published: 81, app_protocol: http}]",
        "ports",
        [port(80, 81)],
    ),
    # volumes
    ("volumes: [/data]", "mounts", [volume("", "/data")]),
    ("volumes: ['media:/data']", "mounts", [volume("plant_media", "/data")]),
    (
        "volumes: ['media:/data:ro,nocopy']",
        "mounts",
        [volume("plant_media", "/data", read_only=True, no_copy=True)],
    ),
    ("volumes: ['nas:/data']", "mounts", [volume("nas-1", "/data", external=True)]),
    (
        "volumes: ['nfs:/data']",
        "mounts",
        [
            volume(
                "plant_nfs",
                "/data",
                driver="local",
                driver_options={"type": "nfs", "device": ":/x"},
            )
        ],
    ),
    ("volumes: ['/a//b/:/c/']", "mounts", [bind("/a/b", "/c")]),
    ("volumes: ['/a:/b:ro']", "mounts", [bind("/a", "/b", read_only=True)]),
    ("volumes: ['/a:/b:rw,rslave']", "mounts", [bind("/a", "/b", propagation="rslave")]),
    ("volumes: ['/a:/b', '/c:/b']", "mounts", [bind("/c", "/b")]),
    ("volumes: [{type: bind, source: /a, target: /b}]", "mounts", [bind("/a", "/b")]),
    (
        """
        volumes:
        - type: bind
          source: /a
          target: /b
          read_only: true
          bind: {create_host_path: false, propagation: shared}
        """,
        "mounts",
        [bind("/a", "/b", read_only=True, create_host_path=False, propagation="shared")],
    ),
    (
        "volumes: [{type: volume, source: media, target: /b, volume: {nocopy: true}}]",
        "mounts",
        [volume("plant_media", "/b", no_copy=True)],
    ),
    ("volumes: [{type: volume, target: /b}]", "mounts", [volume("", "/b")]),
    (
        "volumes: [{type: tmpfs, target: /b, tmpfs: {size: 64m, mode: 0o1777}}]",
        "mounts",
        [tmpfs("/b", size_bytes=64 << 20, mode=0o1777)],
    ),
    ("tmpfs: /run", "mounts", [tmpfs("/run")]),
    (
        "tmpfs: [/run, '/tmp:size=64k,mode=1777,noexec', '/x:ro']",
        "mounts",
        [tmpfs("/run"), tmpfs("/tmp", size_bytes=65536, mode=0o1777), tmpfs("/x", read_only=True)],
    ),
    # networks
    ("init: true", "networks", [DEFAULT]),
    ("networks: [front]", "networks", [NetworkUse(name="plant_front", aliases=["app"])]),
    ("networks: [default]", "networks", [DEFAULT]),
    ("networks: {site: }", "networks", [NetworkUse(name="site", aliases=["app"], external=True)]),
    ("networks: [old]", "networks", [NetworkUse(name="old-1", aliases=["app"], external=True)]),
    (
        "networks: {back: {aliases: [db], ipv4_address: 10.9.0.5}}",
        "networks",
        [
            NetworkUse(
                name="plant_back",
                aliases=["app", "db"],
                ipv4_address="10.9.0.5",
                internal=True,
                subnets=[Subnet(subnet="10.9.0.0/24", gateway="10.9.0.1")],
            )
        ],
    ),
    (
        "networks: [cams]",
        "networks",
        [
            NetworkUse(
                name="cameras",
                aliases=["app"],
                driver="macvlan",
                driver_options={"parent": "eth1"},
                enable_ipv6=True,
            )
        ],
    ),
    ("network_mode: host", "network_mode", "host"),
    ("network_mode: none", "networks", []),
    # secrets
    ("secrets: [cam]", "secrets", [SecretUse(name="cam", target="/run/secrets/cam")]),
    (
        "secrets: [key, other]",
        "secrets",
        [
            SecretUse(name="tls.key", target="/run/secrets/key"),
            SecretUse(name="other", target="/run/secrets/other"),
        ],
    ),
    (
        "secrets: [{source: key, target: /etc/tls.key}]",
        "secrets",
        [SecretUse(name="tls.key", target="/etc/tls.key")],
    ),
    (
        "secrets: [{source: cam, target: c}]",
        "secrets",
        [SecretUse(name="cam", target="/run/secrets/c")],
    ),
    # health
    (
        "healthcheck: {test: curl -f localhost}",
        "healthcheck",
        Healthcheck(test=["CMD-SHELL", "curl -f localhost"]),
    ),
    ("healthcheck: {test: [CMD, a, b]}", "healthcheck", Healthcheck(test=["CMD", "a", "b"])),
    (
        "healthcheck: {test: [CMD-SHELL, a b]}",
        "healthcheck",
        Healthcheck(test=["CMD-SHELL", "a b"]),
    ),
    ("healthcheck: {test: [NONE]}", "healthcheck", Healthcheck(test=["NONE"])),
    ("healthcheck: {disable: true}", "healthcheck", Healthcheck(test=["NONE"])),
    (
        "healthcheck: {interval: 1m30s, timeout: 500ms, retries: 3, start_period: 1h}",
        "healthcheck",
        Healthcheck(interval=90.0, timeout=0.5, retries=3, start_period=3600.0),
    ),
    # restart
    ("restart: no", "restart", "no"),
    ("restart: unless-stopped", "restart", "unless-stopped"),
    ("restart: on-failure", "restart_retries", None),
    ("restart: on-failure:5", "restart_retries", 5),
    # limits
    ("deploy: {resources: {limits: {cpus: '0.5', memory: 50M}}}", "cpus", 0.5),
    ("deploy: {resources: {limits: {cpus: '0.5', memory: 50M}}}", "memory_limit_bytes", 50 << 20),
    ("deploy: {replicas: 1, mode: replicated}", "cpus", None),
    ("mem_limit: 1g", "memory_limit_bytes", 1 << 30),
    ("cpus: 1.5", "cpus", 1.5),
    ("shm_size: 128m", "shm_size_bytes", 128 << 20),
    ("shm_size: 1024", "shm_size_bytes", 1024),
    (
        "ulimits: {nproc: 65535, memlock: -1, nofile: {soft: 1, hard: 2}}",
        "ulimits",
        {
            "nproc": Ulimit(soft=65535, hard=65535),
            "memlock": Ulimit(soft=-1, hard=-1),
            "nofile": Ulimit(soft=1, hard=2),
        },
    ),
    # the rest
    ("runtime: nvidia", "runtime", "nvidia"),
    ("ipc: host", "ipc", "host"),
    ("pid: host", "pid", "host"),
    (
        "logging: {driver: local, options: {max-size: 10m, max-file: 3}}",
        "log_options",
        {"max-size": "10m", "max-file": "3"},
    ),
    ("stop_grace_period: 1m", "stop_grace_period", 60.0),
    ("stop_signal: SIGINT", "stop_signal", "SIGINT"),
    ("labels: [a.b=c, d]", "labels", {"a.b": "c", "d": ""}),
    ("labels: {a.b: c, d: , e: 5}", "labels", {"a.b": "c", "d": "", "e": "5"}),
    ("user: '1000:1000'", "user", "1000:1000"),
    ("group_add: [video, 44]", "group_add", ["video", "44"]),
    ("cap_add: [NET_ADMIN]", "cap_add", ["NET_ADMIN"]),
    ("cap_drop: [ALL]", "cap_drop", ["ALL"]),
    (
        "security_opt: ['no-new-privileges:true', seccomp=unconfined]",
        "security_opt",
        ["no-new-privileges:true", "seccomp=unconfined"],
    ),
    ("privileged: true", "privileged", True),
    ("read_only: 'yes'", "read_only", True),
    ("init: false", "init", False),
    ("tty: true", "tty", True),
    ("stdin_open: true", "stdin_open", True),
    ("working_dir: /app", "working_dir", "/app"),
    ("hostname: cam", "hostname", "cam"),
    (
        "extra_hosts: ['a:10.0.0.1', 'b=host-gateway', 'c=[::1]']",
        "extra_hosts",
        ["a:10.0.0.1", "b:host-gateway", "c:::1"],
    ),
    (
        "extra_hosts: {a: 10.0.0.1, b: [10.0.0.2, '::2']}",
        "extra_hosts",
        ["a:10.0.0.1", "b:10.0.0.2", "b:::2"],
    ),
    ("dns: 8.8.8.8", "dns", ["8.8.8.8"]),
    ("dns: [1.1.1.1, 8.8.8.8]", "dns", ["1.1.1.1", "8.8.8.8"]),
    (
        "devices: [/dev/video0, '/dev/a:/dev/b', '/dev/c:/dev/d:r', '/dev/e:rw']",
        "devices",
        ["/dev/video0:/dev/video0:rwm", "/dev/a:/dev/b:rwm", "/dev/c:/dev/d:r", "/dev/e:/dev/e:rw"],
    ),
    (
        "devices: [{source: /dev/a}, {source: /dev/b, target: /dev/c, permissions: r}]",
        "devices",
        ["/dev/a:/dev/a:rwm", "/dev/b:/dev/c:r"],
    ),
    ("sysctls: {net.core.somaxconn: 1024}", "sysctls", {"net.core.somaxconn": "1024"}),
    ("sysctls: [net.core.somaxconn=1024]", "sysctls", {"net.core.somaxconn": "1024"}),
    ("x-other: {anything: [goes]}", "labels", {}),
    # x-roost
    ("x-roost: {strategy: start-then-stop}", "strategy", "start-then-stop"),
    ("x-roost: {soak: 30s}", "soak", 30.0),
    ("x-roost: {variants: ['a:cuda11', 'a:cuda12']}", "variants", ["a:cuda11", "a:cuda12"]),
    ("x-roost: {start_deadline: 5m}", "start_deadline", 300.0),
    ("x-roost: {engine: {}}", "engine", EngineUse(model="app")),
    (
        "x-roost: {engine: {model: yolo, required: no}}",
        "engine",
        EngineUse(model="yolo", required=False),
    ),
    (
        "x-roost: {engine: {onnx: /m.onnx, executor: host}}",
        "engine",
        EngineUse(model="app", recipe=EngineRecipe(model="app", onnx="/m.onnx", executor="host")),
    ),
    (
        """
        x-roost:
          probes:
          - http: {port: 80, path: /ok, timeout: 1s}
          - exec: {command: a b}
          - gpu: {command: [c]}
        """,
        "probes",
        [
            HttpProbe(port=80, path="/ok", timeout=1.0),
            ExecProbe(command=["a", "b"]),
            GpuProbe(command=["c"]),
        ],
    ),
]


@pytest.mark.parametrize(("lines", "field", "value"), FORMS, ids=[form[0] for form in FORMS])
def test_form(lines: str, field: str, value: object) -> None:
    used = [top for top in (VOLUMES, NETWORKS, SECRETS) if top.split(":")[0].strip() in lines]
    assert getattr(service(lines, "\n".join(used)), field) == value


@pytest.mark.parametrize(
    ("lines", "plain"),
    [
        ("ports: ['${P}:${P}/${PROTO}']", "ports: ['5000:5000/udp']"),
        ("ports: [{target: $P, published: '${P}'}]", "ports: [{target: 5000, published: 5000}]"),
        ("read_only: ${YES}", "read_only: true"),
        ("healthcheck: {retries: $N, timeout: '${N}s'}", "healthcheck: {retries: 3, timeout: 3s}"),
        ("cpus: ${HALF}", "cpus: 0.5"),
        ("shm_size: ${N}m", "shm_size: 3m"),
        ("ulimits: {nproc: $N}", "ulimits: {nproc: 3}"),
        ("user: $N", "user: '3'"),
        (
            "environment: {A: $HALF, B: '$HALF', C: \"${HALF}\"}",
            "environment: {A: '0.50', B: '0.50', C: '0.50'}",
        ),
        ("x-roost: {gpu: {select: $N, count: '${N}'}}", "x-roost: {gpu: {select: 3, count: 3}}"),
        ("restart: ${R:-always}", "restart: always"),
    ],
)
def test_types_are_read_when_variables_are_in(lines: str, plain: str) -> None:
    variables = {"P": "5000", "PROTO": "udp", "YES": "true", "N": "3", "HALF": "0.50"}
    assert service(lines, variables=variables) == service(plain)


def test_every_field_of_the_wire_is_had_by_some_form() -> None:
    """A field that no form fills would be one that a file cannot say."""
    filled = {field for lines, field, _ in FORMS} | {"name", "image", "gpu", "depends_on"}
    filled |= {"log_driver"}  # with log_options
    filled |= {"restarts_with"}  # in test_merging.py, for it takes another service
    assert filled == {field.name for field in msgspec.structs.fields(Workload)}
