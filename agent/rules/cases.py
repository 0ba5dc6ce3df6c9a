"""What a GPU and the driver under it are, as far as images are concerned.

Many GPUs of a fleet are the same case, so each case is judged once.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.protocol.gpus import NVML_BRANDS, Gpu
from agent.protocol.node import NodeFacts
from agent.rules.versions import Version, numbers

PODMAN = "Podman"
# Before it, Podman drops CDI devices that are asked for through its API, without a word
# (containers/podman pull request 25171, of January 2025; seen on 4.3.1).
PODMAN_CDI_SINCE = (5, 4)

# These never take a compatibility library.
_CONSUMER_BRANDS = {"geforce", "geforcertx", "titan", "titanrtx"}
_CONSUMER_NAMES = ("geforce", "titan")
_NUMBERS = {word: number for number, word in NVML_BRANDS.items()}


class Case(NamedTuple):
    """One GPU under one driver."""

    driver: str | None
    cuda: str | None  # the highest that the driver runs by itself
    l4t: str | None  # Jetson Linux; "" on a Tegra that does not say
    capability: str | None
    brand: str | None
    consumer: bool  # GeForce or Titan
    enforced: bool  # the image's own constraints are looked at when a container starts

    @property
    def tegra(self) -> bool:
        return self.l4t is not None

    @property
    def driver_version(self) -> Version | None:
        return numbers(self.driver)

    @property
    def cuda_version(self) -> Version | None:
        return numbers(self.cuda)

    @property
    def brand_number(self) -> int | None:
        return None if self.brand is None else _NUMBERS.get(self.brand.lower())


def case_of(facts: NodeFacts, gpu: Gpu, *, enforced: bool) -> Case:
    stack = facts.gpu_stack
    tegra = is_tegra(facts)
    return Case(
        driver=stack.driver_version or stack.module_version,
        cuda=stack.cuda_version,
        l4t=(stack.l4t_version or "") if tegra else None,
        capability=gpu.compute_capability,
        brand=gpu.brand,
        consumer=_is_consumer(gpu),
        enforced=enforced,
    )


def is_tegra(facts: NodeFacts) -> bool:
    """Whether the GPU is a Jetson's own."""
    return facts.gpu_stack.source == "tegra" or facts.gpu_stack.l4t_version is not None


def podman_takes_cdi(version: str | None) -> bool:
    """Whether this Podman puts CDI devices that its API is asked for into a container."""
    return (numbers(version) or ()) >= PODMAN_CDI_SINCE


def _is_consumer(gpu: Gpu) -> bool:
    if gpu.brand is not None and gpu.brand != "unknown":
        return gpu.brand in _CONSUMER_BRANDS
    return any(word in gpu.name.lower() for word in _CONSUMER_NAMES)
