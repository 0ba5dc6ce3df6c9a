"""What an image's config says of CUDA and drivers: its environment and its labels.

NVIDIA's names mislead: NVIDIA_TENSORRT_VERSION is the release of the container (23.09), not that
of TensorRT, and CUDA_DRIVER_VERSION the driver that came with the image's toolkit, not the host's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from agent.archives.faults import shown
from agent.protocol.compatibility import Found, ImageNeeds

TEXT_LIMIT = 16 * 1024
VERSION_LIMIT = 60
NOT_LOOKED = "nobody has looked into the image"
_VERSION = re.compile(r"\d{1,5}(?:\.\d{1,9}){0,3}")
_CUDA_ENV = ("CUDA_VERSION", "NV_CUDA_LIB_VERSION", "NV_CUDA_CUDART_VERSION")
_CUDA_LABELS = ("com.nvidia.cuda.version",)
_TENSORRT_ENV = ("TENSORRT_VERSION", "TRT_VERSION")
_TENSORRT_LABELS = ("com.nvidia.tensorrt.version",)
# Since TensorRT 10 it has four parts and a major of two digits; YY.MM has two parts.
_RELEASE = re.compile(r"[12]\d\.(?:0[1-9]|1[0-2])")
_DRIVER_ENV = ("CUDA_DRIVER_VERSION",)
_L4T_ENV = ("L4T_VERSION",)
_REQUIRE = "NVIDIA_REQUIRE_"
_TRUE = {"1", "t", "T", "TRUE", "true", "True"}  # what Go's strconv.ParseBool takes
_NO_DEVICES = {"", "void", "none"}


def environment_of(entries: object) -> dict[str, str]:
    """`NAME=value` as a mapping; what is of another form is left out. The last one counts."""
    found: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, str) and len(entry) <= TEXT_LIMIT:
            name, equals, value = entry.partition("=")
            if equals:
                found[name] = value
    return found


def labels_of(labels: object) -> dict[str, str]:
    """Those that are text."""
    return {
        name: value
        for name, value in (labels.items() if isinstance(labels, dict) else ())
        if isinstance(value, str) and len(value) <= TEXT_LIMIT
    }


def needs_of_archived(config: bytes, *, os: str, architecture: str, variant: str) -> ImageNeeds:
    """Needs by the config of an archived image, as its index has it."""
    try:
        words: Any = msgspec.json.decode(config)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        words = None
    inner = words.get("config") if isinstance(words, dict) else None
    inner = inner if isinstance(inner, dict) else {}
    return needs_of_config(
        environment_of(inner.get("Env")),
        labels_of(inner.get("Labels")),
        os=os,
        architecture=architecture,
        variant=variant,
    )


def needs_of_config(
    environment: Mapping[str, str],
    labels: Mapping[str, str],
    *,
    os: str,
    architecture: str,
    variant: str = "",
) -> ImageNeeds:
    """Needs by environment and labels alone; nothing is said of the layers."""
    unknown: dict[str, str] = {}
    cuda = _first(environment, _CUDA_ENV, "env", unknown, "cuda")
    cuda = cuda or _first(labels, _CUDA_LABELS, "label", unknown, "cuda")
    if cuda is not None and cuda.where == "env NV_CUDA_CUDART_VERSION":
        cuda = Found(version=_two(cuda.version), where=cuda.where)
    tensorrt = _first(environment, _TENSORRT_ENV, "env", unknown, "tensorrt")
    tensorrt = tensorrt or _first(labels, _TENSORRT_LABELS, "label", unknown, "tensorrt")
    if tensorrt is not None and _RELEASE.fullmatch(tensorrt.version):
        tensorrt = None
    requires = {
        name: value for name, value in environment.items() if name.startswith(_REQUIRE) and value
    }
    devices = environment.get("NVIDIA_VISIBLE_DEVICES", "")
    needed = labels.get("com.nvidia.volumes.needed", "") == "nvidia_driver"
    return ImageNeeds(
        os=os or "linux",
        architecture=architecture,
        variant=variant,
        wants_gpu=bool(cuda or tensorrt or requires or needed or devices not in _NO_DEVICES),
        cuda=cuda,
        tensorrt=tensorrt,
        bundled_driver=_first(environment, _DRIVER_ENV, "env", unknown, "bundled_driver"),
        l4t=_first(environment, _L4T_ENV, "env", unknown, "l4t"),
        requires=requires,
        requires_disabled=environment.get("NVIDIA_DISABLE_REQUIRE") in _TRUE,
        product=environment.get("NVIDIA_PRODUCT_NAME") or None,
        unknown=unknown,
    )


def only_config(needs: ImageNeeds, reason: str) -> ImageNeeds:
    """The same needs, with why the image's files were not looked at; not if they were."""
    if needs.looked_inside:
        return needs
    unknown = dict(needs.unknown)
    for field in ("compat", "cuda", "tensorrt"):
        if getattr(needs, field) is None and unknown.get(field, NOT_LOOKED) == NOT_LOOKED:
            unknown[field] = NOT_LOOKED if reason == NOT_LOOKED else f"{NOT_LOOKED}: {reason}"
    return msgspec.structs.replace(needs, unknown=unknown)


def _first(
    said: Mapping[str, str],
    names: tuple[str, ...],
    kind: str,
    unknown: dict[str, str],
    field: str,
) -> Found | None:
    """The first of these that is there and begins as a version does: 8.6.1.6+cuda12.0, 12.4-1."""
    for name in names:
        text = said.get(name, "").strip()
        if not text:
            continue
        version = _VERSION.match(text.removeprefix("v"))
        if version is not None:
            unknown.pop(field, None)
            # As it is written: the toolkit reads some of them, too, in its own way.
            whole = text if len(text) <= VERSION_LIMIT and text.isprintable() else version[0]
            return Found(version=whole, where=f"{kind} {name}")
        unknown[field] = f"{kind} {name} is {shown(text[:VERSION_LIMIT])!r}, which is no version"
    return None


def _two(version: str) -> str:
    """Of 12.4.127 the 12.4: the rest counts the library's own builds."""
    return ".".join(version.split(".")[:2])
