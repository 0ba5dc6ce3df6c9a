"""The keys of a service that Roost reads, and what it says to those that it does not."""

from __future__ import annotations

from collections.abc import Mapping

from console.compose.reading import Place

READ = frozenset(
    {
        *("image", "command", "entrypoint", "environment", "env_file", "volumes", "tmpfs", "ports"),
        *("networks", "network_mode", "deploy", "gpus", "scale", "shm_size", "runtime", "secrets"),
        *("healthcheck", "restart", "ulimits", "ipc", "pid", "logging", "stop_grace_period"),
        *("stop_signal", "labels", "user", "group_add", "cap_add", "cap_drop", "security_opt"),
        *("privileged", "read_only", "depends_on", "devices", "extra_hosts", "dns", "hostname"),
        *("working_dir", "init", "tty", "stdin_open", "sysctls", "mem_limit", "cpus", "profiles"),
        *("extends", "x-roost"),
    }
)
# The container is the same without these.
IGNORED: Mapping[str, str] = {
    "container_name": "Roost names containers: say `roost container ls` to see how.",
    "pull_policy": "Nothing is ever pulled: bring the image with `roost image push`.",
    "pull_refresh_after": "Nothing is ever pulled: bring the image with `roost image push`.",
    "platform": "Whether the image fits the node is checked anyway.",
    "expose": "Containers in one network reach each other on every port.",
    "develop": "It is for the machine on which the image is made.",
    "attach": "It is about the output of another tool: see `roost container logs`.",
}
# With these it would be another one.
UNSUPPORTED: Mapping[str, str] = {
    "annotations": "Leave them out, or make them labels.",
    "blkio_config": "Leave it out.",
    "cgroup": "Leave it out.",
    "cgroup_parent": "Leave it out.",
    "configs": "Put the file on the nodes and bind it under volumes.",
    "cpu_count": "It is for Windows. Say cpus.",
    "cpu_percent": "It is for Windows. Say cpus.",
    "cpu_period": "Say cpus.",
    "cpu_quota": "Say cpus.",
    "cpu_rt_period": "Leave it out.",
    "cpu_rt_runtime": "Leave it out.",
    "cpu_shares": "Say cpus.",
    "cpuset": "Say cpus.",
    "credential_spec": "It is for Windows. Leave it out.",
    "device_cgroup_rules": "Name the devices under devices.",
    "dns_opt": "Leave it out.",
    "dns_search": "Leave it out, and write names in full.",
    "domainname": "Leave it out, and say hostname in full.",
    "external_links": "Put both containers into one external network.",
    "isolation": "It is for Windows. Leave it out.",
    "label_file": "Write them under labels.",
    "links": "Services of one network find each other by name; other names go under aliases.",
    "mac_address": "Leave it out.",
    "mem_reservation": "Say mem_limit.",
    "mem_swappiness": "Leave it out.",
    "memswap_limit": "Leave it out.",
    "models": "Run the model as a service of its own.",
    "oom_kill_disable": "Leave it out.",
    "oom_score_adj": "Leave it out.",
    "pids_limit": "Leave it out.",
    "post_start": "Do it in the image's entrypoint.",
    "pre_stop": "Do it when the stop signal comes; see stop_signal and stop_grace_period.",
    "provider": "Leave the service out.",
    "storage_opt": "Leave it out.",
    "use_api_socket": "Leave it out: who has the runtime's socket has the node.",
    "userns_mode": "Leave it out.",
    "uts": "Leave it out.",
    "volumes_from": "Name the volumes under volumes of each service.",
}
KNOWN = READ | IGNORED.keys() | UNSUPPORTED.keys() | {"build"}


def name_the_rest(service: Place) -> bool:
    """Note unknown keys, and each known one that is not read; whether it is a service at all."""
    if service.known(KNOWN) is None:
        return False
    for key, hint in IGNORED.items():
        if given := service.get(key):
            given.ignored(hint)
    for key, hint in UNSUPPORTED.items():
        if given := service.get(key):
            given.unsupported(hint)
    if build := service.get("build"):
        hint = "Make the image elsewhere, then bring it: roost image push ARCHIVE --to SELECTOR"
        if service.get("image"):
            build.ignored(hint)
        else:
            build.unsupported(f"{hint}; name it with image:")
    return True
