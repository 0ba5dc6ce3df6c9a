"""Facts of fake machines and of this one."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from agent.host.facts import read_facts
from tests.agent.host.tree import BOOT_ID, server, write


def test_a_server_is_described(tmp_path: Path) -> None:
    facts = read_facts(server(tmp_path), machine="x86_64")
    assert facts.hostname == "plant-7-a"
    assert (facts.os, facts.os_id, facts.os_version) == ("Ubuntu 22.04.4 LTS", "ubuntu", "22.04")
    assert facts.kernel == "5.15.0-105-generic"
    assert facts.architecture == "amd64"
    assert facts.machine == "Supermicro SYS-E300"
    assert facts.cpu_model == "Intel(R) Xeon(R) E-2278GE"
    assert facts.cpu_count == 2
    assert facts.memory_total_bytes == 16_000_000 * 1024
    assert facts.boot_id == BOOT_ID
    assert facts.booted_at == 1_760_000_000.0
    assert facts.timezone == "Europe/Berlin"
    assert facts.unknown == {}


def test_a_jetson_is_named_by_its_device_tree(tmp_path: Path) -> None:
    server(tmp_path)
    write(
        tmp_path,
        {
            "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
            "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\n",
        },
    )
    facts = read_facts(tmp_path, machine="aarch64")
    assert facts.architecture == "arm64"
    assert facts.machine == "NVIDIA Jetson AGX Orin Developer Kit"
    assert facts.cpu_model is None
    assert facts.unknown == {"cpu_model": "not_reported"}


def test_an_empty_root_gives_reasons_and_no_error(tmp_path: Path) -> None:
    facts = read_facts(tmp_path)
    assert facts.os == "Linux"
    assert facts.os_id is None
    assert facts.machine is None
    assert facts.boot_id is None
    assert facts.booted_at is None
    assert facts.cpu_count >= 1
    assert facts.memory_total_bytes > 0
    assert facts.unknown == {
        "os": "missing",
        "machine": "missing",
        "cpu_model": "missing",
        "booted_at": "missing",
        "memory_total_bytes": "/proc/meminfo: missing; from sysconf",
        "boot_id": "missing",
    }


def test_filler_words_of_board_makers_are_no_name(tmp_path: Path) -> None:
    server(tmp_path)
    write(
        tmp_path,
        {
            "sys/class/dmi/id/sys_vendor": "To Be Filled By O.E.M.\n",
            "sys/class/dmi/id/product_name": "Default string\n",
        },
    )
    facts = read_facts(tmp_path)
    assert facts.machine is None
    assert facts.unknown["machine"] == "not_reported"


@pytest.mark.parametrize(
    ("link", "written", "zone", "reason"),
    [
        (
            "../usr/share/zoneinfo/America/Argentina/Ushuaia",
            None,
            "America/Argentina/Ushuaia",
            None,
        ),
        ("/usr/share/zoneinfo/posix/Asia/Tokyo", None, "Asia/Tokyo", None),
        ("/etc/elsewhere", None, None, "localtime_points_elsewhere"),
        (None, "Asia/Kolkata\n", "Asia/Kolkata", None),
        (None, None, "UTC", None),
    ],
)
def test_the_time_zone(
    tmp_path: Path, link: str | None, written: str | None, zone: str | None, reason: str | None
) -> None:
    (tmp_path / "etc").mkdir()
    if link is not None:
        (tmp_path / "etc/localtime").symlink_to(link)
    if written is not None:
        (tmp_path / "etc/timezone").write_text(written)
    facts = read_facts(tmp_path)
    assert facts.timezone == zone
    assert facts.unknown.get("timezone") == reason


def test_a_copied_zone_file_needs_etc_timezone(tmp_path: Path) -> None:
    write(tmp_path, {"etc/localtime": "TZif2"})
    assert read_facts(tmp_path).unknown["timezone"] == "localtime_is_a_copy"
    write(tmp_path, {"etc/timezone": "Europe/Paris\n"})
    assert read_facts(tmp_path).timezone == "Europe/Paris"


def test_this_machine() -> None:
    facts = read_facts()
    assert facts.hostname == platform.node()
    assert facts.kernel == platform.release()
    assert facts.cpu_count == os.cpu_count()
    assert facts.boot_id is not None
    assert len(facts.boot_id) == 36
    assert facts.memory_total_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert facts.booted_at is not None
    assert facts.os != "Linux"
