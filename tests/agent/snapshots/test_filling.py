"""Withheld values put back from what the node knows."""

from __future__ import annotations

import pytest

from agent.protocol.deployments import ApplyRequest
from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import WITHHELD
from agent.protocol.workloads import Mount, NetworkUse, Workload
from agent.snapshots.filling import filled


def asked(**fields: object) -> ApplyRequest:
    workload = Workload(name="web", image="app:1", **fields)  # type: ignore[arg-type]
    return ApplyRequest(release="app", workloads=[workload])


def known(**fields: object) -> dict[str, list[Workload]]:
    return {"web": asked(**fields).workloads}


def test_as_the_node_has_it() -> None:
    request = asked(
        environment={"TOKEN": WITHHELD, "MODE": "fast"}, command=["run", WITHHELD], labels={}
    )
    there = known(environment={"TOKEN": "t0p", "MODE": "slow"}, command=["run", "--key=1"])
    [workload] = filled(request, there).workloads
    assert workload.environment == {"TOKEN": "t0p", "MODE": "fast"}
    assert workload.command == ["run", "--key=1"]


@pytest.mark.parametrize(
    ("there", "place"),
    [
        ({}, "environment.TOKEN"),
        (known(environment={"OTHER": "x"}), "environment.TOKEN"),
        (known(environment={"TOKEN": WITHHELD}), "environment.TOKEN"),
    ],
)
def test_what_nobody_knows_is_refused_with_its_place(
    there: dict[str, list[Workload]], place: str
) -> None:
    with pytest.raises(ProblemError, match=place) as refused:
        filled(asked(environment={"TOKEN": WITHHELD}), there)
    assert refused.value.code == "snapshot.withheld"


def test_another_command_of_that_length_is_no_help() -> None:
    with pytest.raises(ProblemError, match=r"command\.1"):
        filled(asked(command=["run", WITHHELD]), known(command=["go", "--key=1"]))


def test_mounts_are_found_by_their_targets_and_networks_by_their_names() -> None:
    def mount(target: str, options: str) -> Mount:
        return Mount(kind="volume", source="v", target=target, driver_options={"o": options})

    def network(name: str, key: str) -> NetworkUse:
        return NetworkUse(name=name, driver_options={"key": key})

    request = asked(
        mounts=[mount("/a", WITHHELD)], networks=[network("x", WITHHELD), network("y", "told")]
    )
    there = known(
        mounts=[mount("/b", "of b"), mount("/a", "of a")],
        networks=[network("y", "other"), network("x", "of x")],
    )
    [workload] = filled(request, there).workloads
    assert workload.mounts[0].driver_options == {"o": "of a"}
    assert [each.driver_options["key"] for each in workload.networks] == ["of x", "told"]


def test_a_list_of_another_length_is_no_help() -> None:
    with pytest.raises(ProblemError, match=r"command\.1"):
        filled(asked(command=["run", WITHHELD]), known(command=["run", "--key=1", "more"]))


def test_what_it_has_not_any_more_is_as_it_had_it_last() -> None:
    values = [{"TOKEN": "now"}, {"TOKEN": "before", "OLD": "last"}, {"OLD": "first"}]
    before = [asked(environment=each).workloads[0] for each in values]
    request = asked(environment={"TOKEN": WITHHELD, "OLD": WITHHELD})
    [workload] = filled(request, {"web": before}).workloads
    assert workload.environment == {"TOKEN": "now", "OLD": "last"}
