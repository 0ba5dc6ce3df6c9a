"""What Docker Compose itself was recorded to make of files (recording.py): Roost makes the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agent.protocol.workloads import Workload
from console.compose.compose_file import NodeValues, read_compose, workloads_for
from console.compose.env_file import parse_env_file
from console.compose.findings import Findings
from console.compose.interpolation import BadTemplateError, UnsetError, interpolate
from console.compose.scalars import duration
from tests.console.compose import recording, test_forms
from tests.console.compose.files import meaning
from tests.console.compose.test_interpolation import VARIABLES
from tests.console.compose.test_projects import DATA, NODE, PROJECTS

RECORDED = json.loads(recording.RECORDED.read_text(encoding="utf-8"))

# Compose warns of a variable that is unset in a part that is not taken.
UNSET_BESIDE = {"${A:-${NO}}", "${NO+${NOR}}"}
# Compose writes a time with a zone where the file has a date, and nothing for infinity.
UNLIKE_SCALARS = {"2001-01-01", ".inf"}
# By its documentation a comment wants a space before it, and here it has one.
UNLIKE_LINES = {"V= # c"}
UNLIKE_FORMS = {
    # Compose takes "rw" for a path, Docker itself for what may be done.
    "devices: [/dev/video0, '/dev/a:/dev/b', '/dev/c:/dev/d:r', '/dev/e:rw']",
    # The specification has the path in the container as optional, that version of Compose not.
    "devices: [{source: /dev/a}, {source: /dev/b, target: /dev/c, permissions: r}]",
    # That version does not make the path unless it is told to; the specification now says yes.
    "volumes: [{type: bind, source: /a, target: /b}]",
}


def recorded(group: str, unlike: set[str]) -> list[str]:
    """The cases of a group but those that are known to differ, each of which there must be."""
    assert unlike <= RECORDED[group].keys()
    return [case for case in RECORDED[group] if case not in unlike]


def test_the_recording_is_of_these_cases() -> None:
    assert list(RECORDED["templates"]) == list(dict.fromkeys(recording.templates()))
    assert list(RECORDED["scalars"]) == recording.scalars()
    assert list(RECORDED["env_lines"]) == recording.env_lines()
    assert list(RECORDED["forms"]) == list(dict.fromkeys(lines for lines, _, _ in test_forms.FORMS))
    assert RECORDED["projects"].keys() == PROJECTS.keys()
    assert RECORDED["version"].startswith("2.")


@pytest.mark.parametrize("text", recorded("templates", UNSET_BESIDE))
def test_template(text: str) -> None:
    try:
        ours: str | None = interpolate(text, VARIABLES)
    except (BadTemplateError, UnsetError):
        ours = None
    assert ours == RECORDED["templates"][text]


@pytest.mark.parametrize("text", recorded("scalars", UNLIKE_SCALARS))
def test_scalar(text: str) -> None:
    found = meaning(recording.environment_file(text))
    ours = None if found.refused else found.workloads[0].environment["V"]
    assert ours == RECORDED["scalars"][text]


@pytest.mark.parametrize("line", recorded("env_lines", UNLIKE_LINES))
def test_env_line(line: str) -> None:
    findings = Findings("f")
    ours = parse_env_file(line, name="e", variables={"A": "a"}, findings=findings)
    assert findings.problems == []
    assert ours["V"] == RECORDED["env_lines"][line]


@pytest.mark.parametrize("lines", recorded("forms", UNLIKE_FORMS))
def test_form(lines: str) -> None:
    (ours,) = meaning(recording.form_file(lines)).workloads
    see_alike(ours, RECORDED["forms"][lines])


@pytest.mark.parametrize("project", PROJECTS)
def test_project(project: str) -> None:
    document = RECORDED["projects"][project]
    file = read_compose(DATA / f"{project}.yaml")
    found = workloads_for(file, NodeValues("cam-7", {**NODE, **PROJECTS[project]}))
    assert {workload.name for workload in found.workloads} == document["services"].keys()
    assert found.project == document["name"]
    for workload in found.workloads:
        see_alike(workload, document)


def see_alike(ours: Workload, document: dict[str, Any]) -> None:
    """Each key that Compose writes for the service is in the workload, and no other."""
    service = undoubled(document["services"][ours.name])
    memory = [text.partition(":")[0] for text in service.get("tmpfs") or []]
    mounts = [mounted for mounted in ours.mounts if mounted.target not in memory]
    assert len(ours.mounts) == len(mounts) + len(memory)
    ours = msgspec.structs.replace(ours, mounts=mounts)
    for key, write in WRITTEN.items():
        theirs = service.pop(key, None)
        assert write(ours) == comparable(key, theirs, document), key
    service.pop("image")
    assert service.keys() <= ELSEWHERE


def comparable(key: str, theirs: Any, document: dict[str, Any]) -> Any:
    """What Compose wrote, in the form that is made of ours."""
    if key == "volumes":
        return [mount(item, document.get("volumes", {})) for item in theirs or []]
    if key == "networks":
        defined = document.get("networks", {})
        return {defined[name]["name"]: use or {} for name, use in (theirs or {}).items()}
    if key == "secrets":
        defined = document.get("secrets", {})
        return [[defined[use["source"]]["name"], secret_path(use)] for use in theirs or []]
    if key == "ports":
        kept = ("target", "published", "host_ip", "protocol")
        return [{name: port[name] for name in kept if name in port} for port in theirs or []]
    if key == "healthcheck" and theirs:
        if theirs.pop("disable", False):
            return {"test": ["NONE"]}
        times = ("interval", "timeout", "start_period")
        return {name: timed(value) if name in times else value for name, value in theirs.items()}
    if key == "stop_grace_period":
        return None if theirs is None else timed(theirs)
    if key == "devices":
        return [":".join((d["source"], d["target"], d["permissions"])) for d in theirs or []]
    if key == "depends_on":
        return {name: wait["condition"] for name, wait in (theirs or {}).items()}
    if key == "ulimits":
        return {
            name: limit if isinstance(limit, dict) else {"soft": limit, "hard": limit}
            for name, limit in (theirs or {}).items()
        } or None
    if key == "restart":
        return theirs or "no"
    return theirs or None


def secret_path(use: dict[str, Any]) -> str:
    """Compose leaves it to the runtime where it starts from."""
    target = str(use.get("target") or use["source"])
    return target if target.startswith("/") else f"/run/secrets/{target}"


def timed(text: str) -> float | None:
    """Compose writes 1m0s."""
    return duration(text)


def mount(item: dict[str, Any], volumes: dict[str, Any]) -> dict[str, Any]:
    """A mount, with the volume's definition in it."""
    defined = volumes.get(item.get("source", ""), {}) if item["type"] == "volume" else {}
    return {
        "type": item["type"],
        "source": defined.get("name", item.get("source", "")).replace("//", "/").rstrip("/"),
        "target": item["target"],
        "read_only": item.get("read_only", False),
        "propagation": item.get("bind", {}).get("propagation"),
        "create": item["type"] != "bind" or item.get("bind", {}).get("create_host_path", False),
        "no_copy": item.get("volume", {}).get("nocopy", False),
        "external": defined.get("external", False),
        "driver": defined.get("driver") if not defined.get("external") else None,
        "options": defined.get("driver_opts", {}),
        "size": int(size) if (size := item.get("tmpfs", {}).get("size")) else None,
        "mode": item.get("tmpfs", {}).get("mode"),
    }


def undoubled(value: Any) -> Any:
    """`config` writes a dollar sign twice."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, list):
        return [undoubled(item) for item in value]
    if isinstance(value, dict):
        return {key: undoubled(item) for key, item in value.items()}
    return value


def _mounts(ours: Workload) -> list[dict[str, Any]]:
    return [
        {
            "type": mounted.kind,
            "source": mounted.source,
            "target": mounted.target,
            "read_only": mounted.read_only,
            "propagation": mounted.propagation,
            "create": mounted.create_host_path,
            "no_copy": mounted.no_copy,
            "external": mounted.external,
            "driver": mounted.driver,
            "options": mounted.driver_options,
            "size": mounted.size_bytes,
            "mode": mounted.mode,
        }
        for mounted in ours.mounts
    ]


def _without_none(**values: Any) -> dict[str, Any] | None:
    return {key: value for key, value in values.items() if value} or None


def _health(ours: Workload) -> dict[str, Any] | None:
    check = ours.healthcheck
    if check is None:
        return None
    return _without_none(
        test=check.test,
        interval=check.interval,
        timeout=check.timeout,
        retries=check.retries,
        start_period=check.start_period,
    )


def _text(value: float | None) -> str | None:
    return None if value is None else str(value)


WRITTEN: dict[str, Callable[[Workload], Any]] = {
    "command": lambda ours: ours.command or None,
    "entrypoint": lambda ours: ours.entrypoint or None,
    "environment": lambda ours: ours.environment or None,
    "ports": lambda ours: [
        _without_none(
            target=port.target,
            published=_text(port.published),
            host_ip=port.host_ip,
            protocol=port.protocol,
        )
        for port in ours.ports
    ],
    "networks": lambda ours: {
        use.name: _without_none(
            aliases=[alias for alias in use.aliases if alias != ours.name],
            ipv4_address=use.ipv4_address,
        )
        or {}
        for use in ours.networks
    },
    "volumes": _mounts,
    "network_mode": lambda ours: ours.network_mode,
    "secrets": lambda ours: [[use.name, use.target] for use in ours.secrets],
    "healthcheck": _health,
    "restart": lambda ours: (
        f"{ours.restart}:{ours.restart_retries}" if ours.restart_retries else ours.restart
    ),
    "shm_size": lambda ours: _text(ours.shm_size_bytes),
    "ulimits": lambda ours: (
        {name: {"soft": limit.soft, "hard": limit.hard} for name, limit in ours.ulimits.items()}
        or None
    ),
    "ipc": lambda ours: ours.ipc,
    "pid": lambda ours: ours.pid,
    "logging": lambda ours: _without_none(driver=ours.log_driver, options=ours.log_options),
    "stop_grace_period": lambda ours: ours.stop_grace_period,
    "stop_signal": lambda ours: ours.stop_signal,
    "labels": lambda ours: ours.labels or None,
    "user": lambda ours: ours.user,
    "group_add": lambda ours: ours.group_add or None,
    "working_dir": lambda ours: ours.working_dir,
    "hostname": lambda ours: ours.hostname,
    "extra_hosts": lambda ours: [host.replace(":", "=", 1) for host in ours.extra_hosts] or None,
    "dns": lambda ours: ours.dns or None,
    "devices": lambda ours: ours.devices,
    "sysctls": lambda ours: ours.sysctls or None,
    "cap_add": lambda ours: ours.cap_add or None,
    "cap_drop": lambda ours: ours.cap_drop or None,
    "security_opt": lambda ours: ours.security_opt or None,
    "privileged": lambda ours: ours.privileged or None,
    "read_only": lambda ours: ours.read_only or None,
    "init": lambda ours: ours.init or None,
    "tty": lambda ours: ours.tty or None,
    "stdin_open": lambda ours: ours.stdin_open or None,
    "runtime": lambda ours: ours.runtime,
    "depends_on": lambda ours: {
        name: {
            "started": "service_started",
            "healthy": "service_healthy",
            "completed": "service_completed_successfully",
        }[condition]
        for name, condition in ours.depends_on.items()
    },
}
# Read in other tests: `tmpfs` is among the mounts here, limits have two ways to be said.
ELSEWHERE = {"tmpfs", "deploy", "mem_limit", "cpus", "expose", "profiles"}
