"""The container runtime does not answer, or is not there."""

from __future__ import annotations

from agent.doctor.check import conclude, does_not_apply
from agent.doctor.commands import install
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "runtime"


def check(evidence: Evidence) -> CheckOutcome:
    """A socket that may not be used is another check's business."""
    runtime = evidence.facts.runtime
    if runtime.state in ("ok", "simulated"):
        return conclude(NAME, [])
    if runtime.state == "no_permission":
        return does_not_apply(NAME, "the socket may not be used, so this cannot be asked")
    finding = _not_found(evidence) if runtime.state == "not_found" else _unreachable()
    finding.evidence["address"] = runtime.address or "unknown"
    if runtime.reason:
        finding.evidence["reason"] = runtime.reason
    return conclude(NAME, [finding])


def _not_found(evidence: Evidence) -> Finding:
    docker = "docker.io" if evidence.facts.host.os_id in ("debian", "ubuntu") else "docker"
    return Finding(
        code="runtime.not_found",
        severity="error",
        subject="node",
        title="No container runtime is found",
        cause="No socket of Docker or Podman is where the agent looks.",
        mend=f"Start the one that is installed: `sudo systemctl enable --now docker`, or for "
        f"Podman `sudo systemctl enable --now podman.socket`. Without any: "
        f"{install(evidence.facts.host, docker)}.",
    )


def _unreachable() -> Finding:
    return Finding(
        code="runtime.unreachable",
        severity="error",
        subject="node",
        title="The container runtime does not answer",
        cause="Its socket is there, but nothing answers: the service has stopped or hangs. "
        "Containers may go on running.",
        mend="`systemctl status docker` and `sudo journalctl -u docker -n 50` say why; then "
        "`sudo systemctl restart docker` (`podman.socket` for Podman).",
    )
