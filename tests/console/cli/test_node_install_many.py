"""`roost node install` on more hosts than are worked on at a time, by an ssh that plays them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from agent.protocol.kits import FORMAT
from console.kits.reading import read_kit
from tests.console.cli.commands import roost

pytestmark = pytest.mark.timeout(60)

HOSTS = 20
# What it is told to run is its last word. The kit is there already, and there is no systemd.
SSH = """#!/bin/sh
for last; do :; done
case " $* " in *" -G "*) exit 0 ;; esac
case $last in
*uname*) echo x86_64; echo root; echo 0; echo /usr/bin/python3 ;;
*check*) cat >/dev/null; echo '{checked}' ;;
*mkdir*) echo {size} ;;
*sha256sum*) echo {digest} ;;
*install*) echo '{{"says": "installed"}}' ;;
esac
"""


def test_more_hosts_than_at_a_time(tmp_path: Path) -> None:
    kit = tmp_path / "roost-agent-1-x86_64.pyz"
    about = {"format": FORMAT, "version": "1", "id": "1-a", "arch": "x86_64", "glibc": "2.31"}
    with zipfile.ZipFile(kit, "w") as file:
        file.writestr("__main__.py", "")
        file.writestr("kit.json", json.dumps({**about, "files": []}))
    checked = json.dumps({"version": "1", "id": "1-a", "facts": {}, "plan": ["install it"]})
    ssh = tmp_path / "ssh"
    ssh.write_text(
        SSH.format(checked=checked, size=kit.stat().st_size, digest=read_kit(kit).sha256)
    )
    ssh.chmod(0o755)
    hosts = tmp_path / "hosts.txt"
    hosts.write_text("".join(f"ssh://node{number}\n" for number in range(HOSTS)))
    done = roost(
        tmp_path, "node", "install", "--list", hosts, "--kit", kit, "--yes", "--json",
        env={"ROOST_SSH": str(ssh)},
    )  # fmt: skip
    assert done.code == 0, done
    assert [record["done"] for record in done.json] == [True] * HOSTS
