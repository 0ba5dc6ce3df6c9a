"""container.sh on a machine in a folder; runtime and system are scripts that note what is asked.

tests/console/kits/test_contained_real.py has it on a whole machine with a real Docker.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.agent.kit.scripted_machine import KIT, LAYERS, SCRIPT, Machine, code


def test_an_environment_leads_to_no_other_machine(machine: Machine) -> None:
    done = machine.install(DOCKER_HOST="tcp://elsewhere:2376", DOCKER_TLS_VERIFY="1")
    assert done.returncode == 0, done.stdout
    assert (machine.stage / "host").read_text() == f"unix://{machine.root}/run/docker.sock\n"


def test_what_cannot_be_written_is_not_started(machine: Machine) -> None:
    (machine.root / "opt/roost/image.part").mkdir(parents=True)
    assert code(machine.install()) == "kit.write"
    assert not any(each.startswith("systemctl") for each in machine.calls)


def test_a_unit_that_cannot_be_written_is_not_started(machine: Machine) -> None:
    (machine.root / "etc/systemd/system/roost-agent.service.part").mkdir()
    assert code(machine.install()) == "kit.write"
    assert not any(each.startswith("systemctl") for each in machine.calls)


@pytest.mark.parametrize(
    ("known", "reloads"),
    [
        ("", 0),
        ("ExecStart={{ path=/opt/roost/start ; argv[]=/opt/roost/start serve ; pid=7 }}", 1),
        ("ExecStart={{ path={0}/container ; argv[]={0}/container attached ; pid=7 }}", 0),
    ],
)
def test_systemd_that_knows_the_unit_of_a_kit_that_is_gone_reads_anew(
    machine: Machine, known: str, reloads: int
) -> None:
    (machine.stage / "known").write_text(known.format(machine.root / "opt/roost") + "\n")
    assert machine.install().returncode == 0
    assert machine.calls.count("systemctl daemon-reload") == reloads


def test_it_installs_and_again_changes_nothing(machine: Machine) -> None:
    done = machine.install()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "systemctl restart roost-agent.service" in machine.calls
    assert "systemctl daemon-reload" not in machine.calls
    assert (machine.root / "opt/roost/image").read_text() == "sha256:1d\n"
    assert (machine.root / "opt/roost/container").read_text() == SCRIPT.read_text()
    assert (machine.root / "usr/local/bin/roost-agent").is_symlink()
    assert (machine.root / "etc/roost/secrets").stat().st_mode & 0o777 == 0o700
    (machine.root / "etc/roost/agent.yaml").write_text("name: mine\n")
    after = machine.files()
    assert machine.install().returncode == 0
    assert machine.files() == after
    assert "docker load --input a.tar" not in machine.calls
    facts = machine.facts()
    assert (facts.layers, facts.absent, facts.joins) == (LAYERS, [], False)
    (machine.root / "opt/roost/current").symlink_to(KIT)
    facts = machine.facts()
    assert (facts.version, facts.kit, facts.contained) == ("1.0.0", KIT, True)


@pytest.mark.timeout(60)  # some forty installs
def test_killed_at_any_step_it_goes_on(machine: Machine, short_folder: Path) -> None:
    assert machine.install().returncode == 0
    steps, whole = len(machine.calls), set(machine.files())
    assert steps > 25
    for step in range(1, steps + 1):
        folder = short_folder / str(step)
        folder.mkdir()
        other = Machine(folder)
        (other.stage / "kill-at").write_text(str(step))
        assert other.install().returncode == -9, other.calls
        (other.stage / "kill-at").unlink()
        done = other.install()
        assert done.returncode == 0, (step, done.stdout)
        assert set(other.files()) == whole, step
        other.close()


def test_without_systemd_the_runtime_keeps_it_running(machine: Machine) -> None:
    (machine.root / "run/systemd/system").rmdir()
    assert machine.install().returncode == 0
    (ran,) = [each for each in machine.calls if each.startswith("docker run --detach")]
    assert "--restart unless-stopped" in ran
    assert ran.endswith(" sha256:1d")
    assert not (machine.root / "etc/systemd/system/roost-agent.service").exists()
    (machine.stage / "calls").write_text("")
    assert machine.install().returncode == 0
    assert "docker rm --force roost-agent" in machine.calls


@pytest.mark.parametrize(
    ("file", "told"), [("no-load", "kit.load"), ("no-python", "kit.libc"), (None, "kit.root")]
)
def test_what_stands_in_the_way_is_told_before_anything_runs(
    machine: Machine, file: str | None, told: str
) -> None:
    if file is not None:
        refusal = {"code": "kit.libc", "detail": "too old", "hint": "another"}
        (machine.stage / file).write_text(json.dumps({"problem": refusal}) + "\n")
    assert code(machine.install(UID_THERE="0" if file else "1000")) == told
    assert not (machine.root / "opt/roost/image").exists()
    assert not any(each.startswith("systemctl") for each in machine.calls)


def test_without_a_runtime_it_is_refused(machine: Machine) -> None:
    (machine.root / "run/docker.sock").unlink()
    assert machine.facts().cli == ""
    assert code(machine.install()) == "kit.runtime"


def test_where_there_is_only_podman_its_socket_may_be_made_anew(machine: Machine) -> None:
    (machine.root / "run/docker.sock").unlink()
    (machine.root / "run/podman").mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(machine.root / "run/podman/podman.sock"))
    (machine.stage / "bin/podman").write_text((machine.stage / "bin/docker").read_text())
    (machine.stage / "bin/podman").chmod(0o755)
    done = machine.install(DOCKER_HOST="tcp://elsewhere:2376")
    assert done.returncode == 0, done.stdout
    written = (machine.root / "etc/roost/agent.yaml").read_text()
    assert written == "runtime: unix:///run/podman/podman.sock\n"
    facts = machine.facts()
    assert facts.cli == "podman"
    assert f"--volume {machine.root}/run/podman:/run/podman " in facts.line
    assert not any(each.startswith("docker") for each in machine.calls)


def test_an_agent_of_a_kit_stays(machine: Machine) -> None:
    (machine.root / "opt/roost/1.0.0-abc").mkdir(parents=True)
    (machine.root / "opt/roost/current").symlink_to("1.0.0-abc")
    assert code(machine.install()) == "kit.way"
    assert machine.calls == ["id -u"]  # nothing was asked of the runtime


def test_uninstalled_all_else_stays(machine: Machine) -> None:
    assert machine.install().returncode == 0
    root = machine.root / "opt/roost"
    (root / "current").symlink_to("1.0.0-abc")
    (root / "notes.json").write_text("mine")
    (root / "..upgrade.pyz.a1b2.tmp").touch()
    (machine.stage / "runs").touch()
    done = machine.run("uninstall", "--json")
    assert done.returncode == 0, done.stdout
    assert [each.name for each in root.iterdir()] == ["notes.json"]
    assert "notes.json" in done.stdout
    assert {"docker rm --force roost-agent", "docker rmi sha256:1d"} <= set(machine.calls)
    assert not (machine.root / "usr/local/bin/roost-agent").is_symlink()
    assert (machine.root / "etc/roost/agent.yaml").exists()
    again = machine.run("uninstall", "--json")
    assert again.returncode == 0, again.stdout


@pytest.mark.timeout(60)
def test_killed_at_any_step_of_its_end_it_is_found_again(
    machine: Machine, short_folder: Path
) -> None:
    """By the file that says that it is a container: without it nobody would take away the rest."""

    def prepared(folder: Path) -> Machine:
        shutil.copytree(machine.root, folder / "m", symlinks=True, ignore=_sockets)
        shutil.copytree(machine.stage, folder / "s")
        return Machine(folder)

    assert machine.install().returncode == 0
    (machine.root / "opt/roost/current").symlink_to(KIT)
    (machine.stage / "runs").touch()
    (machine.stage / "calls").write_text("")
    whole = prepared(short_folder / "whole")
    done = whole.run("uninstall", "--json", "--all")
    assert done.returncode == 0, done.stdout
    steps, left = len(whole.calls), set(whole.files())
    assert steps > 10
    whole.close()
    for step in range(1, steps + 1):
        other = prepared(short_folder / str(step))
        (other.stage / "kill-at").write_text(str(step))
        assert other.run("uninstall", "--json", "--all").returncode == -9, other.calls
        (other.stage / "kill-at").unlink()
        if set(other.files()) != left:
            assert (other.root / "opt/roost/image").exists(), (step, other.calls[-1])
        done = other.run("uninstall", "--json", "--all")
        assert done.returncode == 0, (step, done.stdout)
        assert set(other.files()) == left, step
        assert not (other.root / "opt/roost").exists()
        other.close()


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [each for each in names if (Path(folder) / each).is_socket()]


def test_what_a_container_has_mounted_is_not_purged(machine: Machine) -> None:
    assert machine.install().returncode == 0
    (machine.stage / "others").write_text("web\n")
    (machine.stage / "mounts").write_text(f"/web {machine.root}/var/lib/roost/models \n")
    assert code(machine.run("uninstall", "--json", "--all")) == "kit.in_use"
    (machine.stage / "mounts").write_text("/web /srv \n")
    assert machine.run("uninstall", "--json", "--all").returncode == 0
    assert not (machine.root / "etc/roost").exists()
    assert not (machine.stage / "group").exists()


@pytest.mark.parametrize(("tried", "left"), [("2.0.0-abc", "old"), ("1.0.0-abc", "new")])
def test_an_upgrade_under_way_ends_with_what_the_older_can_read(
    machine: Machine, tried: str, left: str
) -> None:
    """Unless it was the current one already."""
    assert machine.install().returncode == 0
    root, state = machine.root / "opt/roost", machine.root / "var/lib/roost"
    (root / "current").symlink_to("1.0.0-abc")
    (root / "trial.json").write_text(json.dumps({"id": tried}))
    (state / "agent.db").write_text("new")
    (state / "agent.db.before").write_text("old")
    assert machine.run("uninstall", "--json").returncode == 0
    assert (state / "agent.db").read_text() == left


def test_called_as_the_agent_it_is_the_one_in_the_container(machine: Machine) -> None:
    assert machine.install().returncode == 0
    path = f"{machine.stage / 'bin'}:{os.environ['PATH']}"
    command = machine.root / "usr/local/bin/roost-agent"
    subprocess.run(
        [command, "token", "ls"],
        check=True,
        stdin=subprocess.DEVNULL,
        env={"PATH": path, "ROOST_PREFIX": str(machine.root), "STAGE": str(machine.stage)},
    )
    inside = "/opt/roost/current/bin/roost-agent token ls"
    assert machine.calls[-1] == f"docker exec --interactive roost-agent {inside}"


@pytest.mark.parametrize(("where", "terminal"), [("terminal", True), ("pipe", False)])
def test_a_terminal_is_one_only_where_both_ends_are(
    machine: Machine, where: str, terminal: bool
) -> None:
    """What is written into a pipe has no line ends of a terminal."""
    assert machine.install().returncode == 0
    main, side = os.openpty()
    subprocess.run(
        [machine.root / "usr/local/bin/roost-agent", "token", "ls"],
        check=True,
        stdin=side,
        stdout=side if where == "terminal" else subprocess.PIPE,
        env={
            "PATH": f"{machine.stage / 'bin'}:{os.environ['PATH']}",
            "ROOST_PREFIX": str(machine.root),
            "STAGE": str(machine.stage),
        },
    )
    os.close(main)
    os.close(side)
    assert ("--tty" in machine.calls[-1]) == terminal
