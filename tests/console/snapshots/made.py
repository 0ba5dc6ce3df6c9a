"""Snapshots in a few words each."""

from __future__ import annotations

from collections.abc import Sequence

from agent.protocol.engines import Engine, EngineManifest, EngineParts, EngineRecipe
from agent.protocol.gpus import Gpu, GpuStack
from agent.protocol.images import NodeImage
from agent.protocol.node import AgentInfo, HostFacts, NodeFacts, RuntimeFacts, ToolkitFacts
from agent.protocol.snapshots import AppliedWorkload, NodeSnapshot, RecordedFile
from agent.protocol.workloads import Workload

GIB = 2**30


def digest(number: int) -> str:
    return f"sha256:{number:04x}{0:060x}"


def gpu(index: int = 0, *, gib: int = 24, name: str = "NVIDIA A10", uuid: str = "") -> Gpu:
    return Gpu(
        uuid=uuid or f"GPU-old-{index}", index=index, name=name, memory_total_bytes=gib * GIB
    )


def facts(
    name: str = "cam",
    *,
    driver: str = "535.183.01",
    cuda: str = "12.2",
    architecture: str = "amd64",
    gpus: Sequence[Gpu] = (),
) -> NodeFacts:
    return NodeFacts(
        name=name,
        agent=AgentInfo(version="1", api_version="1.0", boot="b", started_at=0.0),
        host=HostFacts(
            hostname=name,
            os="Debian 12",
            kernel="6.1",
            architecture=architecture,
            cpu_count=4,
            memory_total_bytes=8 * GIB,
        ),
        gpu_stack=GpuStack(state="ok", source="nvml", driver_version=driver, cuda_version=cuda),
        gpus=list(gpus),
        toolkit=ToolkitFacts(version="1.17.8"),
        runtime=RuntimeFacts(state="ok", name="Docker Engine", version="24.0.7"),
        disks=[],
    )


def image(tag: str, number: int) -> NodeImage:
    return NodeImage(
        id=digest(number),
        config_digest=digest(number),
        diff_ids=[digest(1000 + number)],
        tags=[tag],
        size_bytes=10**6,
    )


def applied(name: str = "web", number: int = 1, **fields: object) -> AppliedWorkload:
    return AppliedWorkload(
        name=name,
        release="app",
        workload=Workload(name=name, **{"image": "app:1", **fields}),  # type: ignore[arg-type]
        config_digest=digest(number),
        image=digest(number),
        state="running",
    )


def engine(model: str = "detector", *, key: str = "ab" * 32, current: bool = True) -> Engine:
    recipe = EngineRecipe(model=model, onnx="detector.onnx")
    return Engine(
        model=model,
        current=current,
        path=f"/var/lib/roost/engines/{model}/{key}/model.plan",
        manifest=EngineManifest(
            key=key,
            parts=EngineParts(
                recipe=recipe, flavour="tensorrt", tensorrt="10.13.2.6", gpu="NVIDIA A10"
            ),
            gpu_uuid="GPU-old-0",
            built_at=1.0,
            build_seconds=2.0,
            plan_bytes=3,
            plan_sha256="00",
            plan_version=[10],
            warnings=0,
            verification="ran",
            job="j",
        ),
    )


def snapshot(
    node_facts: NodeFacts | None = None,
    *,
    images: Sequence[NodeImage] = (),
    workloads: Sequence[AppliedWorkload] = (),
    engines: Sequence[Engine] = (),
    files: Sequence[RecordedFile] = (),
    secrets: Sequence[str] = (),
    configuration: dict[str, str] | None = None,
) -> NodeSnapshot:
    found = node_facts or facts(gpus=[gpu()])
    return NodeSnapshot(
        node=found.name,
        taken_at=1_777_900_000.0,
        facts=found,
        images=list(images),
        workloads=list(workloads),
        engines=list(engines),
        files=list(files),
        secrets=list(secrets),
        configuration=configuration or {},
    )
