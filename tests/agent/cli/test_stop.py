"""The real agent is told to stop, or is killed, while others hold on to it."""

from __future__ import annotations

import contextlib
import resource
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_process import AgentProcess

pytestmark = pytest.mark.timeout(60)
FOLLOWERS = 30
FOLLOW = b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n"


@contextlib.contextmanager
def followers(agent: AgentProcess) -> Iterator[list[socket.socket]]:
    """Some that have the first bytes of their stream, and read no more."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(FOLLOWERS):
            one = stack.enter_context(socket.socket(socket.AF_UNIX))
            one.settimeout(20)
            one.connect(str(agent.sockets["viewer"]))
            one.sendall(FOLLOW)
            assert one.recv(15) == b"HTTP/1.1 200 OK"
            made.append(one)
        yield made


def read_to_end(one: socket.socket) -> bytes:
    return b"".join(iter(lambda: one.recv(65536), b""))


def test_followers_do_not_hold_up_a_stop(short_folder: Path) -> None:
    with AgentProcess(short_folder) as agent, followers(agent) as open_streams:
        assert agent.stop() == 0
        assert all(read_to_end(one).endswith(b"\r\n0\r\n\r\n") for one in open_streams)
        assert "Traceback" not in agent.log()
        assert "Cancel" not in agent.log()
    assert not list((short_folder / "state").glob("agent.db-*"))  # closed, nothing left in a WAL


def test_an_agent_killed_with_followers_starts_again(short_folder: Path) -> None:
    agent = AgentProcess(short_folder)
    with agent, followers(agent):
        with agent.client() as client:
            client.post("/v1/containers/nothing/stop")
        agent.close()
    with agent:
        assert [record["action"] for record in agent.get("/v1/audit")] == ["container.stop"]


def test_a_runtime_that_never_answers_does_not_hold_up_a_stop(short_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(short_folder / "silent.sock"))
        silent.listen(8)
        agent = AgentProcess(short_folder, {"runtime": f"unix://{short_folder}/silent.sock"})
        with contextlib.closing(agent):
            agent.launch()
            asked, _ = silent.accept()
            with asked:
                assert agent.stop() == 0
            assert "Traceback" not in agent.log()


def test_a_full_disk_stops_changes_and_nothing_else(short_folder: Path) -> None:
    with AgentProcess(short_folder) as agent, agent.client() as client:
        assert agent.process is not None
        # As on a full disk no file grows any more; a little room is left in those that are there.
        size = (short_folder / "state/agent.db").stat().st_size
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (size, unlimited))
        codes = {client.post("/v1/containers/x/stop").json()["code"] for _ in range(50)}
        assert "store.failed" in codes
        assert client.get("/v1/telemetry").status_code == 200
        resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        assert client.post("/v1/containers/x/stop").json()["code"] == "runtime.unreachable"


def test_a_database_of_a_newer_agent_stops_this_one(short_folder: Path) -> None:
    agent = AgentProcess(short_folder)
    with agent:
        assert agent.stop() == 0
    with contextlib.closing(sqlite3.connect(short_folder / "state/agent.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with contextlib.closing(agent):
        agent.launch()
        assert agent.process is not None
        assert agent.process.wait(20) == 1
    assert "schema 99" in agent.log()
    assert "Traceback" not in agent.log()
    assert not list(short_folder.glob("*.sock"))
