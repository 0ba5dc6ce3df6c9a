"""`roost key`, to an agent on this machine and through a real sshd."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.fleet.inventory import NodeEntry
from tests.agent_process import AgentProcess
from tests.archives_made import Made, docker_archive, layer
from tests.console.cli.commands import Done, roost, roost_beside, write_fleet
from tests.console.serving import ServedAgent
from tests.real.fixtures import SshServerFactory
from tests.real.ssh_server import MEMBER

LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBWBpDQmvvC1aFxEoJvuQwKGUeZ2Q1lR7c5rMHQwxgAZ maria"


@pytest.fixture
def agent(short_folder: Path) -> Iterator[AgentProcess]:
    """A real agent without a runtime."""
    with AgentProcess(short_folder, {"trusted_keys": str(short_folder / "keys")}) as agent:
        yield agent


def fleet_of(tmp_path: Path, address: str) -> Path:
    return write_fleet(tmp_path / "fleet.yaml", [NodeEntry(name="cam", address=address)])


@pytest.mark.timeout(60)  # starts six programs
def test_over_the_socket_beside(agent: AgentProcess, tmp_path: Path) -> None:
    fleet = fleet_of(tmp_path, f"unix://{agent.sockets['operator']}")

    def key(*arguments: str) -> Done:
        return roost(tmp_path, "--fleet", fleet, "key", *arguments)

    made = key("make", "--json").json
    file = tmp_path / "config" / "roost" / "signing.key"
    assert (made["file"], file.stat().st_mode & 0o777) == (str(file), 0o600)
    trusted = key("trust", "cam", made["public_file"], "--json")
    assert trusted.json["fingerprint"] == made["fingerprint"], trusted
    assert key("trust", "@cam", LINE).code == 0
    listed = key("ls", "cam")
    assert "maria" in listed.out
    assert made["fingerprint"] in listed.out
    assert key("revoke", "cam", made["fingerprint"]).code == 0
    states = {each["name"]: each["state"] for each in key("ls", "cam", "--json").json}
    assert states == {"maria": "trusted", made["name"]: "revoked"}
    unknown = key("revoke", "cam", "sha256:1234567890")
    assert (unknown.code, "hint: " in unknown.err) == (1, True)
    wrong = key("trust", "cam", str(file))
    assert wrong.code == 1
    assert "private key" in wrong.err
    assert (
        file.read_text().split("\n")[1] not in wrong.err + (agent.folder / "agent.log").read_text()
    )


async def test_over_https_the_token_must_be_an_admins(served: ServedAgent, tmp_path: Path) -> None:
    entry = NodeEntry(
        name="cam",
        address=f"https://127.0.0.1:{served.port}",
        fingerprint=served.fingerprint,
        token_file="token",
    )
    fleet = write_fleet(tmp_path / "fleet.yaml", [entry])
    outcomes = []
    for role in ("operator", "admin"):
        (tmp_path / "token").write_text(served.node.tokens.make(role, role))
        (tmp_path / "token").chmod(0o600)
        done = await roost_beside(tmp_path, "--fleet", fleet, "key", "trust", "cam", LINE)
        outcomes.append((done.code, "needs role admin" in done.err))
    assert outcomes == [(1, True), (0, False)]
    assert [key.name for key in served.node.keys.all_keys()] == ["maria"]


def test_signing_names_images_not_bytes(tmp_path: Path) -> None:
    assert roost(tmp_path, "key", "make", "--name", "maria").code == 0
    archive = tmp_path / "app.tar"
    archive.write_bytes(docker_archive([Made([layer("app")], tags=["app:1"])]))
    signed = roost(tmp_path, "key", "sign", archive, "--json")
    assert signed.code == 0, signed
    assert signed.json["file"] == f"{archive}.sig"
    assert signed.json["images"] == ["app:1"]
    missing = roost(tmp_path, "key", "sign", archive, "--key", tmp_path / "none")
    assert (missing.code, "roost key make" in missing.err) == (1, True)


@pytest.mark.parametrize("verb", ["trust", "revoke"])
def test_nothing_is_changed_when_asked_to_change_nothing(tmp_path: Path, verb: str) -> None:
    done = roost(tmp_path, "--read-only", "key", verb, "cam", LINE)
    assert (done.code, "change nothing" in done.err) == (2, True)


@pytest.mark.real
@pytest.mark.timeout(120)
async def test_over_ssh_as_root(
    agent: AgentProcess, ssh_server_factory: SshServerFactory, tmp_path: Path, short_folder: Path
) -> None:
    """The admin's socket is root's alone; sudo is not needed by root."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    server = await asyncio.to_thread(ssh_server_factory, {"SetEnv": f"PATH={path}"})
    fleet = fleet_of(tmp_path, f"ssh://node{agent.sockets['operator']}")

    def key(config: Path, *arguments: str) -> Done:
        env = {"ROOST_SSH": f"ssh -F {config}", "XDG_RUNTIME_DIR": str(short_folder)}
        return roost(tmp_path, "--fleet", fleet, "key", *arguments, env=env)

    trusted = await asyncio.to_thread(key, server.config, "trust", "cam", LINE)
    assert trusted.code == 0, trusted
    (listed,) = agent.get("/v1/keys")
    assert (listed["name"], listed["state"]) == ("maria", "trusted")
    (record,) = agent.get("/v1/audit")
    assert (record["action"], record["role"], record["origin"]) == (
        "key.trust",
        "admin",
        "unix:admin.sock",
    )
    # Whoever is not root needs sudo, which asks nobody; here it knows nothing of them.
    member = server.client_config(account=MEMBER)
    refused = await asyncio.to_thread(key, member, "revoke", "cam", LINE)
    assert refused.code == 3, refused
    assert "sudo" in refused.err
    assert len(agent.get("/v1/audit")) == 1
