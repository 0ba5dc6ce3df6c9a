"""How an agent is started."""

from __future__ import annotations

import pytest

from agent.rules.service import UNIT_FILES, is_service, start_command


@pytest.mark.parametrize("unit", UNIT_FILES)
def test_where_there_is_a_unit(unit: str) -> None:
    assert is_service({unit}.__contains__)
    assert start_command(service=True) == "sudo systemctl start roost-agent"


def test_without_one() -> None:
    assert not is_service({"/etc/systemd/system/docker.service"}.__contains__)
    assert start_command(service=False) == "sudo roost-agent serve"
