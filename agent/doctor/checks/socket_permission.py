"""The agent may not use the container runtime's socket."""

from __future__ import annotations

from agent.doctor.check import conclude, could_not_tell, does_not_apply
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "socket_permission"


def check(evidence: Evidence) -> CheckOutcome:
    """Says who may, and who the agent is."""
    runtime = evidence.facts.runtime
    if runtime.state in ("ok", "simulated"):
        return conclude(NAME, [])
    if runtime.state == "not_found":
        return does_not_apply(NAME, "there is no socket")
    if runtime.state != "no_permission":
        return could_not_tell(NAME, runtime.reason or "the runtime does not answer")
    look = evidence.system.socket
    user = (look.agent_user if look is not None else None) or "the agent's user"
    group = (look.group if look is not None else None) or "docker"
    found = {"address": runtime.address or "unknown"}
    if look is not None:
        about = {"owner": look.owner, "group": look.group, "mode": look.mode}
        found |= {name: value for name, value in about.items() if value is not None}
        found |= {"reason": look.reason} if look.reason is not None else {}
    return conclude(
        NAME,
        [
            Finding(
                code="runtime.no_permission",
                severity="error",
                subject="node",
                title="The agent may not use the runtime's socket",
                cause=f"The agent runs as {user}, and the socket is for others.",
                mend=_mend(user, group),
                evidence=found,
            )
        ],
    )


def _mend(user: str, group: str) -> str:
    if user == "root":
        return (
            "root is refused, so a security module stands between: `sudo ausearch -m avc -ts "
            "recent` (SELinux) or `sudo dmesg | grep -i apparmor`."
        )
    return (
        f"`sudo usermod -aG {group} {user}`, then restart the agent (`sudo systemctl restart "
        "roost-agent`, where it is a service). Who may use "
        "the socket is as good as root on this machine."
        if group != "root"
        else "Run the agent as root: the socket is for root only."
    )
