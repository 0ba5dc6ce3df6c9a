"""Nodes and images to judge, in a few words each."""

from __future__ import annotations

from agent.protocol.compatibility import CompatLibrary, Found, ImageNeeds
from agent.protocol.gpus import Gpu, GpuStack
from agent.protocol.node import AgentInfo, HostFacts, NodeFacts, RuntimeFacts, ToolkitFacts

DEVICES = [1, 2, *range(7, 15)]  # as in the ELF note of 575.57.08

HOOK = ToolkitFacts(
    version="1.17.8", mode="auto", hook_path="/usr/bin/nvidia-container-runtime-hook"
)
DOCKER = RuntimeFacts(
    state="ok", name="Docker Engine", version="24.0.7", runtimes=["runc", "nvidia"]
)
CDI = RuntimeFacts(
    state="ok", name="Docker Engine", version="28.5.2", cdi_devices=["nvidia.com/gpu=all"]
)


def board(name: str, capability: str | None, brand: str | None, index: int = 0) -> Gpu:
    return Gpu(
        uuid=f"GPU-{index}", index=index, name=name, compute_capability=capability, brand=brand
    )


T4 = board("Tesla T4", "7.5", "tesla")
A10 = board("NVIDIA A10", "8.6", "nvidia")
L4 = board("NVIDIA L4", "8.9", "nvidia")
H200 = board("NVIDIA H200", "9.0", "nvidia")
B200 = board("NVIDIA B200", "10.0", "nvidia")
GB10 = board("NVIDIA GB10", "12.1", "nvidia")
RTX_4090 = board("NVIDIA GeForce RTX 4090", "8.9", "geforce")
RTX_5090 = board("NVIDIA GeForce RTX 5090", "12.0", "geforce")
RTX_A2000 = board("NVIDIA RTX A2000", "8.6", "nvidiartx")
GTX_1080 = board("NVIDIA GeForce GTX 1080", "6.1", "geforce")
P100 = board("Tesla P100-PCIE-16GB", "6.0", "tesla")
V100 = board("Tesla V100-SXM2-16GB", "7.0", "tesla")
M60 = board("Tesla M60", "5.2", "tesla")
K80 = board("Tesla K80", "3.7", "tesla")
K10 = board("Tesla K10", "3.0", "tesla")
ORIN = board("Jetson AGX Orin", "8.7", None)
XAVIER = board("Jetson AGX Xavier", "7.2", None)

CUDA_OF_BRANCH = {
    440: "10.2",
    450: "11.0",
    470: "11.4",
    510: "11.6",
    515: "11.7",
    520: "11.8",
    525: "12.0",
    530: "12.1",
    535: "12.2",
    545: "12.3",
    550: "12.4",
    555: "12.5",
    560: "12.6",
    565: "12.7",
    570: "12.8",
    575: "12.9",
    580: "13.0",
    590: "13.1",
}


def node(
    driver: str | None,
    *gpus: Gpu,
    cuda: str | None = "",
    runtime: RuntimeFacts = DOCKER,
    toolkit: ToolkitFacts = HOOK,
    stack: GpuStack | None = None,
    architecture: str = "amd64",
    name: str = "n",
) -> NodeFacts:
    """`cuda` "": what that branch of the driver says of itself."""
    if cuda == "":
        branch = int(driver.partition(".")[0]) if driver else 0
        cuda = CUDA_OF_BRANCH.get(branch)
    return NodeFacts(
        name=name,
        agent=AgentInfo(version="0", api_version="1.0", boot="b", started_at=0),
        host=HostFacts(
            hostname=name,
            os="Ubuntu",
            kernel="6",
            architecture=architecture,
            cpu_count=4,
            memory_total_bytes=1,
        ),
        gpu_stack=stack
        or GpuStack(state="ok", source="nvml", driver_version=driver, cuda_version=cuda),
        gpus=list(gpus),
        toolkit=toolkit,
        runtime=runtime,
        disks=[],
    )


def jetson(l4t: str | None, gpu: Gpu = ORIN, *, runtime: RuntimeFacts = DOCKER) -> NodeFacts:
    stack = GpuStack(state="ok", source="tegra", l4t_version=l4t, module_version="540.4.0")
    return node(None, gpu, stack=stack, architecture="arm64", runtime=runtime)


def library(
    driver: str,
    cuda: str | None = None,
    drivers: list[int] | None = None,
    devices: list[int] | None = None,
) -> CompatLibrary:
    return CompatLibrary(
        path=f"/usr/local/cuda/compat/libcuda.so.{driver}",
        driver_version=driver,
        cuda_version=cuda,
        drivers=drivers,
        devices=devices,
    )


def image(
    cuda: str | None,
    *,
    compat: CompatLibrary | None = None,
    tensorrt: str | None = None,
    inside: bool = True,
    require: str = "cuda>=9.0",
    architecture: str = "amd64",
    l4t: str | None = None,
) -> ImageNeeds:
    """An image whose layers were looked at, and whose own constraints say nothing."""
    return ImageNeeds(
        architecture=architecture,
        wants_gpu=True,
        cuda=Found(version=cuda, where="env CUDA_VERSION") if cuda else None,
        tensorrt=Found(version=tensorrt, where="env TENSORRT_VERSION") if tensorrt else None,
        l4t=Found(version=l4t, where="env L4T_VERSION") if l4t else None,
        compat=compat,
        requires={"NVIDIA_REQUIRE_CUDA": require},
        looked_inside=inside,
    )
