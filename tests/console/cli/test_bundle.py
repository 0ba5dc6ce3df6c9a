"""`roost bundle make|show|verify|diff`, as a person runs them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.archives.bundle_manifest import SIGNATURE
from agent.archives.bundle_reading import read_bundle
from tests.archives_made import Entry, Made, docker_archive, layer
from tests.bundles_made import entries_of, manifest_of, packed
from tests.console.cli.commands import ROOST, Done, environment, roost

# Each starts several programs.
pytestmark = pytest.mark.timeout(60)

BASE = layer("base", 50_000)
Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`roost bundle ...` of a person who has a key."""
    assert roost(tmp_path, "key", "make", "--name", "maria").code == 0
    for number in (1, 2):
        file = tmp_path / f"app-{number}.tar"
        file.write_bytes(docker_archive([Made([BASE, layer(str(number))], tags=[f"app:{number}"])]))
    return lambda *arguments: roost(tmp_path, "bundle", *arguments)


def spoil(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def test_show_says_what_is_in_it(run: Run, tmp_path: Path) -> None:
    old, new = tmp_path / "old.bundle", tmp_path / "new.bundle"
    made = run("make", "-o", old, tmp_path / "app-1.tar")
    assert made.code == 0, made
    shown = run("show", old)
    assert shown.out == made.out
    assert "(maria)" in shown.out
    assert "app:1" in shown.out
    assert run("make", "-o", new, tmp_path / "app-2.tar", "--since", old, "--unsigned").code == 0
    shown = run("show", new)
    assert "needs     old.bundle, for 60 KiB of its content" in shown.out
    assert "signed    by nobody" in shown.out
    differences = run("diff", old, new).out.splitlines()
    assert [line.split()[:2] for line in differences[1:]] == [
        ["app:1", "removed"],
        ["app:2", "added"],
    ]


def test_who_has_no_key_is_told(tmp_path: Path, run: Run) -> None:
    (tmp_path / "config" / "roost" / "signing.key").unlink()
    made = run("make", "-o", tmp_path / "out", tmp_path / "app-1.tar")
    assert (made.code, "it is not signed: you have no key" in made.err) == (0, True)
    refused = run("make", "-o", tmp_path / "b", tmp_path / "app-1.tar", "--key", tmp_path / "none")
    assert (refused.code, "roost key make" in refused.err) == (1, True)
    assert not (tmp_path / "b").exists()


def test_verify_finds_damage_and_strangers(run: Run, tmp_path: Path) -> None:
    bundle = tmp_path / "out.bundle"
    public = tmp_path / "config" / "roost" / "signing.key.pub"
    assert run("make", "-o", bundle, tmp_path / "app-1.tar").code == 0
    verified = run("verify", bundle, "--key", public)
    assert (verified.code, verified.err) == (0, "")
    assert "compare the fingerprint" in run("verify", bundle).err

    other = tmp_path / "other"
    assert roost(tmp_path, "key", "make", "-o", other).code == 0
    stranger = run("verify", bundle, "--key", f"{other}.pub")
    assert (stranger.code, "not by a key that was named" in stranger.err) == (1, True)
    unsigned = tmp_path / "unsigned.bundle"
    assert run("make", "-o", unsigned, "--unsigned", tmp_path / "app-1.tar").code == 0
    assert run("verify", unsigned).code == 0
    nobody = run("verify", unsigned, "--key", public)
    assert (nobody.code, "nobody has signed it" in nobody.err) == (1, True)

    spoil(bundle, bundle.stat().st_size // 2)
    damaged = run("verify", bundle)
    assert (damaged.code, "hint: " in damaged.err) == (1, True)
    bundle.write_bytes(bundle.read_bytes()[:-100])
    short = run("show", bundle)
    assert (short.code, "the bundle's end is missing" in short.err) == (1, True)
    archive = run("show", tmp_path / "app-1.tar")
    assert (archive.code, "it is not a bundle" in archive.err) == (1, True)
    assert run("show", tmp_path / "none").code == 1


def test_a_manifest_that_was_changed_after_signing(run: Run, tmp_path: Path) -> None:
    """Everything in it fits, but the signature is for what it was before."""
    bundle = tmp_path / "out.bundle"
    assert run("make", "-o", bundle, tmp_path / "app-1.tar").code == 0
    _, seal = read_bundle(bundle).head
    other = Made([BASE, layer("evil")], tags=["app:1"])
    entries = [Entry(SIGNATURE, seal), *entries_of([other])]
    bundle.write_bytes(packed(manifest_of([other]), entries))
    verified = run("verify", bundle)
    assert (verified.code, "did not sign it as it is" in verified.err) == (1, True)
    assert "WRONG, it was changed after signing" in run("show", bundle).out


def test_a_file_that_may_not_grow_so_large(run: Run, tmp_path: Path) -> None:
    """As on a FAT stick; what was there before stays, and nothing else."""
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "out").write_bytes(b"before")
    done = subprocess.run(
        [
            "prlimit",
            "--fsize=8192",
            ROOST,
            "bundle",
            "make",
            "-o",
            stick / "out",
            tmp_path / "app-1.tar",
        ],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "FAT stick" in done.stderr) == (1, True), done
    assert [(path.name, path.read_bytes()) for path in stick.iterdir()] == [("out", b"before")]


def test_what_cannot_be_written_is_told(run: Run, tmp_path: Path) -> None:
    refused = run("make", "-o", tmp_path / "none" / "out", tmp_path / "app-1.tar")
    assert (refused.code, "hint: " in refused.err) == (1, True)
    assert run("make", "-o", tmp_path, tmp_path / "app-1.tar").code == 2
