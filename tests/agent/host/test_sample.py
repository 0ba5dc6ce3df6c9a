"""The machine's figures."""

from __future__ import annotations

from pathlib import Path

from agent.host.linux import LinuxHost
from agent.host.sample import HostSampler
from agent.host.source import HostSource
from tests.agent.host.tree import STAT, server, write


def test_figures_of_a_fake_machine(tmp_path: Path) -> None:
    sampler = HostSampler(server(tmp_path))
    sample = sampler.sample()
    assert sample.memory_total_bytes == 16_000_000 * 1024
    assert sample.memory_used_bytes == 4_000_000 * 1024
    assert sample.swap_used_bytes == 500_000 * 1024
    assert sample.load_1min == 0.5
    assert sample.cpu_percent is None  # a share needs two readings
    assert sample.unknown == {"cpu_percent": "not_ready"}
    sampler.close()


def test_cpu_is_the_busy_share_between_two_samples(tmp_path: Path) -> None:
    sampler = HostSampler(server(tmp_path))
    sampler.sample()
    # 100 ticks later: 30 busy (10 of them stolen), 60 idle, 10 waiting for a disk
    write(tmp_path, {"proc/stat": STAT.replace("100 0 100 800 0 0 0 0", "110 0 110 860 10 0 0 10")})
    assert sampler.sample().cpu_percent == 30.0
    # no tick since: the last figure stands
    assert sampler.sample().cpu_percent == 30.0
    sampler.close()


def test_unreadable_files_are_reasons(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": "MemTotal: 5 kB\n", "proc/loadavg": "what?\n"})
    sample = HostSampler(tmp_path).sample(["/gone"])
    assert sample.cpu_percent is None
    assert sample.memory_total_bytes == 5 * 1024
    assert sample.memory_used_bytes is None
    assert sample.swap_used_bytes is None
    assert sample.load_1min is None
    assert sample.disk_free_bytes == {}
    assert sample.unknown == {
        "cpu_percent": "missing",
        "memory_used_bytes": "not_reported",
        "swap_used_bytes": "not_reported",
        "load_1min": "not_understood",
        "disk_free_bytes./gone": "missing",
    }


def test_the_files_stay_open_and_are_given_back() -> None:
    def mine() -> list[str]:
        links = list(Path("/proc/self/fd").iterdir())
        names = [str(link.readlink()) for link in links if link.is_symlink()]
        return sorted(n for n in names if n in ("/proc/stat", "/proc/meminfo", "/proc/loadavg"))

    before = mine()
    sampler = HostSampler()
    for _ in range(3):
        sampler.sample()
    assert len(mine()) == len(before) + 3
    sampler.close()
    assert mine() == before
    assert sampler.sample().memory_total_bytes is not None  # opens them again
    sampler.close()


def test_this_machine() -> None:
    host = LinuxHost()
    source: HostSource = host
    disks = source.disks(runtime_dir=None)
    source.sample()
    sample = source.sample()
    assert set(sample.disk_free_bytes) == {disk.path for disk in disks}
    assert sample.memory_total_bytes == source.facts().memory_total_bytes
    assert sample.memory_used_bytes is not None
    assert 0 < sample.memory_used_bytes < sample.memory_total_bytes
    assert sample.cpu_percent is None or 0 <= sample.cpu_percent <= 100
    assert sample.load_1min is not None
    host.close()
