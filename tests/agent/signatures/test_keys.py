"""Keys: made, read, told apart; other programs read them, too."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.problems import ProblemError
from agent.signatures.public_keys import CONTEXT, LINE_LIMIT, parse_public_key, signs
from agent.signatures.signing_keys import make_key, read_key

MANIFEST = b'{"format":1}'


def test_a_key_signs_and_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "key"
    key = make_key(file, name="maria at plant 7")
    assert (file.stat().st_mode & 0o777, file.parent.is_dir()) == (0o600, True)
    again = read_key(file)
    assert again.public == key.public
    assert again.public.name == "maria at plant 7"
    signed = again.sign(MANIFEST)
    public = parse_public_key(signed.key)
    assert public == key.public
    assert signs(public, MANIFEST, signed.signature)
    assert not signs(public, MANIFEST + b" ", signed.signature)
    assert not signs(public, MANIFEST, signed.signature[:-1])
    assert not signs(public, MANIFEST, b"")
    assert not signs(
        parse_public_key(make_key(tmp_path / "b", name="").public.line), MANIFEST, signed.signature
    )


def test_a_signature_for_something_else_is_none_of_a_manifest(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", name="")
    raw = key._private.sign(MANIFEST)
    assert not signs(key.public, MANIFEST, raw)
    assert signs(key.public, MANIFEST, key._private.sign(CONTEXT + MANIFEST))


@pytest.mark.parametrize("full_at", [1, 2])
def test_a_full_disk_leaves_no_half_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: int
) -> None:
    synced: list[int] = []

    def fsync(handle: int) -> None:
        synced.append(handle)
        if len(synced) == full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ProblemError, match="No space left") as raised:
        make_key(tmp_path / "key", name="maria")
    assert raised.value.code == "key.unwritable"
    assert list(tmp_path.iterdir()) == []


def test_other_programs_read_them(tmp_path: Path) -> None:
    file = tmp_path / "key"
    key = make_key(file, name="maria")
    line = Path(f"{file}.pub").read_text()
    said = subprocess.run(
        ["ssh-keygen", "-l", "-f", f"{file}.pub"], capture_output=True, text=True, check=True
    ).stdout
    digest = base64.b64decode(said.split()[1].removeprefix("SHA256:") + "=").hex()
    assert key.public.fingerprint == f"sha256:{digest}"
    assert "maria (ED25519)" in said
    blob = base64.b64decode(line.split()[1])
    assert key.public.fingerprint == f"sha256:{hashlib.sha256(blob).hexdigest()}"


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "key"
    make_key(file, name="")
    before = file.read_bytes()
    with pytest.raises(ProblemError) as caught:
        make_key(file, name="")
    assert caught.value.code == "key.exists"
    Path(f"{file}.pub").unlink()
    with pytest.raises(ProblemError) as caught:
        make_key(file, name="")
    assert caught.value.code == "key.exists"
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProblemError) as caught:
        make_key(tmp_path / "file" / "key", name="")
    assert caught.value.code in {"key.unwritable", "key.exists"}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_private_key_that_others_can_read(tmp_path: Path, mode: int) -> None:
    make_key(tmp_path / "key", name="")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(ProblemError) as caught:
        read_key(tmp_path / "key")
    assert caught.value.code == "key.open"
    assert "chmod 600" in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["rsa", "locked", "none", "public", "missing"])
def test_files_that_are_no_such_key(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "key"
    command = ["openssl", "genpkey", "-quiet", "-out", str(file)]
    if kind == "rsa":
        subprocess.run([*command, "-algorithm", "RSA"], check=True, capture_output=True)
    elif kind == "locked":
        more = ["-algorithm", "ed25519", "-aes256", "-pass", "pass:secret"]
        subprocess.run([*command, *more], check=True, capture_output=True)
    elif kind == "none":
        file.write_bytes(b"\xff not PEM")
    elif kind == "public":
        make_key(tmp_path / "other", name="")
        file.write_bytes((tmp_path / "other.pub").read_bytes())
    if file.exists():
        file.chmod(0o600)
    with pytest.raises(ProblemError) as caught:
        read_key(file)
    assert caught.value.code == "key.unreadable"
    assert caught.value.hint


LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBWBpDQmvvC1aFxEoJvuQwKGUeZ2Q1lR7c5rMHQwxgAZ maria"


def test_a_line_is_read() -> None:
    key = parse_public_key(f"  {LINE}\n")
    assert (key.name, key.line) == ("maria", LINE)
    assert parse_public_key(LINE.removesuffix(" maria")).name == ""
    assert parse_public_key(f"{LINE} of\x1b[2Jplant 7").name == "maria of?[2Jplant 7"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-rsa AAAAB3NzaC1yc2E=",
        "ssh-ed25519 !!!",
        "ssh-ed25519 AAAA",
        LINE.replace("AAAAC3", "AAAAC4"),
        LINE.replace("gAZ", "gAZAAAA"),
        f"{LINE}\n{LINE}",
        "-----BEGIN PRIVATE KEY----- MC4CAQ",
        f"{LINE} {'x' * LINE_LIMIT}",
        "\ud800 \ud800",
    ],
)
def test_lines_that_are_no_key(line: str) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_public_key(line)
    assert caught.value.code == "key.invalid"
    assert caught.value.hint


@given(st.text(max_size=120) | st.text(max_size=60).map(lambda text: f"ssh-ed25519 {text}"))
def test_any_line(line: str) -> None:
    with contextlib.suppress(ProblemError):
        key = parse_public_key(line)
        assert parse_public_key(key.line) == key
