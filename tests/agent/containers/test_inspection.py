"""Records of containers, from answers as runtimes give them."""

from __future__ import annotations

from typing import Any

import pytest

from agent.containers.inspection import COMMAND_LIMIT, details, inspected, listed
from tests.agent.containers.answers import ID, inspect_answer


def test_a_running_container() -> None:
    one = inspected(inspect_answer())
    found = one.container
    assert (found.id, found.name, found.image, found.state) == (ID, "silent", "bb:1", "running")
    assert found.created_at == pytest.approx(1795247245.8205535)
    assert found.started_at == pytest.approx(1795247246.055747)
    assert (found.finished_at, found.exit_code, found.health) == (None, None, "none")
    assert found.command == "sleep 1000"
    assert (one.pid, one.tty, one.stop_seconds, one.memory_limit_bytes) == (2255, False, 10, None)


@pytest.mark.parametrize(
    ("status", "state", "code"),
    [
        ("exited", "exited", 3),
        ("restarting", "restarting", 3),
        ("created", "created", None),
        ("paused", "paused", None),
        ("stopped", "exited", 3),  # Podman
        ("configured", "created", None),  # Podman
        ("Running", "running", None),
        ("hibernating", "unknown", None),
        (None, "unknown", None),
    ],
)
def test_states_and_exit_codes(status: str | None, state: str, code: int | None) -> None:
    answer = inspect_answer(State={"Status": status, "ExitCode": 3, "Pid": 0})
    found = inspected(answer)
    assert (found.container.state, found.container.exit_code) == (state, code)
    assert found.pid is None


@pytest.mark.parametrize(
    ("health", "said"),
    [
        ({"Status": "healthy"}, "healthy"),
        ({"Status": "starting"}, "starting"),
        ({"Status": ""}, "none"),  # Podman without a health check
        (None, "none"),
    ],
)
def test_health(health: dict[str, str] | None, said: str) -> None:
    answer = inspect_answer(State={"Status": "running", "Health": health})
    assert inspected(answer).container.health == said


def test_ports_as_people_read_them() -> None:
    ports = {
        "80/tcp": [
            {"HostIp": "127.0.0.1", "HostPort": "8080"},
            {"HostIp": "::", "HostPort": "8080"},
        ],
        "53/udp": [{"HostIp": "", "HostPort": "53"}],
        "9000/tcp": None,
    }
    found = inspected(inspect_answer(NetworkSettings={"Ports": ports})).container
    assert found.ports == [
        "0.0.0.0:53->53/udp",
        "127.0.0.1:8080->80/tcp",
        "[::]:8080->80/tcp",
        "9000/tcp",
    ]


def test_a_name_with_every_character_that_is_allowed() -> None:
    assert inspected(inspect_answer(Name="/a_B.c-9")).container.name == "a_B.c-9"


def test_a_container_that_links_gave_more_names() -> None:
    entry = {"Id": ID, "Names": ["/web/db", "/db", "/other/db"], "State": "running"}
    assert listed(entry).name == "db"
    assert listed({"Id": ID, "Names": []}).name == ID[:12]


def test_a_command_that_is_a_script_is_cut() -> None:
    answer = inspect_answer(Path="sh", Args=["-c", "echo é\n" * 5000])
    command = inspected(answer).container.command
    assert command is not None
    assert len(command) == COMMAND_LIMIT
    assert command.startswith("sh -c 'echo é")
    assert command.endswith("…")


def test_podman_leaves_the_kind_of_digest_out() -> None:
    assert inspected(inspect_answer(Image="ab" * 32)).container.image_id == "sha256:" + "ab" * 32


def test_details_name_variables_and_hide_their_values() -> None:
    answer = inspect_answer(
        Config={
            "Env": ["TOKEN=hunter2", "EMPTY=", "BARE"],
            "User": "1000:1000",
            "Image": "bb:1",
            "Tty": True,
            "StopTimeout": 60,
        },
        HostConfig={
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "LogConfig": {"Type": "journald"},
            "Runtime": "nvidia",
            "Memory": 1 << 20,
        },
        Mounts=[
            {"Type": "bind", "Source": "/data", "Destination": "/in", "RW": False},
            {"Type": "volume", "Name": "cache", "Source": "/v/_data", "Destination": "/c"},
            {"Type": "tmpfs", "Source": "", "Destination": "/t", "RW": True},
        ],
    )
    found = details(answer, None)
    assert found.environment_names == ["TOKEN", "EMPTY", "BARE"]
    assert "hunter2" not in repr(found)
    assert found.mounts == ["/data:/in:ro", "cache:/c", "tmpfs:/t"]
    assert found.networks == ["bridge"]
    assert (found.restart_policy, found.log_driver) == ("on-failure:3", "journald")
    assert (found.runtime, found.user, found.pid) == ("nvidia", "1000:1000", 2255)
    known = inspected(answer)
    assert (known.tty, known.stop_seconds, known.memory_limit_bytes) == (True, 60, 1 << 20)


def test_podman_does_not_tell_the_oci_runtime() -> None:
    assert details(inspect_answer(HostConfig={"Runtime": "oci"}), None).runtime is None


@pytest.mark.parametrize("part", ["State", "Config", "HostConfig", "NetworkSettings", "Mounts"])
@pytest.mark.parametrize("value", [None, "", 0])
def test_a_part_that_is_missing_is_unknown(part: str, value: Any) -> None:
    found = details(inspect_answer(**{part: value}), None)
    assert found.container.id == ID
