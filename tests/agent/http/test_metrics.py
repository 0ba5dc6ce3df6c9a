"""`/metrics`: DCGM's names, units and labels."""

from __future__ import annotations

import msgspec

from agent.protocol.exposition import Exposition
from agent.protocol.gpus import GpuHealth, XidEvent
from tests.agent.doubles import GPU, FixedGpus
from tests.agent.http.conftest import Served

MIB = 2**20


async def page(served: Served) -> list[str]:
    async with served.client("viewer") as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text.splitlines()


async def test_gpu_figures_carry_dcgm_names_units_and_labels(served: Served) -> None:
    gpus = served.node.gpu
    assert isinstance(gpus, FixedGpus)
    gpus.sample = msgspec.structs.replace(
        gpus.sample,
        memory_total_bytes=16000 * MIB,
        memory_used_bytes=1000 * MIB,
        memory_reserved_bytes=300 * MIB,
        energy_joules=2168.296,
        power_watts=61.5,
    )
    labels = (
        '{gpu="0",UUID="GPU-aaa",pci_bus_id="",device="nvidia0",modelName="Tesla T4",'
        'Hostname="t4",DCGM_FI_DRIVER_VERSION="535.183.01"}'
    )
    lines: list[str] = []
    while f"DCGM_FI_DEV_FB_USED{labels} 1000" not in lines:  # a sample may be under way
        await served.node.sampler.tick()
        lines = await page(served)
    assert f"DCGM_FI_DEV_FB_FREE{labels} 14700" in lines
    assert f"DCGM_FI_DEV_FB_RESERVED{labels} 300" in lines
    assert f"DCGM_FI_DEV_POWER_USAGE{labels} 61.5" in lines
    assert "# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter" in lines
    assert f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{labels} 2168296" in lines


async def test_what_is_unknown_is_left_out(served: Served) -> None:
    lines = await page(served)
    assert not [line for line in lines if "DCGM_FI_DEV_POWER_USAGE" in line]
    assert not [line for line in lines if "DCGM_FI_PROF" in line]


async def test_xids_health_and_findings(served: Served) -> None:
    served.node.sampler.xids = [XidEvent(code=79, at=1.0, gpu_uuid=GPU.uuid, text='fell "off"')]
    served.node.sampler.health = (GpuHealth(uuid=GPU.uuid, remap_failed=True),)
    text = "\n".join(await page(served))
    assert 'err_code="79",err_msg="fell \\"off\\""} 79' in text
    assert "DCGM_FI_DEV_ROW_REMAP_FAILURE{" in text
    assert 'roost_findings{code="gpu.persistence_off",severity="warning"} 1' in text
    assert 'roost_container_running{container="detector",image="detector:1"} 1' in text
    assert "roost_disk_free_bytes" in text


def test_labels_are_escaped() -> None:
    page = Exposition()
    page.add("m", "gauge", "Help.", 1.5, {"a": 'back\\slash "quote"\nline'})
    assert page.render() == (
        '# HELP m Help.\n# TYPE m gauge\nm{a="back\\\\slash \\"quote\\"\\nline"} 1.5\n'
    )
