"""Upgrades beside containers that run, and jobs that are under way, on a real Docker Engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.upgrades.versions import Versions
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

SERVES = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
SHOWN = "{{.Id}} {{.State.StartedAt}} {{.State.Pid}} {{.RestartCount}}"


def seen(engine: DockerEngine, *names: str) -> list[str]:
    return [engine.docker("inspect", "--format", SHOWN, name) for name in names]


def test_containers_notice_nothing_and_a_job_goes_on_under_the_new_agent(
    docker_engine: DockerEngine, short_folder: Path
) -> None:
    engine = docker_engine
    engine.docker("run", "-d", "--name", "by-hand", IMAGE, *SERVES)
    versions = Versions(short_folder, runtime=engine.url)
    try:
        versions.agent.start()
        web = {"name": "web", "image": IMAGE, "command": SERVES, "soak": 600.0}
        applied = versions.ask("POST", "/v1/workloads", {"release": "app@1", "workloads": [web]})
        assert applied.status_code == 202, applied.text

        def soaks() -> bool | None:
            state = versions.agent.get("/v1/workloads/web").get("deployment_state")
            return True if state == "canary" else None

        versions.until(soaks)
        before = seen(engine, "by-hand", "web")
        versions.add("b-2")
        job = versions.begin("b-2", wait_seconds=0)
        versions.tried("b-2")
        versions.ask("POST", "/v1/agent/upgrade/confirm", {"id": "b-2"})
        assert versions.ended(job)["state"] == "succeeded"
        assert seen(engine, "by-hand", "web") == before

        def goes_on() -> bool | None:
            carried = versions.ask("GET", f"/v1/jobs/{applied.json()['id']}").json()
            assert carried["state"] in ("running", "queued"), carried
            return True if carried["state"] == "running" and soaks() else None

        versions.until(goes_on)
        assert seen(engine, "by-hand", "web") == before
    finally:
        versions.close()
        engine.docker("rm", "--force", "by-hand", "web")
