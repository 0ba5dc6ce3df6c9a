"""images/gateway: built for real, of Debian's own packages, and run by the agent as its proxy."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.agent.traffic.weighted import loaded, serving, steered, weighs
from tests.agent.workloads.workload_side import workload_side
from tests.images.detector_side import BASE, IMAGES, load_base
from tests.real import roots
from tests.real.docker_engine import DockerEngine
from tests.real.fixtures import DockerEngineFactory

pytestmark = [
    pytest.mark.real,
    pytest.mark.real("gateway"),
    pytest.mark.runtimes,
    pytest.mark.timeout(300),
]

GATEWAY = "roost/gateway:1"
WITH_SOURCE = "roost-test/debian-with-a-source:1"


def build_gateway(engine: DockerEngine, folder: Path) -> None:
    """Over a Debian whose apt source is a folder: there is no network."""
    load_base(engine)
    context = folder / "source"
    shutil.copytree(roots.folder("gateway-debs"), context / "debs")
    (context / "Dockerfile").write_text(
        f"FROM {BASE}\nCOPY debs /debs\n"
        'RUN echo "deb [trusted=yes] file:/debs ./" >/etc/apt/sources.list\n'
    )
    engine.docker("build", "--network=none", "--tag", WITH_SOURCE, str(context), seconds=120)
    words = ("--network=none", "--build-arg", f"BASE={WITH_SOURCE}", "--tag", GATEWAY)
    engine.docker("build", *words, str(IMAGES / "gateway"), seconds=120)


async def test_what_it_builds_shares_requests(
    docker_engine_factory: DockerEngineFactory, tmp_path: Path
) -> None:
    engine = docker_engine_factory()
    await asyncio.to_thread(build_gateway, engine, tmp_path)
    (about,) = json.loads(engine.docker("inspect", GATEWAY))
    assert about["Config"]["StopSignal"] == "SIGUSR1"
    assert "roost traffic gateway" in about["Config"]["Labels"].values()
    async with workload_side(engine, tmp_path / "a.db", gateway=GATEWAY) as node:
        applied = await node.apply(serving("one"))
        assert applied.state == "succeeded", applied.problem
        made = engine.docker("inspect", "--format", "{{.Image}}", "roost-traffic-web")
        assert made == about["Id"]
        async with loaded(engine, 50) as load:
            deployment = await steered(node, "two")
            await weighs(node, deployment, 50)
            await node.workloads.deployments.confirm(deployment)
            await node.reaches("done", "reverted", "stuck")
            await asyncio.sleep(0.5)
            told = await load.end()
        assert told.failed == []
        assert set(told.answers["start"]) == {"one", "two"}
        assert (await node.traffic.wrong("web")) == []
