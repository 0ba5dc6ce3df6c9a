"""The ssh link through a real sshd, and what goes wrong there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.fleet.back_off import REFUSALS
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.link.client import NodeClient
from tests.console.serving import ServedAgent, tcp_server
from tests.real.fixtures import SshServerFactory
from tests.real.ssh_server import (
    MEMBER,
    OUTSIDER,
    ROOST_GROUP,
    SHELL_LESS,
    Account,
    SshServer,
)

pytestmark = pytest.mark.real

Reach = Callable[..., NodeClient]


@pytest.fixture
async def reach(served: ServedAgent, short_folder: Path) -> AsyncIterator[Reach]:
    """Makes clients for the served agent through an sshd."""
    made: list[NodeClient] = []

    def prepare() -> None:
        short_folder.chmod(0o755)
        os.chown(served.socket, -1, ROOST_GROUP)
        served.socket.chmod(0o660)

    def make(config: Path, socket: Path | None = None) -> NodeClient:
        environment = {"XDG_RUNTIME_DIR": str(short_folder), "ROOST_SSH": f"ssh -F {config}"}
        entry = NodeEntry(name="t4", address=f"ssh://node{socket or served.socket}")
        made.append(Links(environment, owner="maria").client(entry))
        return made[-1]

    await asyncio.to_thread(prepare)
    yield make
    for client in made:
        await client.close()


async def problem_of(client: NodeClient) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        await client.node()
    await client.close()
    assert caught.value.hint, caught.value.detail
    return caught.value


async def left_in(folder: Path) -> list[str]:
    """What is left in the private folder, and of ssh."""
    names = await asyncio.to_thread(lambda: sorted(p.name for p in (folder / "roost").iterdir()))
    return names + await children()


async def children() -> list[str]:
    """The ssh processes that this process has started and that run."""
    command = ["ps", "-ww", "-o", "stat=,args=", "--ppid", str(os.getpid())]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if " ssh -F" in line and line[0] != "Z"]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for it; the test's own time-out is the limit."""
    while not await condition():  # noqa: ASYNC110 - another process changes it
        await asyncio.sleep(0.05)


async def test_requests_streams_and_the_end(
    ssh_server: SshServer, reach: Reach, served: ServedAgent, short_folder: Path
) -> None:
    client = reach(ssh_server.client_config(account=MEMBER))
    assert (await client.node()).name == "t4"
    stream = await client.events()
    assert (await stream.read())[0].name == "snapshot"
    (command,) = await children()
    for option in (
        "ControlPath=none",
        "BatchMode=yes",
        "ExitOnForwardFailure=yes",
        "echo ready; cat",
    ):
        assert option in command
    stream.close()
    await client.close()
    assert await left_in(short_folder) == []


async def test_a_tunnel_that_was_cut_is_built_anew(ssh_server: SshServer, reach: Reach) -> None:
    client = reach(ssh_server.client_config(account=MEMBER))
    await client.node()
    stream = await client.events()
    await stream.read()
    assert await asyncio.to_thread(ssh_server.drop_connections)

    async def read_on() -> None:
        while True:
            await stream.read()

    with pytest.raises(ProblemError) as caught:
        await read_on()
    assert caught.value.code == "link.unreachable"
    stream.close()

    async def reached() -> bool:
        with contextlib.suppress(ProblemError):
            return (await client.node()).name == "t4"
        return False

    await until(reached)
    await client.close()


async def test_an_account_without_a_shell(ssh_server: SshServer, reach: Reach) -> None:
    client = reach(ssh_server.client_config(account=SHELL_LESS))
    assert (await client.node()).name == "t4"
    (command,) = await children()
    assert " -N " in command
    await client.close()
    assert await children() == []


async def test_a_session_with_a_command_of_its_own(
    ssh_server_factory: SshServerFactory, reach: Reach
) -> None:
    server = await asyncio.to_thread(ssh_server_factory, {"ForceCommand": "sleep 1000"})
    client = reach(server.client_config(account=MEMBER))
    assert (await client.node()).name == "t4"
    await client.close()


async def test_where_forwarding_is_refused_it_dials(
    ssh_server_factory: SshServerFactory, reach: Reach
) -> None:
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    server = await asyncio.to_thread(
        ssh_server_factory, {"AllowStreamLocalForwarding": "no", "SetEnv": f"PATH={path}"}
    )
    client = reach(server.config)
    assert (await client.node()).name == "t4"
    stream = await client.events()
    assert (await stream.read())[0].name == "snapshot"
    assert all("dial-stdio" in command for command in await children())
    stream.close()
    await client.close()
    assert await children() == []


@pytest.mark.parametrize("tools", ["/usr/bin:/bin", "python3", "perl", ""])
async def test_where_neither_works(
    tools: str, ssh_server_factory: SshServerFactory, reach: Reach, short_folder: Path
) -> None:
    path = await asyncio.to_thread(path_with, short_folder / "bin", tools)
    server = await asyncio.to_thread(
        ssh_server_factory, {"AllowStreamLocalForwarding": "no", "SetEnv": f"PATH={path}"}
    )
    problem = await problem_of(reach(server.config))
    assert problem.code == "ssh.forwarding"
    assert "answers on node" in problem.detail
    assert "not found" in problem.detail


async def test_many_nodes_at_once_through_one_sshd(
    ssh_server_factory: SshServerFactory, served: ServedAgent, reach: Reach, short_folder: Path
) -> None:
    """An sshd that drops whatever is over 9 connections not logged in yet drops none of ours."""
    server = await asyncio.to_thread(ssh_server_factory, {"MaxStartups": "9:100:9"})
    config = server.client_config(account=MEMBER)
    links = Links(
        {"XDG_RUNTIME_DIR": str(short_folder), "ROOST_SSH": f"ssh -F {config}"}, owner="maria"
    )
    # Each login behind the jump host is two: one for the jump, one for the node.
    hosts = ["node"] * 6 + ["behind"] * 10
    clients = [
        links.client(NodeEntry(name=f"n{number}", address=f"ssh://{host}{served.socket}"))
        for number, host in enumerate(hosts)
    ]
    found = await asyncio.gather(*(client.node() for client in clients))
    await asyncio.gather(*(client.close() for client in clients))
    assert [facts.name for facts in found] == ["t4"] * len(hosts)
    assert "drop connection" not in server.log()


async def test_a_key_with_a_passphrase(ssh_server: SshServer, reach: Reach) -> None:
    problem = await problem_of(reach(ssh_server.client_config(identity="passphrase")))
    assert problem.code == "ssh.passphrase"
    assert f"ssh-add {ssh_server.folder / 'passphrase'}" in (problem.hint or "")


async def test_a_host_key_that_is_not_known(ssh_server: SshServer, reach: Reach) -> None:
    problem = await problem_of(reach(ssh_server.client_config(known="nothing")))
    assert problem.code == "ssh.host_key_unknown"


async def test_a_host_key_that_has_changed(ssh_server: SshServer, reach: Reach) -> None:
    problem = await problem_of(reach(ssh_server.client_config(known="wrong")))
    assert problem.code == "ssh.host_key_changed"
    # The node is an alias for [127.0.0.1]:port: what is told removes that.
    hint = problem.hint or ""
    command = hint[hint.index("ssh-keygen") : hint.index(", then ")]
    await asyncio.to_thread(subprocess.run, shlex.split(command), check=True, capture_output=True)
    assert await asyncio.to_thread((ssh_server.folder / "known-wrong").read_text) == ""


async def test_a_user_who_may_not_log_in(ssh_server: SshServer, reach: Reach) -> None:
    problem = await problem_of(reach(ssh_server.client_config(identity="stranger")))
    assert problem.code == "ssh.denied"


async def test_a_user_outside_the_group(ssh_server: SshServer, reach: Reach) -> None:
    problem = await problem_of(reach(ssh_server.client_config(account=OUTSIDER)))
    assert problem.code == "ssh.group"
    assert "usermod -aG roost" in (problem.hint or "")


async def test_a_host_without_an_agent(ssh_server: SshServer, reach: Reach) -> None:
    problem = await problem_of(reach(ssh_server.config, Path("/run/roost/none.sock")))
    assert problem.code == "ssh.no_agent"


@pytest.fixture
async def dead(short_folder: Path) -> Path:
    """The socket file of an agent that was killed."""
    path = short_folder / "dead.sock"
    command = [sys.executable, "-c", f"import socket; socket.socket(1).bind({str(path)!r})"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    return path


@pytest.mark.parametrize("tools", ["/usr/bin:/bin", "python3", "perl", "roost-agent"])
async def test_an_agent_that_has_died(
    tools: str,
    ssh_server_factory: SshServerFactory,
    reach: Reach,
    dead: Path,
    short_folder: Path,
) -> None:
    """Its socket file is still there, and sshd says no more than of forwarding refused."""
    path = await asyncio.to_thread(path_with, short_folder / "bin", tools)
    server = await asyncio.to_thread(ssh_server_factory, {"SetEnv": f"PATH={path}"})
    problem = await problem_of(reach(server.config, dead))
    assert problem.code == "ssh.no_agent"
    assert problem.code not in REFUSALS
    assert problem.detail.startswith(
        "t4: no agent answers" if tools == "roost-agent" else f"t4: nobody listens on {dead}"
    )
    assert "AllowStreamLocalForwarding" not in (problem.hint or "")


def path_with(folder: Path, tools: str) -> str:
    """A PATH with a shell, cat, grep and `tools`, if that is the name of a program."""
    if ":" in tools:
        return tools
    folder.mkdir(mode=0o755)
    places = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    for name in ("sh", "cat", "grep", *tools.split()):
        program = shutil.which(name, path=places)
        assert program, name
        if name == "python3":  # the venv's finds itself by its place
            program = str(Path(program).resolve())
        (folder / name).symlink_to(program)
    return str(folder)


async def test_an_agent_that_has_died_where_nothing_can_tell(
    ssh_server_factory: SshServerFactory, reach: Reach, dead: Path, short_folder: Path
) -> None:
    path = await asyncio.to_thread(path_with, short_folder / "bin", "")
    server = await asyncio.to_thread(ssh_server_factory, {"SetEnv": f"PATH={path}"})
    problem = await problem_of(reach(server.config, dead))
    assert problem.code == "ssh.no_agent"
    assert f"{dead} on node does not answer" in problem.detail


async def test_an_account_without_a_shell_and_an_agent_that_has_died(
    ssh_server: SshServer, reach: Reach, dead: Path
) -> None:
    await asyncio.to_thread(os.chown, dead, -1, ROOST_GROUP)
    await asyncio.to_thread(dead.chmod, 0o660)
    problem = await problem_of(reach(ssh_server.client_config(account=SHELL_LESS), dead))
    assert problem.code == "ssh.no_agent"
    assert "Start the agent there" in (problem.hint or "")


async def test_an_agent_that_comes_while_we_look(
    ssh_server: SshServer, served: ServedAgent, dead: Path, short_folder: Path
) -> None:
    """Forwarding is not taken for refused because the first try was a moment early."""
    script = short_folder / "ssh"
    script.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *"echo asked"*) mv {served.socket} {dead};; esac\n'
        f'exec ssh -F {ssh_server.config} "$@"\n'
    )
    script.chmod(0o755)
    environment = {"XDG_RUNTIME_DIR": str(short_folder), "ROOST_SSH": str(script)}
    entry = NodeEntry(name="t4", address=f"ssh://node{dead}")
    client = Links(environment, owner="maria").client(entry)
    try:
        assert (await client.node()).name == "t4"
        assert not [line for line in await children() if "dial-stdio" in line]
    finally:
        await client.close()


async def test_nobody_answers_in_time(short_folder: Path) -> None:
    async def sit(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    environment = {"XDG_RUNTIME_DIR": str(short_folder), "ROOST_SSH": "ssh -F none"}
    async with tcp_server(sit) as port:
        entry = NodeEntry(name="t4", address=f"ssh://127.0.0.1:{port}")
        problem = await problem_of(Links(environment, owner="maria", timeout=0.5).client(entry))
    assert problem.code == "link.unreachable"
    assert "0.5 s" in problem.detail
    assert await children() == []


async def test_no_ssh_here() -> None:
    links = Links({"ROOST_SSH": "/nowhere/ssh"}, owner="maria")
    problem = await problem_of(links.client(NodeEntry(name="t4", address="ssh://node")))
    assert problem.code == "ssh.missing"


@pytest.mark.parametrize("account", [MEMBER, SHELL_LESS])
async def test_ssh_dies_with_the_console(
    account: Account, ssh_server: SshServer, served: ServedAgent, reach: Reach, short_folder: Path
) -> None:
    """Even if the console is killed without a chance to clean up."""
    config = ssh_server.client_config(account=account)
    code = (
        "import asyncio, os\n"
        "from console.fleet.inventory import NodeEntry\n"
        "from console.fleet.links import Links\n"
        "async def main():\n"
        "    client = Links(os.environ, owner='x').client(\n"
        f"        NodeEntry(name='t4', address='ssh://node{served.socket}'))\n"
        "    await client.node()\n"
        "    print('up', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    environment = os.environ | {
        "XDG_RUNTIME_DIR": str(short_folder),
        "ROOST_SSH": f"ssh -F {config}",
    }
    console = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert console.stdout is not None
    assert await console.stdout.readline() == b"up\n"
    listing = ["ps", "-o", "pid=", "--ppid", str(console.pid)]
    found = await asyncio.to_thread(subprocess.run, listing, capture_output=True, text=True)
    pids = [int(line) for line in found.stdout.split()]
    assert pids
    console.kill()
    await console.wait()

    async def gone() -> bool:
        # The dead that nobody has asked after yet have no command line.
        lines = [await asyncio.to_thread(Path(f"/proc/{pid}/cmdline").exists) for pid in pids]
        return not any(lines)

    await until(gone)
    # The socket that it left behind goes when the next console starts a tunnel.
    client = reach(ssh_server.client_config(account=MEMBER))
    await client.node()
    await client.close()
    assert await left_in(short_folder) == []
