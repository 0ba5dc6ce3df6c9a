"""Which runtime this machine's own agent asks."""

from __future__ import annotations

import pytest

from agent.protocol.problems import ProblemError
from console.cli.own_agent import runtime_settings


def test_the_runtime_is_the_docker_commands_own() -> None:
    assert runtime_settings({}) == {}
    assert runtime_settings({"DOCKER_HOST": ""}) == {}
    host = "unix:///run/user/1000/docker.sock"
    assert runtime_settings({"DOCKER_HOST": host}) == {"runtime": host}


@pytest.mark.parametrize("host", ["tcp://10.0.0.7:2375", "ssh://me@10.0.0.7"])
def test_another_machines_runtime_is_not_left_out_in_silence(host: str) -> None:
    with pytest.raises(ProblemError) as caught:
        runtime_settings({"DOCKER_HOST": host})
    assert caught.value.code == "console.usage"
    assert host in caught.value.detail
