"""How a workload's container differs from what is written down of it: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from agent.containers.gpu_asks import gpu_ask
from agent.containers.inspection import state_of
from agent.protocol.containers import ContainerState
from agent.protocol.gpus import Gpu
from agent.workloads.adopting import config_env
from agent.workloads.gpu_ways import CAPABILITIES, VISIBLE
from agent.workloads.recipe import Recipe

Json = Mapping[str, Any]

# Podman puts these into every container.
_RUNTIMES_OWN = {"container", "HOME", "HOSTNAME", "TERM"}
SHOWN_NAMES = 8


class Wanted(msgspec.Struct, kw_only=True, frozen=True):
    """What is written down of a workload."""

    name: str
    stable: str  # container id
    recipe: Recipe
    # UUIDs that Roost chose, or what was asked for by hand; empty: what the recipe itself says.
    gpus: Sequence[str] = ()
    gpu_way: str = "none"
    gpus_told: bool = True  # Podman does not say which CDI devices a container has
    seen: frozenset[str] | None = None  # GPUs seen inside, where it is not told; None: not known
    may_end: bool = False  # others wait for its end: exit code 0 is well


def drift(
    wanted: Wanted, answer: Json | None, image_environment: Iterable[str], gpus: Sequence[Gpu]
) -> list[str]:
    """Each difference in words; values of the environment stay away.

    Args:
        answer: what inspect says of the stable container; where that is gone, of the one that has
            the workload's name; None: there is neither.
        image_environment: of the image that this container is made from.
        gpus: of the node, to know what "all" and indices mean now.
    """
    if answer is None:
        return ["its container is gone"]
    found, own = [], list(image_environment)
    if answer.get("Id") != wanted.stable:
        found.append("its container is gone, and another one that Roost did not make has its name")
    elif (name := str(answer.get("Name") or "").lstrip("/")) != wanted.name:
        found.append(f"its container was renamed: {name}")
    found += _state(wanted, answer)
    found += _image(wanted.recipe, answer)
    found += _gpus(wanted, answer, own, gpus)
    found += _environment(wanted.recipe, answer, own)
    found += _restart(wanted.recipe, answer)
    return found


def _state(wanted: Wanted, answer: Json) -> list[str]:
    state = answer.get("State") or {}
    status, code = state_of(state.get("Status")), state.get("ExitCode")
    if status == "running" or (wanted.may_end and status == "exited" and code == 0):
        return []
    words: dict[ContainerState, str] = {
        "exited": f"it does not run: it ended with exit code {code}",
        "restarting": f"it ends again and again, last with exit code {code}",
        "created": "it does not run: it was never started",
    }
    return [words.get(status, f"it does not run: it is {status}")]


def _image(recipe: Recipe, answer: Json) -> list[str]:
    image = str(answer.get("Image") or "")
    image = image if ":" in image else f"sha256:{image}"
    if image == recipe.image:
        return []
    named = str((answer.get("Config") or {}).get("Image") or "")
    return [f"image: {_short(named, image)} instead of {_short(recipe.reference, recipe.image)}"]


def _short(reference: str, image: str) -> str:
    """A tag may have moved, so it alone does not tell two images apart."""
    digest = image.removeprefix("sha256:")[:12]
    return digest if not reference or reference.startswith("sha256:") else f"{reference} ({digest})"


def _gpus(wanted: Wanted, answer: Json, own: Sequence[str], gpus: Sequence[Gpu]) -> list[str]:
    env = (answer.get("Config") or {}).get("Env")
    asks = gpu_ask(answer.get("HostConfig") or {}, env or [])
    has = meant(asks.gpus, asks.way, gpus)
    shall = meant(wanted.gpus, wanted.gpu_way, gpus)
    if not shall:
        body = wanted.recipe.body
        asked = gpu_ask(body.get("HostConfig") or {}, [*own, *(body.get("Env") or [])])
        shall = meant(asked.gpus, asked.way, gpus)
    if not has and not wanted.gpus_told:
        if wanted.seen is None or not shall:
            return []
        # A device node is a whole GPU's, also where a slice of it was given.
        parents = {each.uuid: gpu.uuid for gpu in gpus for each in gpu.mig_instances}
        has, shall = set(wanted.seen), {parents.get(uuid, uuid) for uuid in shall}
    if has == shall:
        return []
    return [f"GPUs: {_listed(has, gpus)} instead of {_listed(shall, gpus)}"]


def meant(wishes: Iterable[str], way: str, gpus: Sequence[Gpu]) -> set[str]:
    """UUIDs of what is asked for; what means nothing here stays as it is."""
    found: set[str] = set()
    for wish in wishes:
        known: set[str] = set()
        for gpu in gpus:
            number = gpu.minor if way == "devices" else gpu.index
            if wish in ("all", gpu.uuid, str(number)):
                known.add(gpu.uuid)
            known |= {
                each.uuid
                for each in gpu.mig_instances
                if wish in (each.uuid, f"{gpu.index}:{each.index}")
            }
        found |= known or {wish}
    return found


def _listed(uuids: Iterable[str], gpus: Sequence[Gpu]) -> str:
    indices = {gpu.uuid: gpu.index for gpu in gpus}
    told = [f"GPU {indices[uuid]} ({uuid})" if uuid in indices else uuid for uuid in sorted(uuids)]
    return ", ".join(told) or "none"


def _environment(recipe: Recipe, answer: Json, own: Sequence[str]) -> list[str]:
    image = config_env({"Env": own})
    has = config_env(answer.get("Config") or {})
    shall = config_env(recipe.body)
    for name in (VISIBLE, CAPABILITIES):  # how the GPUs get in, which is compared by itself
        has.pop(name, None)
        shall.pop(name, None)
    other = [name for name in shall if name in has and has[name] != shall[name]]
    lacking = [name for name in shall if name not in has]
    theirs = _RUNTIMES_OWN if "PATH" in image else {*_RUNTIMES_OWN, "PATH"}
    extra = [
        name
        for name in has
        if name not in shall and name not in theirs and image.get(name) != has[name]
    ]
    told = (("has another value", other), ("is not there", lacking), ("was added", extra))
    return [f"environment: {_names(names)} {what}" for what, names in told if names]


def _names(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")


def _restart(recipe: Recipe, answer: Json) -> list[str]:
    has = _policy((answer.get("HostConfig") or {}).get("RestartPolicy") or {})
    shall = _policy(recipe.restart)
    return [] if has == shall else [f"restart policy: {has} instead of {shall}"]


def _policy(policy: Json) -> str:
    name = str(policy.get("Name") or "no")
    retries = policy.get("MaximumRetryCount")
    return f"{name}:{retries}" if name == "on-failure" and retries else name
