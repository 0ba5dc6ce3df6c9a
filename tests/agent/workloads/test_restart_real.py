"""Restarts of workloads on a real Docker Engine, and what may not happen beside them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Mount
from tests.agent.workloads.test_apply_real import code_of, workload
from tests.agent.workloads.workload_side import SERVES, WorkloadSide, workload_side
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

# Runs once; each start after that ends at once.
ONCE = ["sh", "-c", f"[ -e /once ] && {{ echo not twice; exit 3; }}; touch /once; {SERVES[2]}"]
# Ignores being told to stop: a restart takes as long as its grace period.
STUBBORN = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]


async def restart(node: WorkloadSide, name: str = "web") -> str:
    """The id of the job that has begun."""
    return (await node.workloads.restart(name, owner="maria", key=None)).id


async def test_it_starts_again_and_what_it_wrote_is_there(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        await node.apply(workload(restart="unless-stopped"))
        before = node.inspect("web")
        job = await node.ended(node.jobs.get(await restart(node)))
        assert job.state == "succeeded", job
        assert job.result == {"web": "restarted"}
        after = node.inspect("web")
        assert after["Id"] == before["Id"]
        assert after["State"]["StartedAt"] != before["State"]["StartedAt"]
        assert after["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


async def test_one_that_does_not_stay_up_is_told_with_its_last_words(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        await node.apply(workload(command=ONCE))
        job = await node.ended(node.jobs.get(await restart(node)))
        assert code_of(job) == "workload.unwell"
        assert job.problem is not None
        assert "exit code 3" in job.problem.detail
        assert "not twice" in job.problem.detail
        assert "workload undo" in (job.problem.hint or "")
        assert node.names() == {"web": "exited"}


async def test_one_that_somebody_removed_is_told(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        await node.apply(workload())
        engine.docker("rm", "--force", "web")
        job = await node.ended(node.jobs.get(await restart(node)))
        assert code_of(job) == "container.not_found"


async def test_no_deployment_begins_beside_it_and_an_undo_ends_it(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """Docker has a container stopped for a moment while it restarts it: nobody may take it so."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        await node.apply(workload(environment={"V": "1"}))
        first = node.inspect("web")["Id"]
        await node.apply(
            workload(command=STUBBORN, environment={"V": "2"}, stop_grace_period=3.0, soak=20.0)
        )
        job = await restart(node)
        with pytest.raises(ProblemError) as refused:
            await node.apply(workload(environment={"V": "3"}))
        assert refused.value.code == "job.locked"
        undone = await node.undo("web")
        assert undone.state == "succeeded", undone
        assert node.jobs.get(job).state == "cancelled"
        assert node.inspect("web")["Id"] == first
        assert node.names() == {"web": "running"}


async def test_an_agent_that_ends_amid_it_does_it_again(
    engine: DockerEngine, tmp_path: Path
) -> None:
    share = Mount(kind="volume", source="counts", target="/counts")
    counts = ["sh", "-c", f"echo start >> /counts/file; {SERVES[2]}"]
    database = tmp_path / "agent.db"
    async with workload_side(engine, database) as node:
        await node.apply(workload(command=counts, mounts=[share], soak=2.0))
        job = await restart(node)
        while node.jobs.get(job).stage != "soaking":  # noqa: ASYNC110 - as good
            await asyncio.sleep(0.01)
    async with workload_side(engine, database) as node:
        ended = await node.ended(node.jobs.get(job))
        assert ended.state == "succeeded", ended
        assert node.names() == {"web": "running"}
        assert engine.docker("exec", "web", "cat", "/counts/file").split() == ["start"] * 3
    engine.clear()
    engine.docker("volume", "rm", "counts")
