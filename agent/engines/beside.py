"""What lies beside a plan that is imported: the manifest that its builder wrote."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.engines.plan_files import PlanHeader, regular
from agent.engines.store import MANIFEST
from agent.protocol.decoding import from_json
from agent.protocol.engines import EngineManifest
from agent.protocol.problems import ProblemError
from agent.rules.engine_keys import engine_key, impossible

LIMIT_BYTES = 1024 * 1024


def manifest_beside(
    plan: Path, header: PlanHeader, sha256: str
) -> tuple[EngineManifest | None, str]:
    """`NAME.manifest.json` of NAME.plan, else `manifest.json`, where it is of this very plan.

    Blocks. With what to say of it; "" where there is none.
    """
    for file in (plan.with_name(f"{plan.stem}.{MANIFEST}"), plan.with_name(MANIFEST)):
        try:
            with regular(file) as opened:
                text = opened.read(LIMIT_BYTES + 1)
        except FileNotFoundError:
            continue
        except (OSError, ProblemError) as error:
            return None, f"{file.name} beside it is left out: {error}"
        if len(text) > LIMIT_BYTES:
            return None, f"{file.name} beside it is left out: it is too large"
        try:
            manifest = from_json(text, EngineManifest)
        except msgspec.MsgspecError as error:
            return None, f"{file.name} beside it is left out: {error}"
        if why := _why_not(manifest, header, sha256):
            return None, f"{file.name} beside it is left out: {why}"
        return manifest, f"{file.name} beside it says what it was built from"
    return None, ""


def _why_not(manifest: EngineManifest, header: PlanHeader, sha256: str) -> str | None:
    parts = manifest.parts
    if manifest.plan_sha256 != sha256:
        return "it is of another plan"
    if parts.flavour != header.flavour or manifest.plan_version != header.version:
        return "it tells of another TensorRT than the plan itself"
    if parts.recipe is None or parts.onnx_sha256 is None:
        return "it does not say what the plan was built from"
    if engine_key(parts) != manifest.key:
        return "its key is not that of what it says"
    return impossible(parts.recipe)
