"""The folder of trusted keys: what lies there counts, and what was revoked stays so."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from agent.signatures.public_keys import PublicKey
from agent.store.trusted_keys import TrustedKeys

MARIA, JOAO = PublicKey(bytes(range(32)), "maria"), PublicKey(bytes(32), "joão")


@pytest.fixture(params=["disk", "memory"])
def keys(tmp_path: Path, request: pytest.FixtureRequest) -> TrustedKeys:
    """Empty; on disk the folder is not there yet."""
    return TrustedKeys(tmp_path / "etc" / "keys" if request.param == "disk" else None)


def code_of(call: object, *arguments: str) -> str:
    assert callable(call)
    with pytest.raises(ProblemError) as caught:
        call(*arguments)
    assert caught.value.hint
    return caught.value.code


def states(keys: TrustedKeys) -> dict[str, str]:
    return {key.name: key.state for key in keys.all_keys()}


def test_trusted_until_revoked(keys: TrustedKeys) -> None:
    assert (keys.all_keys(), keys.find(MARIA.fingerprint)) == ([], None)
    keys.trust(MARIA.line)
    keys.trust(f"{MARIA.line}\n")
    keys.trust(JOAO.line)
    assert states(keys) == {"maria": "trusted", "joão": "trusted"}
    assert keys.find(MARIA.fingerprint) == (MARIA, False)
    revoked = keys.revoke(MARIA.fingerprint)
    assert (revoked.state, revoked.fingerprint) == ("revoked", MARIA.fingerprint)
    assert states(keys) == {"maria": "revoked", "joão": "trusted"}
    assert keys.find(MARIA.fingerprint) == (MARIA, True)
    assert code_of(keys.trust, MARIA.line) == "key.revoked"
    keys.revoke(MARIA.fingerprint)  # again does nothing


def test_a_key_that_never_was_trusted_is_revoked_by_its_line(keys: TrustedKeys) -> None:
    assert code_of(keys.revoke, MARIA.fingerprint) == "key.not_found"
    keys.revoke(MARIA.line)
    assert code_of(keys.trust, MARIA.line) == "key.revoked"


def test_the_start_of_a_fingerprint(keys: TrustedKeys) -> None:
    keys.trust(MARIA.line)
    digits = MARIA.fingerprint.removeprefix("sha256:")
    for text in ("", "sha256:", digits[:7], "0" * 8 if digits[0] != "0" else "f" * 8, "../x"):
        assert code_of(keys.revoke, text) == "key.not_found"
    assert keys.revoke(digits[:8].upper()).name == "maria"


def test_what_was_put_there_by_hand(tmp_path: Path) -> None:
    keys = TrustedKeys(tmp_path)
    (tmp_path / "plant.pub").write_text(f"{MARIA.line}\n")
    (tmp_path / "copy.pub").write_text(f"{MARIA.line}\n")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "bad.pub").write_bytes(b"\xff\x00 what")
    found = {key.file: key for key in keys.all_keys()}
    assert set(found) == {"bad.pub", "copy.pub"}
    assert (found["bad.pub"].state, found["bad.pub"].fingerprint) == ("unreadable", None)
    assert found["bad.pub"].reason
    keys.revoke(MARIA.fingerprint)
    left = {path.name for path in tmp_path.iterdir()}
    digits = MARIA.fingerprint.removeprefix("sha256:")
    assert left == {"bad.pub", "notes.txt", f"{digits}.revoked"}
    # It comes back with the next provisioning, and is not trusted.
    (tmp_path / "plant.pub").write_text(f"{MARIA.line}\n")
    assert keys.find(MARIA.fingerprint) == (MARIA, True)
    assert [key.state for key in keys.all_keys() if key.name == "maria"] == ["revoked"]


def test_a_file_of_another_name_does_not_make_a_key_another(tmp_path: Path) -> None:
    """The file's name means nothing; the key in it does."""
    keys = TrustedKeys(tmp_path)
    (tmp_path / f"{MARIA.fingerprint.removeprefix('sha256:')}.pub").write_text(JOAO.line)
    assert keys.find(MARIA.fingerprint) is None


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keys = TrustedKeys(tmp_path / "file")
    assert code_of(keys.all_keys) == "key.storage"
    assert code_of(keys.find, MARIA.fingerprint) == "key.storage"
    assert code_of(keys.trust, MARIA.line) == "key.storage"
    (tmp_path / "folder" / "a.pub").mkdir(parents=True)
    assert code_of(TrustedKeys(tmp_path / "folder").all_keys) == "key.storage"
