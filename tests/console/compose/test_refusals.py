"""What does not fit, with the line it is told at and what is told."""

from __future__ import annotations

import pytest

from console.compose.findings import PROBLEMS_LIMIT
from console.compose.supported import IGNORED, UNSUPPORTED
from tests.console.compose.files import meaning, of_service, problem

# What a service says (its first line is line 6 of the file), the code, the line, a part of what
# is told, and a part of the hint.
REFUSED = [
    # keys
    ("volume: []", "unknown_key", 6, "'volume' in services.app", "'volumes'"),
    ("init: true\nrestrat: no", "unknown_key", 7, "'restrat'", "'restart'"),
    ("healthcheck:\n  tets: a", "unknown_key", 7, "services.app.healthcheck", "'test'"),
    ("ports:\n- {target: 80, traget: 80}", "unknown_key", 7, "ports[0]", "'target'"),
    ("x-roots: {gpu: {}}", "unknown_key", 6, "'x-roots'", "'x-roost'"),
    ("x-roost: {gpus: {}}", "unknown_key", 6, "'gpus' in services.app.x-roost", "'gpu'"),
    (
        "x-roost: {probes: [{gpu: {command: a, tiemout: 1s}}]}",
        "unknown_key",
        6,
        "'tiemout'",
        "'timeout'",
    ),
    ("deploy: {resource: {}}", "unknown_key", 6, "'resource'", "'resources'"),
    # kinds
    ("ports: 80", "invalid", 6, "services.app.ports must be a list, and it is a single", "dash"),
    ("image: a", "duplicate", 6, "'image' stands here and in line 5", "Remove"),
    ("user: 1000", "invalid", 6, "must be a string, and '1000' is a number", "quotes"),
    ("hostname: true", "invalid", 6, "is a truth value", "quotes"),
    ("environment: text", "invalid", 6, "must be a mapping or a list", "NAME: value"),
    ("environment: [=5]", "invalid", 6, "without a name", "NAME=value"),
    ("environment: {'A=B': 5}", "invalid", 6, "cannot be a variable", "equals sign"),
    ("environment: [A, B=c]", "unsupported", 6, "gives A no value", "A: ${A}"),
    ("environment:\n  A:", "unsupported", 7, "gives A no value", "--set"),
    ("read_only: maybe", "invalid", 6, "neither true nor false", "true or false"),
    ("cpus: many", "invalid", 6, "no number", "0.5"),
    ("shm_size: 1x", "invalid", 6, "'1x', which is no size", "512m"),
    ("stop_grace_period: '10'", "invalid", 6, "'10', which is no duration", "30s"),
    ("healthcheck: {retries: -1}", "invalid", 6, "no whole number from 0", "digits"),
    ("command: 'a \"b'", "invalid", 6, "cannot be split", "quote"),
    ("restart: sometimes", "invalid", 6, "'sometimes'", "unless-stopped"),
    ("restart: always:5", "invalid", 6, "'always:5'", "on-failure:5"),
    ("ulimits: {nofile: {soft: 1}}", "invalid", 6, "lacks soft or hard", "both"),
    ("healthcheck: {test: [curl, x]}", "invalid", 6, "begins with 'curl'", "CMD-SHELL"),
    ("healthcheck: {disable: true, test: x}", "conflict", 6, "disable: true", "one of them"),
    ("devices: [video0]", "invalid", 6, "no device", "/dev/video0"),
    ("devices: ['a.com/fpga=1']", "unsupported", 6, "a.com/fpga=1", "nvidia.com/gpu"),
    ("extra_hosts: [a]", "invalid", 6, "'a'", "name=10.0.0.5"),
    ("security_opt: ['seccomp:./p.json']", "unsupported", 6, "seccomp", "unconfined"),
    ("ipc: 'service:db'", "unsupported", 6, "another container's", "Leave"),
    # ports
    ("ports: ['http']", "invalid", 6, "'http', which is no port", "8080:80"),
    ("ports: ['70000:80']", "invalid", 6, "not from 1 to 65535", "8080:80"),
    ("ports: ['80:0']", "invalid", 6, "not from 1 to 65535", "8080:80"),
    ("ports: ['80/icmp']", "invalid", 6, "'icmp'", "udp"),
    ("ports: ['host:80:80']", "invalid", 6, "no address of the node", "127.0.0.1"),
    (
        'ports: [{target: 80, host_ip: "fe80::1%a\\n  stats enable"}]',
        "invalid",
        6,
        "no address of the node",
        "127.0.0.1",
    ),
    ("ports: ['8000-8001:80-82']", "invalid", 6, "maps 2 ports to 3", "8080:80"),
    ("ports: ['8000-8100:80']", "unsupported", 6, "leaves open", "Name the one"),
    ("ports: [{published: 80}]", "invalid", 6, "lacks its target", "target: 80"),
    # volumes
    ("volumes: ['./data:/data']", "path", 6, "the Compose file's folder", "from / on"),
    ("volumes: ['~/data:/data']", "path", 6, "the Compose file's folder", "from / on"),
    ("volumes: ['a b:/data']", "invalid", 6, "neither path nor volume", "slash"),
    ("volumes: ['/a:b']", "invalid", 6, "no path in a container", "from / on"),
    ("volumes: ['/a:/']", "invalid", 6, "no path in a container", "not / itself"),
    ("volumes: ['a:b:c:d']", "invalid", 6, "no volume", "/in/container"),
    ("volumes: ['/a:/b:rx']", "invalid", 6, "the mode 'rx'", "ro"),
    ("volumes: ['/a:/b:Z']", "unsupported", 6, ":Z", "label=disable"),
    ("volumes: ['C:\\a:/b']", "unsupported", 6, "Windows", "slash"),
    ("volumes: ['meda:/b']", "undefined", 6, "the volume 'meda'", "at the top"),
    ("volumes: [{type: image, source: a, target: /b}]", "unsupported", 6, "'image'", "bind"),
    ("volumes: [{type: bind, target: /b}]", "invalid", 6, "lacks its source", "source:"),
    ("volumes: [{source: /a, target: /b}]", "invalid", 6, "lacks its type", "type: bind"),
    ("volumes: [{type: bind, source: /a, target: /b, volume: {}}]", "conflict", 6, "bind", "Rem"),
    ("volumes: [{type: volume, target: /b, volume: {subpath: x}}]", "unsupported", 6, "sub", ""),
    ("tmpfs: '/run:uid=5'", "unsupported", 6, "'uid=5'", "size="),
    # networks
    ("networks: [frnt]", "undefined", 6, "the network 'frnt'", "at the top"),
    ("network_mode: host\nnetworks: [default]", "conflict", 6, "networks", "one of them"),
    ("network_mode: 'service:vpn'", "undefined", 6, "the service 'vpn'", "at the top"),
    ("network_mode: 'service:'", "invalid", 6, "'service:'", "service:NAME"),
    ("network_mode: front", "invalid", 6, "'front'", "under networks"),
    ("networks: {default: {ipv4_address: 10.0.0.1}}", "conflict", 6, "without a subnet", "ipam"),
    ("networks: {default: {mac_address: 02:42:ac:11:65:43}}", "unsupported", 6, "mac_add", "Lea"),
    # secrets
    ("secrets: [cam]", "undefined", 6, "the secret 'cam'", "at the top"),
    # GPUs
    ("x-roost: {gpu: {select: fastest}}", "invalid", 6, "'fastest'", "least-memory"),
    ("x-roost: {gpu: {select: '0,0'}}", "conflict", 6, "one GPU twice", "Remove"),
    ("x-roost: {gpu: {select: 'all,0'}}", "invalid", 6, "'all,0'", "least-memory"),
    ("x-roost: {gpu: {memory: lots}}", "invalid", 6, "no size", "512m"),
    ("x-roost: {gpu: {count: 65}}", "invalid", 6, "from 1 to 64", "digits"),
    ("x-roost: {gpu: {on_exceeded: kill}}", "invalid", 6, "'kill'", "'restart'"),
    ("x-roost: {gpu: {on_lost: restart}}", "invalid", 6, "'restart'", "'recreate'"),
    ("x-roost: {strategy: blue-green}", "invalid", 6, "'blue-green'", "stop-then-start"),
    ("x-roost: {probes: [{}]}", "invalid", 6, "is not one probe", "http:"),
    ("x-roost: {probes: [{http: {}}]}", "invalid", 6, "lacks its port", "port: 8080"),
    ("x-roost: {probes: [{http: {port: 1, path: x}}]}", "invalid", 6, "'x'", "slash"),
    ("x-roost: {probes: [{exec: {}}]}", "invalid", 6, "lacks its command", "command:"),
    ("gpus: some", "invalid", 6, "'some'", "all"),
    ("gpus: all\ndevices: ['nvidia.com/gpu=0']", "conflict", 4, "more than one way", "x-roost"),
    # deploy
    ("deploy: {replicas: 2}", "unsupported", 6, "is not 1", "own names"),
    ("deploy: {mode: global}", "unsupported", 6, "deploy.mode", "once on each node"),
    ("deploy: {restart_policy: {}}", "unsupported", 6, "restart_policy", "restart: on-failure"),
    ("deploy: {resources: {limits: {pids: 5}}}", "unsupported", 6, "limits.pids", "nproc"),
    ("mem_limit: 1g\ndeploy: {resources: {limits: {memory: 1g}}}", "conflict", 7, "mem_l", "one"),
    # variables
    ("command: $CMD", "variable", 6, "CMD is not set", "--set CMD="),
    ("command: ${CMD:?say what runs}", "variable", 6, "CMD is not set: say what runs", "--env"),
    ("user: $ROOST_LABEL_site", "variable", 6, "not set", "Did you mean ROOST_LABEL_SITE?"),
    ("command: echo ${1}", "template", 6, "'${1}' begins no variable", "$$"),
    # dependencies
    ("depends_on: [db]", "undefined", 6, "the service 'db'", "at the top"),
    ("depends_on: {app: {condition: ready}}", "invalid", 6, "'ready'", "service_healthy"),
    ("depends_on: {app: {}}", "invalid", 6, "lacks its condition", "service_started"),
    ("depends_on: [app]", "cycle", 6, "app -> app", "depends_on"),
]


@pytest.mark.parametrize(
    ("lines", "code", "line", "says", "hint"), REFUSED, ids=[case[0] for case in REFUSED]
)
def test_refused(lines: str, code: str, line: int, says: str, hint: str) -> None:
    found = problem(of_service(lines), {"ROOST_LABEL_SITE": "plant-7"})
    assert (found.code, found.line, found.level) == (f"compose.{code}", line, "error")
    assert says in found.what
    assert hint in found.hint
    assert found.hint
    assert f"compose.yaml, line {line}: " in found.error().detail


DEVICES = "deploy: {resources: {reservations: {devices: [%s]}}}"


@pytest.mark.parametrize(
    ("device", "code", "says"),
    [
        ("{count: 1}", "invalid", "lacks its capabilities"),
        ("{capabilities: [gpu], count: 1, device_ids: ['0']}", "conflict", "device_ids"),
        ("{capabilities: [gpu], count: 0}", "invalid", "from 1 to 64"),
        ("{capabilities: [gpu], driver: amd}", "unsupported", "NVIDIA"),
        ("{capabilities: [tpu]}", "unsupported", "NVIDIA"),
        ("{capabilities: [gpu], options: {a: b}}", "unsupported", "options"),
        ("{capabilities: [gpu], device_ids: []}", "invalid", "says of no GPU"),
        ("{capabilities: [gpu]}, {capabilities: [gpu]}", "conflict", "more than one way"),
    ],
)
def test_devices_refused(device: str, code: str, says: str) -> None:
    found = problem(of_service(DEVICES % device))
    assert (found.code, found.line) == (f"compose.{code}", 6)
    assert says in found.what


@pytest.mark.parametrize("key", [*UNSUPPORTED, *IGNORED])
def test_what_is_left_out_is_named(key: str) -> None:
    found = meaning(of_service(f"init: true\n{key}: something"))
    (named,) = found.problems
    assert (named.line, named.level) == (7, "warning" if key in IGNORED else "error")
    assert f"services.app.{key}" in named.what
    assert named.hint
    # What has no effect keeps nobody from going on.
    assert len(found.workloads) == (1 if key in IGNORED else 0)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("deploy: {placement: {constraints: [a]}}", "placement"),
        ("deploy: {resources: {reservations: {memory: 1g}}}", "reservations.memory"),
        ("volumes: ['/a:/b:cached']", "cached"),
        ("network_mode: host\nports: [80]", "network_mode: host"),
        ("environment: {NVIDIA_VISIBLE_DEVICES: all}", "past what Roost keeps"),
        ("gpus: all\nenvironment: {NVIDIA_VISIBLE_DEVICES: all}", "which is set to"),
        ("build: .", "build"),
    ],
)
def test_what_has_no_effect_is_a_warning(lines: str, says: str) -> None:
    found = meaning(of_service(lines))
    (named,) = found.problems
    assert (named.code, named.level) == ("compose.ignored", "warning")
    assert says in named.what
    assert not found.refused
    (workload,) = found.workloads
    assert workload.ports == []
    assert (workload.environment == {}) == ("past what" not in says)


TOP = "name: plant\nservices:\n  app:\n    image: a:1\n"


@pytest.mark.parametrize(
    ("text", "code", "line", "says"),
    [
        ("", "invalid", None, "the file is empty"),
        ("[a]", "invalid", 1, "no mapping"),
        ("name: x", "invalid", None, "no services"),
        ("name: x\nservices: {}", "invalid", None, "no service is left"),
        ("name: X y\nservices:\n  app: {image: a}", "invalid", 1, "'X y'"),
        ("servces: {}\n" + TOP, "unknown_key", 1, "'servces'"),
        ("include: [other.yaml]\n" + TOP, "unsupported", 1, "include"),
        ("x-roost: {gpu: {}}\n" + TOP, "unknown_key", 1, "'gpu'"),
        ("services:\n  app:\n", "invalid", 2, "must be a mapping, and it is empty"),
        ("services:\n  app: {init: true}\n", "invalid", 2, "has no image"),
        ("services:\n  app: {build: .}\n", "unsupported", 2, "build"),
        ("services:\n  app: {image: A:1}\n", "invalid", 2, "no image can be called"),
        (f"services:\n  app: {{image: 'a@sha256:{'0' * 64}'}}", "unsupported", 2, "registry's"),
        ("services:\n  a b: {image: x}\n  c: {image: x}", "invalid", 2, "not a name"),
        (TOP + "    secrets: [s]\nsecrets: {s: {file: ./s}}", "unsupported", 6, "secrets.s.file"),
        (TOP + "    secrets: [s]\nsecrets: {s: {environment: S}}", "unsupported", 6, "environ"),
        (TOP + "networks: {n: {external: true, driver: x}}", "conflict", 5, "external: true"),
        (TOP + "networks: {n: {ipam: {driver: x}}}", "unsupported", 5, "ipam.driver"),
        (TOP + "networks: {n: {ipam: {config: [{gateway: x}]}}}", "invalid", 5, "lacks its sub"),
        (TOP + "volumes: {v: {diver: x}}", "unknown_key", 5, "'diver'"),
    ],
)
def test_refused_at_the_top(text: str, code: str, line: int | None, says: str) -> None:
    found = problem(text)
    assert (found.code, found.line) == (f"compose.{code}", line)
    assert says in found.what
    assert found.hint


def test_a_secret_in_a_file_is_told_how_to_be_set() -> None:
    found = problem(TOP + "    secrets: [s]\nsecrets: {s: {file: ./s, name: cam-key}}")
    assert "roost secret set NODE cam-key" in found.hint


@pytest.mark.parametrize("said", ["", "{}", "{external: true}", "{name: s}"])
def test_a_secret_of_the_node_needs_no_more_than_its_name(said: str) -> None:
    found = meaning(TOP + f"    secrets: [s]\nsecrets:\n  s: {said}\n")
    assert found.problems == []
    assert found.workloads[0].secrets[0].name == "s"


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = meaning(of_service("ports: [http]\nuser: 5\nrestrat: no\ncpus: x\ncommand: $NO"))
    assert [named.line for named in found.problems] == [6, 7, 8, 9, 10]
    assert found.workloads == []


def test_problems_without_end_are_cut_off() -> None:
    found = meaning(
        "services:\n" + "".join(f"  s{n}: {{image: x, nokey: 1}}\n" for n in range(300))
    )
    assert len(found.problems) == PROBLEMS_LIMIT + 1
    assert found.problems[-1].code == "compose.too_large"
    assert found.refused


def test_one_port_for_two_services() -> None:
    text = """
        services:
          a: {image: x, ports: [8080:80, "127.0.0.1:9000:80", 53:53/udp]}
          b: {image: x, ports: [8080:81, "127.0.0.2:9000:80", 53:53/tcp]}
    """
    found = problem(text)
    assert (found.code, found.line) == ("compose.conflict", 4)
    assert found.what == "services.b.ports publishes port 8080, which a publishes already"


def test_more_than_a_node_takes() -> None:
    services = "\n".join(f"  s{n}: {{image: a}}" for n in range(65))
    assert problem(f"services:\n{services}").code == "compose.too_large"


def test_volumes_named_after_a_folder_are_told() -> None:
    text = "services:\n  app: {image: a, volumes: ['vol:/v']}\nvolumes: {vol: }"
    found = meaning(text)
    (named,) = found.problems
    assert (named.code, named.level) == ("compose.name", "warning")
    assert "plant_vol" in named.what
    assert "name: plant" in named.hint
    assert found.project == "plant"
    assert meaning("name: x\n" + text).problems == []
