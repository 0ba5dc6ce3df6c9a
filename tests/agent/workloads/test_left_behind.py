"""Which containers the runtime left behind."""

from __future__ import annotations

from typing import Any

import pytest

from agent.protocol.containers import Container
from agent.workloads.left_behind import adrift, down_since_boot
from agent.workloads.recipe import Recipe
from agent.workloads.records import WorkloadRecord

BOOTED = 1000.0


def record(name: str, mode: str = "", policy: str = "always") -> WorkloadRecord:
    recipe = Recipe(
        image="sha256:1", body={"HostConfig": {"NetworkMode": mode}}, restart={"Name": policy}
    )
    return WorkloadRecord(name=name, stable=name * 3, recipe=recipe)


def container(name: str, started_at: float | None, state: Any = "running") -> Container:
    return Container(
        id=name * 3, name=name, image="a", image_id="sha256:1", state=state, created_at=1.0,
        started_at=started_at,
    )  # fmt: skip


def those(*containers: Container) -> dict[str, Container]:
    return {each.id: each for each in containers}


VPN = record("vpn")


@pytest.mark.parametrize(
    ("mode", "owner", "app", "told"),
    [
        ("service:vpn", container("vpn", 20.0), container("app", 10.0), {"appappapp": "vpn"}),
        ("container:vpn", container("vpn", 20.0), container("app", 10.0), {"appappapp": "vpn"}),
        (
            "container:vpnvpnvpn",
            container("vpn", 20.0),
            container("app", 10.0),
            {"appappapp": "vpn"},
        ),
        ("service:vpn", container("vpn", 10.0), container("app", 20.0), {}),
        ("bridge", container("vpn", 20.0), container("app", 10.0), {}),
        ("service:other", container("vpn", 20.0), container("app", 10.0), {}),
        ("container:other", container("vpn", 20.0), container("app", 10.0), {}),
        # nothing would be won, or nothing is known
        ("service:vpn", container("vpn", 20.0, "exited"), container("app", 10.0), {}),
        ("service:vpn", container("vpn", 20.0), container("app", 10.0, "exited"), {}),
        ("service:vpn", container("vpn", None), container("app", 10.0), {}),
        ("service:vpn", container("vpn", 20.0), container("app", None), {}),
    ],
)
def test_in_a_network_that_is_gone(
    mode: str, owner: Container, app: Container, told: dict[str, str]
) -> None:
    workloads = [VPN, record("app", mode)]
    assert adrift(workloads, those(owner, app)) == told
    assert adrift(workloads, {}) == {}


@pytest.mark.parametrize(
    ("policy", "one", "left"),
    [
        ("always", container("app", BOOTED - 1, "exited"), True),
        ("unless-stopped", container("app", BOOTED - 1, "exited"), True),
        ("on-failure", container("app", BOOTED - 1, "exited"), False),
        ("no", container("app", BOOTED - 1, "exited"), False),
        ("always", container("app", BOOTED + 1, "exited"), False),  # it ran in this boot
        ("always", container("app", BOOTED - 1), False),
        ("always", container("app", None, "created"), False),
    ],
)
def test_down_since_the_boot(policy: str, one: Container, left: bool) -> None:
    found = down_since_boot([record("app", policy=policy)], those(one), BOOTED)
    assert found == ({"appappapp"} if left else set())


def test_one_in_anothers_network_comes_after_it() -> None:
    workloads = [VPN, record("app", "service:vpn")]
    both = those(container("vpn", 1.0, "exited"), container("app", 1.0, "exited"))
    assert down_since_boot(workloads, both, BOOTED) == {"vpnvpnvpn"}
    owner_up = both | those(container("vpn", BOOTED + 1))
    assert down_since_boot(workloads, owner_up, BOOTED) == {"appappapp"}
