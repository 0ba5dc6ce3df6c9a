"""From a container that is there to what makes the same one again.

What inspect says is taken over whole, but for what names this one container. Docker's own tools
lose things here (links, anonymous volumes, static addresses), so each has a line and a test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.protocol.problems import ProblemError
from agent.workloads.recipe import NO_RESTART, Recipe

Json = Mapping[str, Any]

# Of Config, all that create takes; what is left out is an answer's or a Windows container's.
_CONFIG = (
    "Domainname",
    "User",
    "ExposedPorts",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Env",
    "Cmd",
    "Healthcheck",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "NetworkDisabled",
    "StopSignal",
    "StopTimeout",
    "Shell",
    "Labels",
)
_ENDPOINT = ("IPAMConfig", "Links", "DriverOpts")
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
# A diff of a container that wrote its database inside itself may have 100,000 lines.
SHOWN_PATHS = 5


class Adopted(msgspec.Struct, kw_only=True, frozen=True):
    """A recipe, and what it cannot carry over."""

    recipe: Recipe
    lost: list[str]
    warnings: list[str]


def adopt(answer: Json, *, changed: Sequence[str], others: Sequence[Json]) -> Adopted:
    """The recipe of a container.

    Args:
        answer: what inspect says of it.
        changed: files that were changed inside it.
        others: what inspect says of the node's other containers.

    Raises:
        ProblemError: `pin.auto_remove`.
    """
    config, host = dict(answer.get("Config") or {}), dict(answer.get("HostConfig") or {})
    container_id, name = str(answer["Id"]), str(answer.get("Name") or "").lstrip("/")
    if host.get("AutoRemove"):
        raise ProblemError(
            "pin.auto_remove",
            f"container {name} was started with --rm: it is gone as soon as it stops, so it could"
            " not come back if the new one fails",
            params={"container": name},
            hint="Start it anew without --rm, or describe it in a workload file.",
        )
    body = {key: config[key] for key in _CONFIG if config.get(key) is not None}
    body["Image"] = str(answer.get("Image") or config.get("Image") or "")
    if config.get("Hostname") and not container_id.startswith(str(config["Hostname"])):
        body["Hostname"] = config["Hostname"]
    if str(host.get("NetworkMode") or "").startswith("container:"):
        for key in ("Hostname", "Domainname", "ExposedPorts"):  # they are its owner's
            body.pop(key, None)
    restart = dict(host.pop("RestartPolicy", None) or NO_RESTART)
    for key in ("ContainerIDFile", "AutoRemove"):
        host.pop(key, None)
    host["Links"] = [_link(link) for link in host.get("Links") or []] or None
    host["Binds"] = [*(host.get("Binds") or []), *_anonymous(answer, host)] or None
    body["HostConfig"] = {key: value for key, value in host.items() if value is not None}
    recipe = Recipe(
        image=body["Image"],
        reference=str(config.get("Image") or ""),
        body=body,
        networks=_networks(answer, container_id, str(host.get("NetworkMode") or "")),
        restart=restart,
    )
    return Adopted(
        recipe=recipe,
        lost=_lost(_own(changed, answer)),
        warnings=_dependents(container_id, name, others),
    )


def _link(link: str) -> str:
    """ "/db:/web/database" of an answer is "db:database" of a request."""
    target, _, alias = link.partition(":")
    return f"{target.lstrip('/')}:{alias.rpartition('/')[2] or target.lstrip('/')}"


def _anonymous(answer: Json, host: Json) -> list[str]:
    """Volumes without a name, by the name that the runtime gave them: their data goes along."""
    named = {str(bind).split(":")[1] for bind in host.get("Binds") or [] if ":" in str(bind)}
    # With a `Source` a mount of HostConfig is found again by itself; without one it would be new.
    mounts = {str(each.get("Target")) for each in host.get("Mounts") or [] if each.get("Source")}
    return [
        f"{mount['Name']}:{mount['Destination']}" + ("" if mount.get("RW", True) else ":ro")
        for mount in answer.get("Mounts") or []
        if mount.get("Type") == "volume"
        and _ANONYMOUS.fullmatch(str(mount.get("Name") or ""))
        and mount.get("Destination") not in named | mounts
    ]


def _networks(answer: Json, container_id: str, mode: str) -> dict[str, dict[str, Any]]:
    """Endpoint settings as they were asked for; addresses that the runtime chose are not."""
    if mode in ("host", "none") or mode.startswith("container:"):
        return {}
    found = {}
    networks = (answer.get("NetworkSettings") or {}).get("Networks") or {}
    for name, endpoint in networks.items():
        settings = {key: endpoint[key] for key in _ENDPOINT if (endpoint or {}).get(key)}
        aliases = [
            alias
            for alias in (endpoint or {}).get("Aliases") or []
            if not container_id.startswith(alias)
        ]
        if aliases:
            settings["Aliases"] = aliases
        found[name] = settings
    # The network of NetworkMode is the first: the runtime publishes ports there.
    return dict(sorted(found.items(), key=lambda each: each[0] != mode))


def _own(changed: Sequence[str], answer: Json) -> list[str]:
    """Paths of the writable layer but for the places that the runtime made there to mount on."""
    host = answer.get("HostConfig") or {}
    made = {
        *(str(mount.get("Destination")) for mount in answer.get("Mounts") or []),
        *(host.get("Tmpfs") or {}),
        *(str(each.get("PathInContainer")) for each in host.get("Devices") or []),
        "/sbin/docker-init",
    }
    return [path for path in changed if path not in made and not path.startswith("/dev/")]


def _lost(changed: Sequence[str]) -> list[str]:
    if not changed:
        return []
    shown = ", ".join(changed[:SHOWN_PATHS]) + (", ..." if len(changed) > SHOWN_PATHS else "")
    count = f"{len(changed)} file{'' if len(changed) == 1 else 's'}"
    return [f"{count} changed inside the container, not on a volume: {shown}"]


def _dependents(container_id: str, name: str, others: Sequence[Json]) -> list[str]:
    """Containers that are bound to this one and not to its name."""
    found = []
    for other in others:
        host = other.get("HostConfig") or {}
        own = str(other.get("Name") or "").lstrip("/")
        modes = [str(host.get(key) or "") for key in ("NetworkMode", "IpcMode", "PidMode")]
        if any(mode in (f"container:{container_id}", f"container:{name}") for mode in modes):
            found.append(f"{own} shares a namespace with it, and must be restarted afterwards")
        elif any(str(link).split(":")[0] == f"/{name}" for link in host.get("Links") or []):
            found.append(f"{own} is linked to it, and must be restarted afterwards")
    return found


def config_env(body: Json) -> dict[str, str]:
    """The environment of a body, by name; the last one counts."""
    return {entry.partition("=")[0]: entry.partition("=")[2] for entry in body.get("Env") or []}
