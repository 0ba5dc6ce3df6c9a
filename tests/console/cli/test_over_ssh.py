"""The commands through a real sshd, to a real agent over a real Docker Engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from console.fleet.fleet_file import load_inventory
from tests.agent_process import AgentProcess
from tests.console.cli.commands import Done, roost
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.ssh_server import MEMBER, OUTSIDER, ROOST_GROUP, SshServer

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

Command = Callable[..., Done]


@pytest.fixture
def agent(docker_engine: DockerEngine, short_folder: Path) -> Iterator[AgentProcess]:
    """Its operator's socket is for group roost, as an installed agent's is."""
    with AgentProcess(short_folder, {"runtime": docker_engine.url}) as agent:
        short_folder.chmod(0o755)
        os.chown(agent.sockets["operator"], -1, ROOST_GROUP)
        agent.sockets["operator"].chmod(0o660)
        yield agent
    docker_engine.clear()


@pytest.fixture
def command(tmp_path: Path, short_folder: Path) -> Command:
    """Runs `roost` with that configuration of ssh."""

    def run(config: Path, *arguments: str, given: str = "") -> Done:
        env = {"ROOST_SSH": f"ssh -F {config}", "XDG_RUNTIME_DIR": str(short_folder)}
        return roost(tmp_path, *arguments, given=given, env=env)

    return run


def test_a_node_is_added_looked_at_worked_on_and_removed(
    agent: AgentProcess,
    docker_engine: DockerEngine,
    ssh_server: SshServer,
    command: Command,
    tmp_path: Path,
    short_folder: Path,
) -> None:
    config = ssh_server.client_config(account=MEMBER)
    address = f"ssh://node{agent.sockets['operator']}"
    script = "echo up; exec sleep 1000"
    docker_engine.docker("run", "-d", "--init", "--name", "box", IMAGE, "sh", "-c", script)

    added = command(config, "node", "add", address, "--name", "cam", "--label", "site=x")
    assert (added.code, added.out) == (0, ""), added.err
    assert f"found under-test at {address}, role operator" in added.err
    (listed,) = command(config, "node", "ls", "site=x", "--json").json
    assert (listed["node"], listed["state"], listed["problem"]) == ("cam", "live", None)
    assert "box" in command(config, "container", "ls").out

    assert command(config, "container", "logs", "cam", "box").out == "up\n"
    execute = ("container", "exec", "-i", "cam", "box", "--", "sh", "-c", "cat; exit 5")
    assert command(config, *execute, given="in and out\n") == (5, "in and out\n", "")
    stopped = command(config, "container", "stop", "--timeout", "1", "cam", "box")
    assert (stopped.code, stopped.err) == (0, "")
    assert "cam  box  exited" in stopped.out

    assert command(config, "node", "rm", "cam").code == 0
    assert load_inventory(tmp_path / "config" / "roost" / "fleet.yaml").nodes == []
    assert list((short_folder / "roost").iterdir()) == []  # no socket of a tunnel is left


def test_who_may_not_in_is_told_what_to_do_and_nothing_is_added(
    agent: AgentProcess, ssh_server: SshServer, command: Command, tmp_path: Path
) -> None:
    address = f"ssh://node{agent.sockets['operator']}"
    outside = command(ssh_server.client_config(account=OUTSIDER), "node", "add", address)
    assert (outside.code, outside.out) == (3, "")
    assert "-t node 'sudo usermod -aG roost" in outside.err
    unknown = ssh_server.client_config(account=MEMBER, known="nothing")
    new_host = command(unknown, "node", "add", address)
    assert new_host.code == 3
    assert "known_hosts has no key" in new_host.err
    assert f"say yes, once: ssh -F {unknown} node true" in new_host.err
    stranger = ssh_server.client_config(account=MEMBER, identity="stranger")
    refused = command(stranger, "node", "add", address)
    assert refused.code == 3
    assert "hint: " in refused.err
    assert not (tmp_path / "config").exists()
