"""One service of a Compose file as the workload that a node shall run."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuRequest, RestartPolicy, Ulimit, Workload
from agent.rules.references import split_tag
from console.compose.commands import read_command
from console.compose.definitions import Definitions
from console.compose.deploying import read_limits
from console.compose.environment import EnvFiles, read_environment
from console.compose.extension import read_extension, read_modes
from console.compose.gpus import is_cdi_gpu, read_gpu
from console.compose.health import read_healthcheck
from console.compose.networks import read_networks
from console.compose.order import read_depends_on, read_restarts
from console.compose.ports import read_ports
from console.compose.reading import Place
from console.compose.secrets import read_secrets
from console.compose.supported import name_the_rest
from console.compose.volumes import read_mounts

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_RESTARTS: dict[str, RestartPolicy] = {
    "no": "no",
    "always": "always",
    "on-failure": "on-failure",
    "unless-stopped": "unless-stopped",
}
_VISIBLE = "NVIDIA_VISIBLE_DEVICES"


class Around(NamedTuple):
    """What is around a service."""

    definitions: Definitions
    env_files: EnvFiles
    services: Collection[str]
    """Those that run."""
    off: Mapping[str, Sequence[str]]
    """Those that do not, with their profiles."""


def read_service(service: Place, around: Around) -> Workload | None:
    """The workload; None where there is no image or no service at all. Mistakes are noted."""
    if not name_the_rest(service):
        return None
    image = _image(service)
    extension = read_extension(service)
    limits = read_limits(service)
    networks, mode = read_networks(
        service, around.definitions.networks, services=around.services, off=around.off
    )
    devices, gpus = _devices(service.get("devices"))
    workload = Workload(
        name=service.name,
        image=image or "",
        command=read_command(service.get("command")),
        entrypoint=read_command(service.get("entrypoint")),
        environment=read_environment(service, around.env_files),
        secrets=read_secrets(service.get("secrets"), around.definitions.secrets),
        mounts=read_mounts(service, around.definitions.volumes),
        ports=read_ports(service.get("ports")),
        networks=networks,
        network_mode=mode,
        gpu=read_gpu(service, gpus),
        shm_size_bytes=_size(service, "shm_size"),
        runtime=_text(service, "runtime"),
        healthcheck=read_healthcheck(service.get("healthcheck")),
        ulimits=_ulimits(service.get("ulimits")),
        ipc=_shared(service, "ipc"),
        pid=_shared(service, "pid"),
        stop_grace_period=seconds.seconds()
        if (seconds := service.get("stop_grace_period"))
        else None,
        stop_signal=_text(service, "stop_signal"),
        labels=_named(service, "labels"),
        user=_text(service, "user"),
        group_add=_words(service, "group_add"),
        working_dir=_text(service, "working_dir"),
        hostname=_text(service, "hostname"),
        extra_hosts=_extra_hosts(service.get("extra_hosts")),
        dns=_texts(service, "dns"),
        devices=devices,
        sysctls=_named(service, "sysctls"),
        cap_add=_words(service, "cap_add"),
        cap_drop=_words(service, "cap_drop"),
        security_opt=_security(service),
        privileged=_truth(service, "privileged") or False,
        read_only=_truth(service, "read_only") or False,
        init=_truth(service, "init"),
        tty=_truth(service, "tty") or False,
        stdin_open=_truth(service, "stdin_open") or False,
        memory_limit_bytes=limits.memory_bytes,
        cpus=limits.cpus,
        depends_on=read_depends_on(
            service.get("depends_on"), services=around.services, off=around.off
        ),
        restarts_with=read_restarts(service.get("depends_on")),
        variants=extension.variants,
        strategy=extension.strategy,
        probes=extension.probes,
        soak=extension.soak,
        start_deadline=extension.start_deadline,
    )
    read_modes(service, workload.ports)
    _restart(service, workload)
    _logging(service.get("logging"), workload)
    _see_together(service, workload)
    # What else is wrong is told all the same.
    return None if image is None else workload


def _see_together(service: Place, workload: Workload) -> None:
    """What two keys say of one thing."""
    if workload.network_mode in ("host", "none") and (ports := service.get("ports")):
        hint = "Leave them out: " + (
            "in the node's own network every port is open."
            if workload.network_mode == "host"
            else "without a network there is nothing to publish."
        )
        ports.ignored(hint, f"have no effect with network_mode: {workload.network_mode}")
        workload.ports = []
    if (mode := workload.network_mode or "").startswith(("service:", "container:")):
        _see_shared(service, workload, mode)
    if _VISIBLE in workload.environment:
        _see_visible(service.get("environment") or service, workload, workload.gpu)


def _see_shared(service: Place, workload: Workload, mode: str) -> None:
    """The network is another container's: that one has its ports and names."""
    for key in ("ports", "hostname", "dns", "extra_hosts"):
        if given := service.get(key):
            hint = "Say it on the service whose network it is, or not at all."
            given.wrong(f"does not go with network_mode: {mode}", hint, "compose.conflict")
    if mode.startswith("service:"):
        owner = mode.removeprefix("service:")
        workload.depends_on.setdefault(owner, "started")
        workload.restarts_with = list(dict.fromkeys([*workload.restarts_with, owner]))


def _see_visible(place: Place, workload: Workload, request: GpuRequest | None) -> None:
    """GPUs by environment: Roost sets it itself, or it does not know who uses what."""
    if request is not None:
        what = f"sets {_VISIBLE}, which is set to the GPUs that are chosen"
        place.ignored("Leave it out.", what)
        del workload.environment[_VISIBLE]
    elif workload.environment[_VISIBLE] not in ("", "none", "void"):
        hint = "Say x-roost: {gpu: {select: ...}} instead: then it is known who has which GPU."
        place.ignored(hint, f"sets {_VISIBLE}, past what Roost keeps of its GPUs")


def _image(service: Place) -> str | None:
    place = service.get("image")
    if place is None:
        if service.get("build") is None:
            service.wrong("has no image", "Say which: image: edge/app:1.4")
        return None
    image = place.text()
    if image is None or _DIGEST.fullmatch(image):
        return image
    if "@" in image:
        hint = (
            "Name its tag, or the image's own digest (`roost image ls --json`): a registry's digest"
            " says nothing where there is no registry."
        )
        place.unsupported(hint, f"is {image[:80]!r}, by a registry's digest")
        return None
    try:
        split_tag(image)
    except ProblemError as problem:
        place.wrong(f"is {image[:80]!r}, which no image can be called", problem.hint or "")
        return None
    return image


def _restart(service: Place, workload: Workload) -> None:
    place = service.get("restart")
    text = place.text() if place else None
    if place is None or text is None:
        return
    word, colon, retries = text.partition(":")
    if word not in _RESTARTS or (colon and (word != "on-failure" or not retries.isdecimal())):
        hint = "It may be no, always, unless-stopped, on-failure or on-failure:5."
        place.wrong(f"is {text[:40]!r}", hint)
        return
    workload.restart = _RESTARTS[word]
    workload.restart_retries = int(retries[:9]) if colon else None


def _logging(place: Place | None, workload: Workload) -> None:
    if place is None or place.known(("driver", "options")) is None:
        return
    workload.log_driver = _text(place, "driver")
    if options := place.get("options"):
        workload.log_options = {
            key: word for key, value in options.entries() if (word := value.word()) is not None
        }


def _ulimits(place: Place | None) -> dict[str, Ulimit]:
    found: dict[str, Ulimit] = {}
    for name, limit in place.entries() if place else []:
        if limit.is_text():
            both = limit.integer(-1)
            if both is not None:
                found[name] = Ulimit(soft=both, hard=both)
        elif limit.known(("soft", "hard")) is not None:
            values = [given.integer(-1) if (given := limit.get(key)) else None for key in _BOTH]
            if values[0] is not None and values[1] is not None:
                found[name] = Ulimit(soft=values[0], hard=values[1])
            elif limit.get("soft") is None or limit.get("hard") is None:
                limit.wrong("lacks soft or hard", "Say both, or one number for both.")
    return found


_BOTH = ("soft", "hard")


def _devices(place: Place | None) -> tuple[list[str], list[Place]]:
    """Devices as "host:container:rwm", and those that are GPUs by their CDI name."""
    devices: list[str] = []
    gpus: list[Place] = []
    for item in place.items() if place else []:
        if item.is_text():
            text = item.text()
            if text is None:
                continue
            if is_cdi_gpu(text):
                gpus.append(item)
                continue
            parts = text.split(":")
        elif item.known(("source", "target", "permissions")) is not None:
            source, target = _text(item, "source") or "", _text(item, "target")
            parts = [source, target or source, _text(item, "permissions") or "rwm"]
        else:
            continue
        if device := _device(item, parts):
            inside = device.split(":")[1]  # a later one of the same target replaces it
            devices = [other for other in devices if other.split(":")[1] != inside]
            devices.append(device)
    return devices, gpus


def _device(item: Place, parts: list[str]) -> str | None:
    host, *rest = parts
    if not host.startswith("/") and "=" in host:
        hint = "Of CDI's devices there are the GPUs: nvidia.com/gpu=..."
        item.unsupported(hint, f"is {host[:60]!r}, which is not supported")
        return None
    inside = rest.pop(0) if rest and rest[0].startswith("/") else host
    rights = rest.pop(0) if rest else "rwm"
    if rest or not host.startswith("/") or not re.fullmatch("[rwm]{1,3}", rights):
        hint = 'Write "/dev/video0" or "/dev/video0:/dev/video0:rwm".'
        item.wrong(f"is {':'.join(parts)[:80]!r}, which is no device", hint)
        return None
    return f"{host}:{inside}:{rights}"


def _extra_hosts(place: Place | None) -> list[str]:
    """Names and addresses, as "name:address"."""
    found: list[str] = []
    if place is None:
        return found
    if not place.is_list():
        for name, addresses in place.entries():
            found += [
                f"{name}:{text.strip('[]')}"
                for address in addresses.one_or_more()
                if (text := address.text())
            ]
        return found
    for item in place.items():
        text = item.text()
        if text is None:
            continue
        match = re.fullmatch(r"([^=:\s]+)[=:](\S+)", text)
        if match is None:
            item.wrong(f"is {text[:60]!r}", 'Write "name=10.0.0.5".')
        else:
            found.append(f"{match[1]}:{match[2].strip('[]')}")
    return found


def _security(service: Place) -> list[str]:
    found = _words(service, "security_opt")
    place = service.get("security_opt")
    for option in found:
        if place is not None and re.match(r"seccomp[=:](?!unconfined|builtin)", option):
            hint = "The file is not on the nodes' side of it. Leave it out, or say unconfined."
            place.unsupported(hint, "names a file with a seccomp profile, which is not supported")
    return found


def _shared(service: Place, key: str) -> str | None:
    place = service.get(key)
    text = place.text() if place else None
    if place is not None and text is not None and text.startswith(("service:", "container:")):
        place.unsupported("Leave it out.", "is not supported with another container's")
        return None
    return text


def _text(place: Place, key: str) -> str | None:
    found = place.get(key)
    return found.text() if found else None


def _truth(place: Place, key: str) -> bool | None:
    found = place.get(key)
    return found.truth() if found else None


def _size(place: Place, key: str) -> int | None:
    found = place.get(key)
    return found.size() if found else None


def _named(place: Place, key: str) -> dict[str, str]:
    found = place.get(key)
    return found.named() if found else {}


def _words(place: Place, key: str) -> list[str]:
    found = place.get(key)
    return list(dict.fromkeys(found.words())) if found else []


def _texts(place: Place, key: str) -> list[str]:
    found = place.get(key)
    texts = [item.text() for item in found.one_or_more()] if found else []
    return list(dict.fromkeys(text for text in texts if text is not None))
