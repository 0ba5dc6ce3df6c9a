"""`deploy` of a service: one machine's part of it is read, a swarm's part is named."""

from __future__ import annotations

from dataclasses import dataclass

from console.compose.reading import Place

_DEPLOY = (
    *("resources", "replicas", "mode", "restart_policy", "labels", "placement", "update_config"),
    *("rollback_config", "endpoint_mode"),
)
_SWARM = ("labels", "placement", "update_config", "rollback_config", "endpoint_mode")


@dataclass(slots=True)
class Limits:
    """What a container may use at most; None: not limited."""

    memory_bytes: int | None = None
    cpus: float | None = None


def read_limits(service: Place) -> Limits:
    """The service's limits, as `deploy` or the older `mem_limit` and `cpus` say them."""
    limits = Limits()
    if memory := service.get("mem_limit"):
        limits.memory_bytes = memory.size()
    if cpus := service.get("cpus"):
        limits.cpus = _cpus(cpus)
    deploy = service.get("deploy")
    if deploy is not None and deploy.known(_DEPLOY) is not None:
        _rest(deploy)
        if (resources := deploy.get("resources")) and resources.known(("limits", "reservations")):
            _limits(resources.get("limits"), limits)
            _reservations(resources.get("reservations"))
    if scale := service.get("scale"):
        _one(scale)
    return limits


def _rest(deploy: Place) -> None:
    for key in _SWARM:
        if given := deploy.get(key):
            given.ignored("It is for swarms only.")
    if policy := deploy.get("restart_policy"):
        policy.unsupported("Say restart: on-failure:5, or whichever it is, on the service.")
    if (mode := deploy.get("mode")) and mode.text() not in (None, "replicated"):
        mode.unsupported("A service runs once on each node that is selected.")
    if replicas := deploy.get("replicas"):
        _one(replicas)


def _one(place: Place) -> None:
    if place.integer(0) not in (None, 1):
        hint = "A service runs once on each node. Write it as services of their own names."
        place.unsupported(hint, "is not 1, which is not supported")


def _limits(place: Place | None, limits: Limits) -> None:
    if place is None or place.known(("cpus", "memory", "pids")) is None:
        return
    for key, before in (("memory", limits.memory_bytes), ("cpus", limits.cpus)):
        if before is not None and (given := place.get(key)):
            older = "mem_limit" if key == "memory" else "cpus"
            given.wrong(f"is said by {older} too", "Keep one of them.", "compose.conflict")
    if memory := place.get("memory"):
        limits.memory_bytes = memory.size()
    if cpus := place.get("cpus"):
        limits.cpus = _cpus(cpus)
    if pids := place.get("pids"):
        pids.unsupported("Leave it out, or say ulimits: {nproc: ...}")


def _reservations(place: Place | None) -> None:
    keys = ("devices", "cpus", "memory", "generic_resources")
    if place is None or place.known(keys) is None:
        return
    for key in ("cpus", "memory", "generic_resources"):
        if given := place.get(key):
            given.ignored("It is for swarms. GPU memory is reserved with x-roost.gpu.memory.")


def _cpus(place: Place) -> float | None:
    value = place.number()
    # 0 is how Compose says: not limited.
    return value or None
