"""A fake root folder: files written where the machine would have them."""

from __future__ import annotations

from pathlib import Path

OS_RELEASE = """\
PRETTY_NAME="Ubuntu 22.04.4 LTS"
NAME="Ubuntu"
# a comment
VERSION_ID="22.04"
ID=ubuntu
"""
CPUINFO = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) E-2278GE\nprocessor\t: 1\n"
STAT = """\
cpu  100 0 100 800 0 0 0 0 0 0
cpu0 50 0 50 400 0 0 0 0 0 0
cpu1 50 0 50 400 0 0 0 0 0 0
intr 1 2 3
btime 1760000000
"""
MEMINFO = """\
MemTotal:       16000000 kB
MemFree:         1000000 kB
MemAvailable:   12000000 kB
SwapTotal:       2000000 kB
SwapFree:        1500000 kB
"""
BOOT_ID = "6f1b0a5e-0000-4000-8000-00000000abcd"


def write(root: Path, files: dict[str, str]) -> Path:
    """Write `files` (path below the root to text); a text starting with "#!" is executable."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if text.startswith("#!"):
            path.chmod(0o755)
    return root


def server(root: Path) -> Path:
    """An ordinary Ubuntu server with two processors."""
    write(
        root,
        {
            "etc/os-release": OS_RELEASE,
            "proc/sys/kernel/hostname": "plant-7-a\n",
            "proc/sys/kernel/osrelease": "5.15.0-105-generic\n",
            "proc/sys/kernel/random/boot_id": f"{BOOT_ID}\n",
            "proc/cpuinfo": CPUINFO,
            "proc/stat": STAT,
            "proc/meminfo": MEMINFO,
            "proc/loadavg": "0.50 0.40 0.30 1/200 4242\n",
            "sys/class/dmi/id/sys_vendor": "Supermicro\n",
            "sys/class/dmi/id/product_name": "SYS-E300\n",
        },
    )
    (root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    return root
