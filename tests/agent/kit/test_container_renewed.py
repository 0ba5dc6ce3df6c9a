"""The agent's container is run as the current version has it, and so is its unit; and back."""

from __future__ import annotations

import json

import pytest

from tests.agent.kit.scripted_machine import SCRIPT, Machine, code


class Upgraded:
    """A machine on which the agent has become another version, with this as its script."""

    def __init__(self, machine: Machine, source: str) -> None:
        assert machine.install().returncode == 0
        self.machine, root = machine, machine.root / "opt/roost"
        self.installed, self.unit = root / "container", machine.root / UNIT
        own = root / "2.0-b/lib/agent/kit/container.sh"
        own.parent.mkdir(parents=True)
        own.write_text(source)
        (root / "current").unlink(missing_ok=True)
        (root / "current").symlink_to("2.0-b")

    def start(self) -> str:
        """With what it was started."""
        (self.machine.stage / "calls").write_text("")
        self.machine.script = self.installed
        done = self.machine.run("attached")
        assert done.returncode == 0, done.stderr
        return next(call for call in self.machine.calls if call.startswith("docker run --rm"))


UNIT = "etc/systemd/system/roost-agent.service"
NEWER = (
    SCRIPT.read_text()
    .replace("--pid host --network host", "--pid host --newer --network host")
    .replace("RestartSec=2", "RestartSec=3")
)


def test_the_line_and_the_unit_go_with_the_current_version_and_back(machine: Machine) -> None:
    upgraded = Upgraded(machine, NEWER)
    older = upgraded.unit.read_text()
    assert "--newer" in upgraded.start()
    assert upgraded.unit.read_text() == older.replace("RestartSec=2", "RestartSec=3")
    assert upgraded.installed.read_text() == NEWER
    own = machine.root / "opt/roost/current/lib/agent/kit/container.sh"
    own.write_text(SCRIPT.read_text())
    assert "--newer" not in upgraded.start()
    assert upgraded.unit.read_text() == older
    assert upgraded.installed.read_text() == SCRIPT.read_text()
    assert "systemctl daemon-reload" not in machine.calls


def test_a_line_that_the_runtime_does_not_take_is_not_the_next(machine: Machine) -> None:
    upgraded = Upgraded(machine, NEWER)
    older = upgraded.unit.read_text()
    (machine.stage / "no-create").touch()
    assert "--newer" not in upgraded.start()
    assert upgraded.installed.read_text() == SCRIPT.read_text()
    assert upgraded.unit.read_text() == older
    (machine.stage / "no-create").unlink()
    assert "--newer" in upgraded.start()
    assert upgraded.installed.read_text() == NEWER
    assert not (machine.stage / "runs").exists()  # what was only made


def test_a_unit_that_was_changed_by_hand_stays(machine: Machine) -> None:
    upgraded = Upgraded(machine, NEWER)
    upgraded.unit.write_text("[Service]\nEnvironment=MINE=1\n")
    assert "--newer" in upgraded.start()
    assert upgraded.unit.read_text() == "[Service]\nEnvironment=MINE=1\n"


@pytest.mark.parametrize("source", ["if then\n", None])
def test_a_script_that_is_none_or_is_not_there_is_not_run(
    machine: Machine, source: str | None
) -> None:
    upgraded = Upgraded(machine, source or "")
    if source is None:
        (machine.root / "opt/roost/current/lib/agent/kit/container.sh").unlink()
    assert "docker run" in upgraded.start()
    assert upgraded.installed.read_text() == SCRIPT.read_text()


def test_a_kit_that_this_machine_does_not_take_is_not_installed(machine: Machine) -> None:
    no = {"code": "signature.missing", "detail": "nobody has signed it", "hint": "Sign it."}
    (machine.stage / "no-kit").write_text(json.dumps({"problem": no}))
    done = machine.install()
    assert code(done) == "signature.missing"
    assert not (machine.root / "opt/roost/image").exists()
    assert not any(call.startswith("systemctl") for call in machine.calls)
