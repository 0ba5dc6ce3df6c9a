"""What tests must leave as it was: this machine's firewall, network interfaces and accounts."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

FIREWALLS = (
    "iptables-legacy-save",
    "iptables-nft-save",
    "ip6tables-legacy-save",
    "ip6tables-nft-save",
)
ACCOUNTS = ("passwd", "shadow", "group")
FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")


def snapshot() -> dict[str, list[str]]:
    """Firewall rules without counters, interfaces with addresses, forwarding, account files."""
    seen = {name: _rules(name) for name in FIREWALLS if shutil.which(name)}
    seen["interfaces"] = _interfaces()
    for name in FORWARDING:
        file = Path("/proc/sys", name)
        if file.exists():
            seen[name] = file.read_text().split()
    for name in ACCOUNTS:
        file = Path("/etc", name)
        if os.access(file, os.R_OK):
            seen[name] = [hashlib.sha256(file.read_bytes()).hexdigest()]
    return seen


def _rules(command: str) -> list[str]:
    done = subprocess.run([command], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    return [re.sub(r"\[\d+:\d+\]", "", line).strip() for line in lines]


def _interfaces() -> list[str]:
    done = subprocess.run(
        ["ip", "-json", "address", "show"], capture_output=True, text=True, check=True
    )
    return sorted(
        " ".join([link["ifname"], *sorted(f"{a['local']}/{a['prefixlen']}" for a in addresses)])
        for link in json.loads(done.stdout)
        for addresses in [link["addr_info"]]
    )
