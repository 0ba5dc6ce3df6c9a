"""What agent.yaml may name where the agent runs in a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.cli.own_places import see_own_places
from agent.host.real_paths import ROOT
from agent.protocol.problems import ProblemError
from agent.settings import HttpsSettings, Settings

SAME = Path("/proc/self/root")  # another root with the same files


def settings(folder: Path) -> Settings:
    return Settings(
        state=folder / "state",
        operator_socket=folder / "run/agent.sock",
        admin_socket=None,
        viewer_socket=None,
        trusted_keys=folder / "keys",
        secrets=folder / "secrets",
        compatibility=folder / "rows.json",
        https=HttpsSettings(certificate=folder / "node.pem", key=folder / "node.key"),
    )


def test_what_is_the_machines_too_is_taken(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    see_own_places(settings(tmp_path), SAME)
    see_own_places(settings(tmp_path / "not/there/yet"), SAME)


def test_what_would_be_lost_with_the_container_is_refused(tmp_path: Path) -> None:
    """The machine has a folder of that name, too, and another one."""
    own, machine = tmp_path / "own", tmp_path / "machine"
    own.mkdir()
    (machine / str(own).lstrip("/")).mkdir(parents=True)
    with pytest.raises(ProblemError) as caught:
        see_own_places(settings(own), machine)
    assert caught.value.code == "settings.invalid"
    assert caught.value.params["key"] == "state"
    see_own_places(settings(own), ROOT)  # outside a container nothing is compared
