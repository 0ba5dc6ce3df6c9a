"""The real agent as a process: sockets, roles, signals, restarts, bad settings."""

from __future__ import annotations

import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.agent_process import BIN, AgentProcess
from tests.real.docker_engine import DockerEngine

pytestmark = pytest.mark.timeout(60)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "roost-agent", *arguments], capture_output=True, text=True, check=False
    )


def test_sockets_have_their_roles_and_modes(short_folder: Path) -> None:
    with AgentProcess(short_folder) as agent:
        roles = {role: agent.get("/v1/node", role)["agent"]["role"] for role in agent.sockets}
        assert roles == {"operator": "operator", "admin": "admin", "viewer": "viewer"}
        modes = {role: stat.S_IMODE(path.stat().st_mode) for role, path in agent.sockets.items()}
        assert modes == {"operator": 0o660, "admin": 0o600, "viewer": 0o660}
        assert agent.stop() == 0
    assert [path for path in agent.sockets.values() if path.exists()] == []


def test_a_killed_agent_leaves_sockets_that_the_next_one_replaces(short_folder: Path) -> None:
    agent = AgentProcess(short_folder)
    with agent:
        first = agent.get("/v1/node")["agent"]["boot"]
        agent.close()
        assert agent.sockets["operator"].is_socket()
    with agent:
        assert agent.get("/v1/node")["agent"]["boot"] != first


def test_a_second_agent_does_not_take_the_socket_away(short_folder: Path) -> None:
    with AgentProcess(short_folder) as agent:
        second = run("serve", "--config", agent.config)
        assert second.returncode == 1
        assert "another agent listens there" in second.stderr
        assert "hint:" in second.stderr
        assert agent.get("/healthz")["status"] == "ok"


def test_the_audit_log_outlives_a_kill(short_folder: Path) -> None:
    agent = AgentProcess(short_folder)
    with agent:
        with agent.client() as client:
            client.post("/v1/containers/nothing/stop", headers={"Roost-Owner": "maria"})
        agent.close()
    with agent:
        (record,) = agent.get("/v1/audit")
    assert (record["owner"], record["outcome"]) == ("maria", "runtime.unreachable")


def test_tokens_made_by_command_work_over_tls_at_once(short_folder: Path) -> None:
    with AgentProcess(short_folder, {"https": {"address": "127.0.0.1:0"}}) as agent:
        port = int(agent.log().partition("https on port ")[2].partition(",")[0])
        token = run("token", "make", "maria", "--role", "viewer", "--config", agent.config)
        url = f"https://127.0.0.1:{port}/v1/node"
        headers = {"Authorization": f"Bearer {token.stdout.strip()}"}
        answer = httpx.get(url, headers=headers, verify=False)  # noqa: S501
        assert answer.json()["agent"]["role"] == "viewer"
        assert run("token", "revoke", "maria", "--config", agent.config).returncode == 0
        assert httpx.get(url, headers=headers, verify=False).status_code == 401  # noqa: S501


def test_a_fingerprint_stays_across_restarts(short_folder: Path) -> None:
    agent = AgentProcess(short_folder, {"https": {"address": "127.0.0.1:0"}})
    with agent:
        assert agent.stop() == 0
    with agent:
        pass
    seen = [line.partition("sha256:")[2] for line in agent.log().splitlines() if "sha256" in line]
    assert len(seen) == 2
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("operator_sockt: /tmp/x\n", "line 1: unknown key 'operator_sockt'"),
        ("name: [\n", "not valid YAML"),
        ("state: /tmp\nhttps: {address: 5}\n", "line 2"),
    ],
)
def test_bad_settings_are_told_and_nothing_starts(short_folder: Path, text: str, said: str) -> None:
    config = short_folder / "agent.yaml"
    config.write_text(text, encoding="utf-8")
    done = run("serve", "--config", config)
    assert done.returncode == 1
    assert said in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_socket_path_that_is_too_long_is_told(short_folder: Path) -> None:
    agent = AgentProcess(short_folder, {"operator_socket": str(short_folder / ("x" * 120))})
    done = run("serve", "--config", agent.config)
    assert done.returncode == 1
    assert "at most 107 bytes" in done.stderr


def test_dial_stdio_speaks_http_to_the_agent(short_folder: Path) -> None:
    with AgentProcess(short_folder) as agent:
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        command: list[str | Path] = [BIN / "roost-agent", "dial-stdio", "--config", agent.config]
        done = subprocess.run(command, input=request, capture_output=True, check=True)
        assert done.stdout.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b'"status":"ok"' in done.stdout


def test_dial_stdio_without_an_agent_says_so(short_folder: Path) -> None:
    agent = AgentProcess(short_folder)
    done = run("dial-stdio", "--config", agent.config)
    assert done.returncode == 1
    assert "no agent" in done.stderr.lower()


def test_check_prints_what_is_there(short_folder: Path) -> None:
    agent = AgentProcess(short_folder)
    done = run("check", "--config", agent.config)
    assert done.returncode == 1  # no runtime answers: an error
    assert done.stdout.startswith("host ")
    assert "mend:" in done.stdout
    assert done.stderr == ""


@pytest.mark.real
def test_gpus_and_containers_in_one_stream(short_folder: Path, docker_engine: DockerEngine) -> None:
    image = docker_engine.load_busybox()
    settings = {"runtime": docker_engine.url}
    with AgentProcess(short_folder, settings, gpus=2) as agent:
        assert len(agent.get("/v1/gpus")["gpus"]) == 2
        container = docker_engine.docker("run", "-d", "--name", "seen", image, "sleep", "600")
        try:
            deadline = time.monotonic() + 20
            figures: list[dict[str, Any]] = []
            while not figures and time.monotonic() < deadline:
                figures = agent.get("/v1/telemetry")["containers"]
                time.sleep(0.2)
            assert figures[0]["id"] == container
            assert figures[0]["memory_used_bytes"] > 0
            with agent.client() as client:
                answer = client.post("/v1/containers/seen/stop?timeout_seconds=0")
            assert answer.json()["container"]["state"] == "exited"
        finally:
            docker_engine.docker("rm", "-f", "seen")


@pytest.mark.real
def test_a_runtime_that_comes_back_is_found_again(
    short_folder: Path, docker_engine: DockerEngine
) -> None:
    docker_engine.load_busybox()
    with AgentProcess(short_folder, {"runtime": docker_engine.url}) as agent:
        assert agent.get("/v1/node")["runtime"]["state"] == "ok"
        docker_engine.kill()
        try:
            wait_for_state(agent, "unreachable")
        finally:
            docker_engine.start()
        wait_for_state(agent, "ok")


def wait_for_state(agent: AgentProcess, state: str) -> None:
    deadline = time.monotonic() + 45
    while agent.get("/v1/node")["runtime"]["state"] != state:
        assert time.monotonic() < deadline, agent.get("/v1/node")["runtime"]
        time.sleep(0.2)
