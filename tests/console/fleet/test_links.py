"""Which link a node gets, and who we say we are."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links, stated_owner


def test_the_owner_is_the_os_user_whatever_the_environment_claims(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    user = pwd.getpwuid(os.getuid()).pw_name
    assert stated_owner().startswith(f"{user}@")
    assert len(stated_owner()) <= 64


def test_an_address_that_is_none() -> None:
    with pytest.raises(ProblemError) as caught:
        Links({}, owner="maria").client(NodeEntry(name="n", address="ftp://n"))
    assert caught.value.code == "fleet.address"


async def test_a_relative_token_file_lies_beside_the_fleet_file(tmp_path: Path) -> None:
    entry = NodeEntry(
        name="n",
        address="https://127.0.0.1:1",
        fingerprint="sha256:" + "0" * 64,
        token_file="tokens/n",
    )
    client = Links({}, owner="maria", token_folder=tmp_path).client(entry)
    with pytest.raises(ProblemError) as caught:
        await client.node()
    assert caught.value.code == "link.token_missing"
    assert str(tmp_path / "tokens/n") in caught.value.detail


def test_a_cached_picture_is_shown_before_the_links_are_imported() -> None:
    code = (
        "import sys, console.fleet.follow, console.fleet.cache, console.fleet.links\n"
        "heavy = ('h11', 'console.link.client', 'console.link.ssh', 'console.link.https')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
