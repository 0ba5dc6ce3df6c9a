"""CDI specifications: none where one is needed, or one that no longer fits the machine."""

from __future__ import annotations

from agent.doctor.check import conclude, could_not_tell, does_not_apply
from agent.doctor.evidence import Evidence
from agent.host.cdi import GPU_KIND, CdiSpec
from agent.protocol.findings import CheckOutcome, Finding

NAME = "cdi_spec"

GENERATE = "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"


def check(evidence: Evidence) -> CheckOutcome:
    """A specification is stale if it names another driver, GPUs that are not there, or not all."""
    if not evidence.has_gpus:
        return does_not_apply(NAME, "no GPU that containers could use")
    if evidence.facts.agent.simulated:
        return does_not_apply(NAME, "a simulated node has no specification files")
    runtime = evidence.facts.runtime
    if not evidence.runtime_answers:
        return does_not_apply(NAME, "no container runtime is reachable")
    needs = _needs(evidence)
    # Docker names its specification folders only where CDI is switched on.
    if not needs and not runtime.cdi_spec_dirs:
        return does_not_apply(NAME, "this runtime does not use CDI")
    specs = evidence.system.cdi_specs
    if specs is None:
        return could_not_tell(NAME, "the specification files were not looked at")
    unknown = [f"{spec.path}: {spec.reason}" for spec in specs if spec.reason is not None]
    used = _used([spec for spec in specs if spec.kind == GPU_KIND])
    if used:
        faults = _faults(evidence, used)
        return conclude(NAME, [_stale(used, faults)] if faults else [], unknown)
    if needs and not unknown:
        return conclude(NAME, [_missing(needs)])
    if needs:
        return conclude(NAME, [], unknown)
    return does_not_apply(NAME, "no specification is there, and nothing here needs one")


def _needs(evidence: Evidence) -> str | None:
    """Why this node cannot do without a specification, or None."""
    if evidence.facts.runtime.name == "Podman":
        return "Podman hands GPUs to containers by CDI only"
    if evidence.facts.toolkit.mode == "cdi":
        return "the toolkit's mode is set to cdi"
    names = [c.name for c in evidence.containers if c.gpu_way == "cdi"]
    return f"container {names[0]} asks for a CDI device" if names else None


def _used(specs: list[CdiSpec]) -> dict[str, CdiSpec]:
    """Device name to the specification that runtimes take it from: later folders win."""
    return {name: spec for spec in specs for name in spec.devices}


def _faults(evidence: Evidence, used: dict[str, CdiSpec]) -> dict[str, str]:
    faults: dict[str, str] = {}
    stack, gpus = evidence.gpus.stack, evidence.gpus.gpus
    driver = stack.module_version or stack.driver_version
    named = {version for spec in used.values() for version in spec.driver_versions}
    if driver is not None and named and driver not in named:
        faults["driver"] = f"{', '.join(sorted(named))} named, {driver} loaded"
    if stack.state not in ("ok", "simulated"):
        return faults  # which GPUs there are is not known now
    whole = [gpu for gpu in gpus if not gpu.mig]
    slices = {instance.uuid for gpu in gpus for instance in gpu.mig_instances}
    here = {gpu.uuid for gpu in gpus} | slices
    by_uuid = {name for name in used if name.startswith(("GPU-", "MIG-"))}
    by_index = {name for name in used if name.isdecimal()}
    if by_uuid:
        _compare(faults, by_uuid, here, must={gpu.uuid for gpu in whole} | slices)
    elif by_index:
        _compare(
            faults, by_index, {str(gpu.index) for gpu in gpus}, must={str(g.index) for g in whole}
        )
    return faults


def _compare(faults: dict[str, str], named: set[str], here: set[str], *, must: set[str]) -> None:
    if gone := sorted(named - here):
        faults["not_there"] = ", ".join(gone)
    if left_out := sorted(must - named):
        faults["left_out"] = ", ".join(left_out)


def _missing(needs: str) -> Finding:
    return Finding(
        code="cdi.no_spec",
        severity="error",
        subject="node",
        title="No CDI specification for NVIDIA GPUs",
        cause=f"There is none in the runtime's folders, and {needs}.",
        mend=f"`{GENERATE}`. /var/run/cdi is emptied at boot; toolkit 1.18 and newer keeps it "
        "filled by its service: `sudo systemctl enable --now nvidia-cdi-refresh.path`.",
    )


def _stale(used: dict[str, CdiSpec], faults: dict[str, str]) -> Finding:
    paths = sorted({spec.path for spec in used.values()})
    return Finding(
        code="cdi.stale_spec",
        severity="error",
        subject="node",
        title="The CDI specification does not fit this machine any more",
        cause="Driver, GPUs or MIG slices changed after it was generated: containers get "
        "libraries or devices that are not there, or not all of them.",
        mend=f"Generate it anew: `sudo nvidia-ctk cdi generate --output={paths[-1]}`, then start "
        "the containers concerned again.",
        evidence={"files": ", ".join(paths), **faults},
    )
