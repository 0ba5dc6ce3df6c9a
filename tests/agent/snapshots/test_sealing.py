"""Seals of withheld values."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.protocol.workloads import Workload
from agent.snapshots.sealing import SEAL_KEY, Seals, seals_of
from agent.snapshots.withholding import withhold


def test_a_seal_is_of_one_value_at_one_place_with_one_key() -> None:
    seals = Seals(b"k" * 32)
    first = seals("web", "environment.A", b"value")
    assert first == Seals(b"k" * 32)("web", "environment.A", b"value")
    others = {
        seals("web", "environment.A", b"other"),
        seals("web", "environment.B", b"value"),
        seals("web2", "environment.A", b"value"),
        seals("webe", "nvironment.A", b"value"),
        Seals(b"l" * 32)("web", "environment.A", b"value"),
    }
    assert len(others) == 5
    assert first not in others


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / SEAL_KEY
    first, again = seals_of(path), seals_of(path)
    assert first is not None
    assert again is not None
    assert first.id == again.id
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("there", [b"", b"short", None])
def test_without_a_key_nothing_is_sealed(tmp_path: Path, there: bytes | None) -> None:
    path = tmp_path / SEAL_KEY
    if there is None:
        path.mkdir()
    else:
        path.write_bytes(there)
    assert seals_of(path) is None


def test_all_that_is_withheld_is_sealed_and_no_value_is_told() -> None:
    workload = Workload(
        name="web",
        image="app:1",
        environment={"TOKEN": "swordfish-1", "MODE": "fast"},
        command=["run", "--password", "swordfish-2"],
    )
    seals = Seals(b"k" * 32)
    found = withhold(workload, [], environment=True, seals=seals)
    assert set(found.places) == {
        "environment.TOKEN",
        "command.2",
    }
    assert set(found.seals) == set(withhold(workload, [], environment=False).places)
    assert set(found.seals) > set(found.places)
    assert found.seals["command.2"] == seals("web", "command.2", b"swordfish-2")
    assert b"swordfish" not in msgspec.json.encode(found)
    assert withhold(workload, []).seals == {}
