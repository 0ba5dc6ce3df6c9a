"""NVIDIA's hook is not where dockerd looks for it."""

from __future__ import annotations

from agent.doctor.check import conclude, could_not_tell, does_not_apply
from agent.doctor.commands import install
from agent.doctor.daemon import DaemonLook
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "hook_path"

# From this Docker on, `--gpus` tries CDI first where nvidia-cdi-hook is in dockerd's PATH.
CDI_FIRST = (29, 2)


def check(evidence: Evidence) -> CheckOutcome:
    """dockerd looks the hook up in its own PATH; without it, `--gpus` fails at start."""
    facts = evidence.facts
    reason = _why_not(evidence)
    if reason is not None:
        return does_not_apply(NAME, reason)
    daemon = evidence.system.daemon
    if daemon is None:
        return could_not_tell(NAME, "dockerd was not looked at")
    if daemon.reason is not None:
        return could_not_tell(NAME, daemon.reason)
    if daemon.hook is not None:
        return conclude(NAME, [])
    if daemon.cdi_hook is not None and _version(facts.runtime.version) >= CDI_FIRST:
        return conclude(NAME, [])
    return conclude(NAME, [_finding(evidence, daemon)])


def _why_not(evidence: Evidence) -> str | None:
    facts = evidence.facts
    if not evidence.has_gpus:
        return "no GPU that containers could use"
    if not evidence.runtime_answers or facts.runtime.name != "Docker Engine":
        return "Docker Engine is not the runtime, or is not reachable"
    if facts.agent.simulated:
        return "a simulated node has no dockerd"
    if evidence.is_tegra:
        return "a Jetson uses runtime=nvidia, not the hook"
    toolkit = facts.toolkit
    if not any((toolkit.version, toolkit.hook_path, toolkit.ctk_path, toolkit.runtime_path)):
        return "the NVIDIA Container Toolkit is not installed"
    return None


def _finding(evidence: Evidence, daemon: DaemonLook) -> Finding:
    hook = evidence.facts.toolkit.hook_path
    if hook is None:
        cause = "nvidia-container-runtime-hook is not installed: only the toolkit's base is."
        mend = (
            f"{install(evidence.facts.host, 'nvidia-container-toolkit')}, then "
            "`sudo systemctl restart docker`. Containers that name CDI devices do without it."
        )
    else:
        folder = hook.rpartition("/")[0]
        cause = f"The hook is {hook}, and dockerd's PATH does not have {folder}."
        mend = (
            "`sudo systemctl edit docker`, add the two lines `[Service]` and "
            f"`Environment=PATH={folder}:{daemon.path or '/usr/bin:/usr/sbin'}`, then "
            "`sudo systemctl restart docker`."
        )
    return Finding(
        code="toolkit.hook_not_in_path",
        severity="error",
        subject="node",
        title="dockerd does not find NVIDIA's hook: --gpus fails",
        cause=f"{cause} Containers with a GPU request are created, and fail at start.",
        mend=mend,
        evidence={
            "dockerd_pid": str(daemon.pid),
            "dockerd_path": daemon.path or "(none)",
            "hook": hook or "not installed",
        },
    )


def _version(text: str | None) -> tuple[int, ...]:
    """ "29.2.1" as numbers; empty where it is none, which is less than every version."""
    numbers: list[int] = []
    for part in (text or "").split(".")[:2]:
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)
