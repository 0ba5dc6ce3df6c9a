"""From a workload, as a Compose file describes it, to what the runtime makes a container from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.protocol.images import NodeImage
from agent.protocol.workloads import GpuRequest, Healthcheck, Mount, NetworkUse, Workload
from agent.workloads.recipe import Recipe

Json = Mapping[str, Any]

NANOSECONDS = 1_000_000_000
# A hint: the driver enforces no ceiling, an image may.
MEMORY_HINT = "ROOST_GPU_MEMORY_BYTES"
RELEASE = "roost.release"


def compiled(workload: Workload, image: NodeImage, *, release: str, secrets: Path) -> Recipe:
    """The recipe of a workload, without its GPUs.

    Args:
        image: that it runs, as the node has it.
        secrets: the folder with a file for each secret.
    """
    environment = dict(workload.environment)
    if workload.gpu is not None and workload.gpu.memory_bytes:
        environment.setdefault(MEMORY_HINT, str(workload.gpu.memory_bytes))
    body: dict[str, Any] = {
        "Image": image.id,
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Labels": {**workload.labels, RELEASE: release},
        "ExposedPorts": {f"{port.target}/{port.protocol}": {} for port in workload.ports},
        "Cmd": workload.command,
        "Entrypoint": workload.entrypoint,
        "Healthcheck": _healthcheck(workload.healthcheck),
        "StopSignal": workload.stop_signal,
        "StopTimeout": None
        if workload.stop_grace_period is None
        else round(workload.stop_grace_period),
        "User": workload.user,
        "WorkingDir": workload.working_dir,
        "Hostname": workload.hostname,
        "Tty": workload.tty,
        "OpenStdin": workload.stdin_open,
        "HostConfig": _host(workload, secrets),
    }
    return Recipe(
        image=image.id,
        reference=workload.image,
        config_digest=image.config_digest,
        body=_said(body),
        networks={}
        if workload.network_mode
        else {use.name: _endpoint(use) for use in workload.networks},
        restart={
            "Name": workload.restart,
            "MaximumRetryCount": workload.restart_retries or 0,
        },
        makes_networks={
            use.name: _network(use, release) for use in workload.networks if not use.external
        },
        folders=[
            mount.source
            for mount in workload.mounts
            if mount.kind == "bind" and mount.create_host_path
        ],
    )


def hinted(recipe: Recipe, before: GpuRequest | None, now: GpuRequest) -> Recipe:
    """The recipe with another ceiling than `before`; what somebody wrote himself stays."""
    said = before.memory_bytes if before else None
    env = [each for each in recipe.body.get("Env") or [] if each != f"{MEMORY_HINT}={said}"]
    if now.memory_bytes and not any(each.startswith(f"{MEMORY_HINT}=") for each in env):
        env.append(f"{MEMORY_HINT}={now.memory_bytes}")
    return msgspec.structs.replace(recipe, body={**recipe.body, "Env": env})


def _host(workload: Workload, secrets: Path) -> dict[str, Any]:
    first = workload.networks[0].name if workload.networks else "bridge"
    bindings: dict[str, list[Json]] = {}
    for port in workload.ports:
        published = "" if port.published is None else str(port.published)
        bindings.setdefault(f"{port.target}/{port.protocol}", []).append(
            {"HostIp": port.host_ip, "HostPort": published}
        )
    return _said(
        {
            "NetworkMode": workload.network_mode or first,
            "PortBindings": bindings,
            "Mounts": [
                *(_mount(mount) for mount in workload.mounts),
                *(
                    {
                        "Type": "bind",
                        "Source": str(secrets / use.name),
                        "Target": use.target,
                        "ReadOnly": True,
                    }
                    for use in workload.secrets
                ),
            ],
            "ShmSize": workload.shm_size_bytes,
            "Runtime": workload.runtime,
            "Ulimits": [
                {"Name": name, "Soft": limit.soft, "Hard": limit.hard}
                for name, limit in workload.ulimits.items()
            ],
            "IpcMode": workload.ipc,
            "PidMode": workload.pid,
            "LogConfig": {"Type": workload.log_driver or "", "Config": workload.log_options}
            if workload.log_driver or workload.log_options
            else None,
            "GroupAdd": workload.group_add,
            "ExtraHosts": workload.extra_hosts,
            "Dns": workload.dns,
            "Devices": [_device(device) for device in workload.devices],
            "Sysctls": workload.sysctls,
            "CapAdd": workload.cap_add,
            "CapDrop": workload.cap_drop,
            "SecurityOpt": workload.security_opt,
            "Privileged": workload.privileged,
            "ReadonlyRootfs": workload.read_only,
            "Init": workload.init,
            "Memory": workload.memory_limit_bytes,
            "NanoCpus": None if workload.cpus is None else round(workload.cpus * NANOSECONDS),
        }
    )


def _said(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the file does not say; [] for a command says that there shall be none."""
    kept = ("Cmd", "Entrypoint")
    return {
        key: value
        for key, value in body.items()
        if value is not None and (key in kept or value not in ([], {}, False))
    }


def _mount(mount: Mount) -> dict[str, Any]:
    made: dict[str, Any] = {"Type": mount.kind, "Target": mount.target}
    if mount.source:
        made["Source"] = mount.source
    if mount.read_only:
        made["ReadOnly"] = True
    if mount.kind == "bind" and mount.propagation:
        made["BindOptions"] = {"Propagation": mount.propagation}
    if mount.kind == "tmpfs":
        made["TmpfsOptions"] = _said({"SizeBytes": mount.size_bytes, "Mode": mount.mode})
    if mount.kind == "volume":
        driver = {"Name": mount.driver or "local", "Options": mount.driver_options}
        options = {
            "NoCopy": mount.no_copy,
            "DriverConfig": driver if mount.driver or mount.driver_options else None,
        }
        made["VolumeOptions"] = _said(options)
    return _said(made)


def _endpoint(use: NetworkUse) -> dict[str, Any]:
    addresses = _said({"IPv4Address": use.ipv4_address, "IPv6Address": use.ipv6_address})
    return _said({"Aliases": use.aliases, "IPAMConfig": addresses})


def _network(use: NetworkUse, release: str) -> dict[str, Any]:
    subnets = [
        _said({"Subnet": each.subnet, "Gateway": each.gateway, "IPRange": each.ip_range})
        for each in use.subnets
    ]
    return _said(
        {
            "Driver": use.driver,
            "Options": use.driver_options,
            "Internal": use.internal,
            "EnableIPv6": use.enable_ipv6,
            "IPAM": {"Config": subnets} if subnets else None,
            "Labels": {RELEASE: release},
        }
    )


def _healthcheck(check: Healthcheck | None) -> dict[str, Any] | None:
    if check is None:
        return None
    found = {
        "Test": check.test,
        "Interval": _nanoseconds(check.interval),
        "Timeout": _nanoseconds(check.timeout),
        "Retries": check.retries,
        "StartPeriod": _nanoseconds(check.start_period),
    }
    return _said(found)


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * NANOSECONDS)


def _device(text: str) -> dict[str, str]:
    on_host, _, rest = text.partition(":")
    inside, _, permissions = rest.partition(":")
    return {
        "PathOnHost": on_host,
        "PathInContainer": inside or on_host,
        "CgroupPermissions": permissions or "rwm",
    }
