"""`roost agent kit sign|show`, with the real command."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from agent.archives.kits import write_zip
from tests.console.cli.commands import roost
from tests.kits_made import small_kit

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    (tmp_path / "kits").mkdir()
    return small_kit(tmp_path / "kits")


def test_signed_it_says_by_whom_and_is_the_same_kit(tmp_path: Path, kit: Path) -> None:
    before = roost(tmp_path, "agent", "kit", "show", kit, "--json").json
    assert before[0]["signer"] is None
    made = roost(tmp_path, "key", "make", "--name", "maria").out.strip()
    done = roost(tmp_path, "agent", "kit", "sign", kit)
    assert (done.code, f"signed by {made} (maria)" in done.out) == (0, True)
    after = roost(tmp_path, "agent", "kit", "show", kit, "--json").json
    assert after[0]["signer"] == {"fingerprint": made, "name": "maria"}
    assert after[0]["id"] == before[0]["id"]
    # Signed again nothing changes: the signature has its own place.
    data = kit.read_bytes()
    assert roost(tmp_path, "agent", "kit", "sign", kit).code == 0
    assert kit.read_bytes() == data


def test_what_was_changed_after_it_was_signed_is_used_by_nobody(tmp_path: Path, kit: Path) -> None:
    roost(tmp_path, "key", "make", "--name", "maria")
    roost(tmp_path, "agent", "kit", "sign", kit)
    with zipfile.ZipFile(kit) as whole:
        files = [(name, whole.read(name)) for name in whole.namelist()]
    changed = kit.with_name("changed.pyz")
    write_zip(
        changed,
        [(name, data + b"\n" if name == "__main__.py" else data) for name, data in files],
        compress=False,
    )
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(json.dumps({"nodes": [{"name": "a", "address": "unix:///nowhere"}]}))
    for words in (
        ("agent", "kit", "show", changed),
        ("agent", "kit", "sign", changed),
        ("--fleet", fleet, "agent", "upgrade", "@a", "--kit", changed),
        ("node", "install", "ssh://nowhere", "--kit", changed),
    ):
        done = roost(tmp_path, *words)
        assert done.code == 1
        assert "what was signed is another kit" in done.err, words


def test_a_wheel_that_was_changed_is_seen_here(tmp_path: Path) -> None:
    kit = small_kit(tmp_path, wheel=b"not what the list says")
    done = roost(tmp_path, "agent", "kit", "show", kit)
    assert (done.code, "is not as it was made" in done.err) == (1, True)
