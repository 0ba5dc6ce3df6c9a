"""Where Podman's Docker-compatible API differs from Docker's, for containers that are re-created.

Seen on Podman 4.3.1 and 5.8.6: what inspect says is not what create takes, and some of what a
container was made with inspect does not say at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agent.protocol.node import RuntimeFacts
from agent.protocol.problems import ProblemError
from agent.workloads.recipe import Recipe

Json = Mapping[str, Any]

# `podman update --restart` is of 5.1.0; the call of the Docker API was seen on 5.8.6, not on 4.3.1.
POLICIES_SINCE = (5, 4)
# Written by Podman itself, for each container anew.
_OWN_ANNOTATIONS = (
    "io.podman.",
    "io.container.",
    "io.kubernetes.",
    "org.opencontainers.",
    "org.systemd.",
)
_OWN_ENVIRONMENT = ("container=podman", "HOSTNAME=")
NOT_TOLD = (
    "Podman does not say which GPUs, sysctls, log options and fixed addresses a container was made"
    " with: of a container that Roost did not make, those do not go along"
)


def is_podman(facts: RuntimeFacts) -> bool:
    """Whether the node's runtime is Podman."""
    return facts.name == "Podman"


def check_policies(facts: RuntimeFacts, name: str, *recipes: Recipe) -> None:
    """Restart policies are held back while two containers could come up: they must be changed.

    Raises:
        ProblemError: `deploy.restart_policy`.
    """
    if not is_podman(facts) or _version(facts) >= POLICIES_SINCE:
        return
    for recipe in recipes:
        policy = str(recipe.restart.get("Name") or "no")
        if policy != "no":
            raise ProblemError(
                "deploy.restart_policy",
                f"{name} has the restart policy {policy}, and Podman {facts.version} cannot change"
                " the policy of a container: old and new could both come up",
                params={"workload": name, "policy": policy},
                hint="Podman 5.4 can. Until then, leave restarts to systemd.",
            )


def as_docker_says(answer: Json) -> dict[str, Any]:
    """Podman's answer to inspect in words that create takes."""
    config, host = dict(answer.get("Config") or {}), dict(answer.get("HostConfig") or {})
    config["Env"] = [
        entry for entry in config.get("Env") or [] if not entry.startswith(_OWN_ENVIRONMENT)
    ]
    if not config.get("StopTimeout"):
        config["StopTimeout"] = None  # 4.3 says 0 of one that has the usual 10 s
    host["Ulimits"] = [
        {**each, "Name": re.sub("^RLIMIT_", "", str(each.get("Name") or "")).lower()}
        for each in host.get("Ulimits") or []
    ]
    host["Devices"] = [
        {**each, "CgroupPermissions": each.get("CgroupPermissions") or "rwm"}
        for each in host.get("Devices") or []
    ]
    if host.get("NanoCpus"):  # the same said twice, which create refuses
        host["CpuPeriod"] = host["CpuQuota"] = None
    host["Annotations"] = {
        key: value
        for key, value in (host.get("Annotations") or {}).items()
        if not key.startswith(_OWN_ANNOTATIONS)
    }
    if host.get("Runtime") == "oci":  # the word for any
        host["Runtime"] = None
    networks = {
        name: {**endpoint, "Aliases": _without(endpoint.get("Aliases"), config.get("Hostname"))}
        for name, endpoint in ((answer.get("NetworkSettings") or {}).get("Networks") or {}).items()
    }
    return {
        **answer,
        "Config": config,
        "HostConfig": host,
        "NetworkSettings": {"Networks": networks},
    }


def _without(aliases: list[str] | None, hostname: str | None) -> list[str]:
    """Podman adds the name of the host by itself."""
    return [alias for alias in aliases or [] if alias != hostname]


def _version(facts: RuntimeFacts) -> tuple[int, int]:
    """(0, 0) where it is not known: then it is taken for an old one."""
    found = re.match(r"(\d+)\.(\d+)", facts.version or "")
    return (int(found[1]), int(found[2])) if found else (0, 0)
