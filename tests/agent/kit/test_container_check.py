"""What container.sh finds on a machine, and with which line it runs the agent there."""

from __future__ import annotations

import os

import pytest

from agent.host.real_paths import HOST_VARIABLE
from tests.agent.kit.scripted_machine import NOTED, TAG, Machine, code


def test_it_is_told_what_is_there(machine: Machine) -> None:
    before = machine.files()
    facts = machine.facts()
    assert machine.files() == before
    assert (facts.os, facts.cli, facts.systemd, facts.root) == ("Old \\ 1", "docker", True, True)
    assert (facts.group, facts.joins, facts.contained) == (False, True, False)
    assert len(facts.absent) == 4
    assert [room.place for room in facts.rooms][:2] == ["/opt/roost", "/var/lib/roost"]
    assert all(room.free_bytes > 0 and room.writable for room in facts.rooms)
    assert facts.line.startswith(
        "docker run --rm --log-driver none --env JOURNAL_STREAM --name roost-agent "
    )
    assert facts.line.endswith(f" {TAG}")


def test_gpus_are_passed_one_by_one(machine: Machine) -> None:
    (machine.root / "dev/nvidia-caps").mkdir()
    for name in ("nvidiactl", "nvidia0", "nvidia1", "nvidia-uvm", "nvidia-caps/nvidia-cap2"):
        (machine.root / "dev" / name).touch()
    # A desktop has the one for 32 bits, too: two for one place, and nothing would start.
    for folder in (f"lib/{os.uname().machine}-linux-gnu", "lib/i386-linux-gnu", "lib64"):
        library = machine.root / "usr" / folder / "libnvidia-ml.so.1"
        library.parent.mkdir(parents=True)
        library.touch()
    line = machine.facts().line
    assert line.count("--device ") == 5
    own = machine.root / f"usr/lib/{os.uname().machine}-linux-gnu/libnvidia-ml.so.1"
    assert f"{own}:/usr/lib/libnvidia-ml.so.1:ro" in line
    assert line.count("libnvidia-ml.so.1:ro") == 1


def test_device_files_that_come_with_the_first_question_are_passed(machine: Machine) -> None:
    """After a boot there are none until somebody asks the driver."""
    asked = machine.stage / "bin/nvidia-smi"
    asked.write_text(f'{NOTED}touch "$ROOST_PREFIX/dev/nvidia0"\n')
    asked.chmod(0o755)
    assert machine.run("run", TAG).returncode == 0
    begun = next(call for call in machine.calls if call.startswith("docker run --detach"))
    assert f"--device {machine.root}/dev/nvidia0" in begun


def test_it_is_told_where_its_machine_is(machine: Machine) -> None:
    """To every program that is run in it, and not bound file by file as it was at its start."""
    line = machine.facts().line
    assert f" --env {HOST_VARIABLE}=/proc/1/root --pid host " in line
    assert ":/etc/" not in line.replace(":/etc/roost ", "")


def test_a_container_of_somebody_else_with_its_name_is_told_beforehand(machine: Machine) -> None:
    (machine.stage / "foreign").touch()
    assert machine.facts().name_taken
    assert code(machine.install()) == "kit.name"
    assert not any(each.startswith(("docker run", "docker rm")) for each in machine.calls)
    (machine.stage / "foreign").unlink()
    (machine.stage / "runs").touch()
    assert not machine.facts().name_taken


def test_a_runtime_that_does_not_work_is_told_with_its_words(machine: Machine) -> None:
    (machine.stage / "refuses").write_text("it greets\nError: no storage\n")
    facts = machine.facts()
    assert (facts.cli, facts.refuses) == ("docker", "Error: no storage")
    (machine.stage / "refuses").unlink()
    assert machine.facts().refuses == ""


def test_an_image_for_another_architecture_is_told_in_words(machine: Machine) -> None:
    (machine.stage / "arch").write_text("s390x\n")
    assert code(machine.install()) == "kit.arch"
    assert not any(each.startswith("docker run") for each in machine.calls)


@pytest.mark.parametrize("systemd", [True, False])
def test_podman_starts_no_container_after_a_boot(machine: Machine, systemd: bool) -> None:
    """Also where it is called docker."""
    (machine.stage / "says-it-is").write_text("podman version 4.3.1\n")
    if systemd:
        assert machine.install().returncode == 0
        unit = (machine.root / "etc/systemd/system/roost-agent.service").read_text()
        assert "Wants=network-online.target podman.socket\n" in unit
        return
    (machine.root / "run/systemd/system").rmdir()
    assert machine.facts().needs_systemd
    assert code(machine.install()) == "kit.service"
    assert not (machine.root / "opt/roost").exists()


def test_room_is_told_whatever_its_filesystem_is_called(machine: Machine) -> None:
    """And two of one name are two."""
    df = machine.stage / "bin/df"
    head = "Filesystem 1024-blocks Used Available Capacity Mounted on"
    df.write_text(f"#!/bin/sh\necho '{head}'\necho '//nas/my share 99 57 42 58% /srv/my 2 disks'\n")
    df.chmod(0o755)
    assert {room.free_bytes for room in machine.facts().rooms} == {42 * 1024}
    df.unlink()
    (machine.root / "var/lib/roost").symlink_to("/dev/shm")
    rooms = {room.place: room.filesystem for room in machine.facts().rooms}
    assert rooms["/opt/roost"] != rooms["/var/lib/roost"]


def test_it_may_ask_containers_in_their_networks_and_see_their_processes(machine: Machine) -> None:
    line = machine.facts().line
    wanted = {"--cap-add SYS_ADMIN", "--cap-add SYS_PTRACE", "--security-opt apparmor=unconfined"}
    assert [each for each in wanted if each not in line] == []


def test_with_users_mapped_it_is_root_nevertheless(machine: Machine) -> None:
    """A dockerd with userns-remap refuses the machine's network otherwise."""
    assert "--userns host" in machine.facts().line
    assert machine.install().returncode == 0
    once = [each for each in machine.calls if each.startswith("docker run")]
    assert once
    assert all("--userns host" in each for each in once)
