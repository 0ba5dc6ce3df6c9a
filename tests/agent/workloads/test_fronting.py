"""What a proxy may publish in a workload's place: its file is made of this."""

from __future__ import annotations

import pytest

from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Port
from agent.traffic.state import Bind
from agent.workloads.fronting import wished_front
from agent.workloads.recipe import Recipe


def published(host_ip: str) -> Recipe:
    bindings = {"80/tcp": [{"HostIp": host_ip, "HostPort": "8080"}]}
    return Recipe(image="a", body={"HostConfig": {"PortBindings": bindings}})


@pytest.mark.parametrize("host_ip", ["", "0.0.0.0", "127.0.0.1", "fd00::1"])  # noqa: S104 - given
def test_addresses(host_ip: str) -> None:
    front = wished_front("weighted", published(host_ip), None, [Port(target=80, mode="tcp")])
    assert front is not None
    [port] = front.ports
    everywhere = host_ip in ("", "0.0.0.0")  # noqa: S104 - compared
    assert port.bind == Bind(port=8080, host_ip="" if everywhere else host_ip)
    assert port.mode == "tcp"


@pytest.mark.parametrize(
    "host_ip", ["1.2.3.4\n", "1.2.3.4:80\n  stats enable", "fe80::1%a\nb", "x"]
)
def test_nothing_but_an_address_comes_into_its_file(host_ip: str) -> None:
    with pytest.raises(ProblemError, match="is no address") as found:
        wished_front("weighted", published(host_ip), None)
    assert found.value.code == "deploy.strategy"
