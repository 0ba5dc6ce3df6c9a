"""Which GPUs a service asks for: as Compose says it, and what `x-roost.gpu` says more."""

from __future__ import annotations

import re

from agent.protocol.workloads import GpuRequest
from console.compose.reading import Place

_DEVICE = ("capabilities", "driver", "count", "device_ids", "options")
_ROOST = ("select", "count", "exclusive", "memory", "on_exceeded", "on_lost", "verify")
_CDI = "nvidia.com/gpu="
# NVIDIA_DRIVER_CAPABILITIES may be these (facts/docker.md); "gpu" and "nvidia" ask for the device.
_CAPABILITIES = ("compute", "utility", "video", "graphics", "display", "compat32", "ngx")
_WORDS = ("least-memory", "least-busy", "spread", "all")
_WORD = re.compile(
    r"[0-9]{1,3}|igpu|(?:name|profile)=[^,=]+|(?i:gpu|mig)-[0-9a-fA-F][0-9a-fA-F/-]*"
    r"|[0-9a-fA-F][0-9a-fA-F-]{7,}"
)
COUNT_LIMIT = 64
_SELECT_HINT = (
    "It may be least-memory, least-busy, spread or all, or a list of GPU-... and MIG-... UUIDs,"
    " indices, name=A10 and profile=1g.10gb."
)


def read_gpu(service: Place, cdi_devices: list[Place]) -> GpuRequest | None:
    """The service's request; None where it asks for no GPU.

    `cdi_devices` are those of `devices:` that `is_cdi_gpu` picks.
    """
    reserved = _down(service, "deploy", "resources", "reservations", "devices")
    asked = [_device(device, reserved=True) for device in (reserved.items() if reserved else [])]
    if gpus := service.get("gpus"):
        asked += _gpus(gpus)
    if cdi_devices:
        selected = ",".join((place.text() or "").removeprefix(_CDI) for place in cdi_devices)
        asked.append(_selected(cdi_devices[0], selected))
    extension = service.get("x-roost")
    more = extension.get("gpu") if extension else None
    if len(asked) > 1:
        where = reserved or service
        hint = "Name all GPUs in one entry, or in x-roost.gpu."
        where.wrong("asks for GPUs in more than one way", hint, "compose.conflict")
    request = asked[0] if asked else None
    if more is None:
        return request
    return _with_roost(more, request or GpuRequest(select=_WORDS[0]))


def is_cdi_gpu(device: str) -> bool:
    """Whether an entry of `devices:` is a GPU by its CDI name."""
    return device.startswith(_CDI)


def _gpus(place: Place) -> list[GpuRequest | None]:
    if not place.is_text():
        return [_device(item) for item in place.items()]
    word = place.word()
    if word == "all":
        return [GpuRequest(select="all")]
    if word is not None:
        place.wrong(f"is {word[:40]!r}", "It may be all, or a list as under deploy.")
    return [None]


def _device(place: Place, *, reserved: bool = False) -> GpuRequest | None:
    """An entry of `deploy.resources.reservations.devices` or `gpus`."""
    if place.known(_DEVICE) is None:
        return None
    listed = place.get("capabilities")
    if listed is None and reserved:
        place.wrong("lacks its capabilities", "Compose wants them: capabilities: [gpu]")
        return None
    capabilities = listed.texts() if listed else ["gpu"]
    driver = named.text() if (named := place.get("driver")) else "nvidia"
    if driver not in ("nvidia", "cdi", None) or not {"gpu", "nvidia"} & set(capabilities):
        place.unsupported("Only GPUs of NVIDIA are: capabilities: [gpu]", "is no GPU of NVIDIA")
        return None
    if options := place.get("options"):
        options.unsupported("Leave them out.")
    count, ids = place.get("count"), place.get("device_ids")
    if count is not None and ids is not None:
        hint = "Keep one of them."
        count.wrong("does not go with device_ids", hint, "compose.conflict")
        return None
    if ids is not None:
        words = [word.removeprefix(_CDI) for word in ids.words()]
        request = _selected(ids, ",".join(words))
    elif count is None or count.word() == "all":
        request = GpuRequest(select="all")
    else:
        request = GpuRequest(select=_WORDS[0], count=count.integer(1, COUNT_LIMIT) or 1)
    if request is not None:
        request.capabilities = [word for word in capabilities if word in _CAPABILITIES]
    return request


def _with_roost(place: Place, request: GpuRequest) -> GpuRequest | None:
    if place.known(_ROOST) is None:
        return None
    if select := place.get("select"):
        named = [found for each in select.one_or_more() if (found := each.word()) is not None]
        chosen = _selected(select, ",".join(named))
        if chosen is None:
            return None
        if place.get("count") is None and not _one_way(request.select):
            request.count = 1  # it counted the ones that were named
        request.select = chosen.select
    if count := place.get("count"):
        request.count = count.integer(1, COUNT_LIMIT) or 1
    if exclusive := place.get("exclusive"):
        request.exclusive = exclusive.truth() is True
    if memory := place.get("memory"):
        request.memory_bytes = memory.size()
    if exceeded := place.get("on_exceeded"):
        request.on_exceeded = (
            "restart" if exceeded.one_of(("tell", "restart")) == "restart" else "tell"
        )
    if lost := place.get("on_lost"):
        how = lost.one_of(("tell", "recreate"))
        request.on_lost = "recreate" if how == "recreate" else "tell"
    if verify := place.get("verify"):
        how = verify.one_of(("if-possible", "required"))
        request.verify = "required" if how == "required" else "if-possible"
    return request


def _selected(place: Place, select: str) -> GpuRequest | None:
    words = [word.strip() for word in select.split(",") if word.strip()]
    if len(words) == 1 and words[0] in _WORDS:
        return GpuRequest(select=words[0])
    if not words or not all(_WORD.fullmatch(word) for word in words):
        place.wrong(f"is {select[:80]!r}, which says of no GPU that it is meant", _SELECT_HINT)
        return None
    if len(set(words)) < len(words):
        place.wrong(f"is {select[:80]!r}, with one GPU twice", "Remove one.", "compose.conflict")
        return None
    return GpuRequest(select=",".join(words))


def _one_way(select: str) -> bool:
    return select in _WORDS


def _down(place: Place, *keys: str) -> Place | None:
    found: Place | None = place
    for key in keys:
        found = found.get(key) if found else None
    return found
