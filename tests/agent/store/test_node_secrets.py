"""The folder of secrets: modes, replacing, leftovers, and what is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from agent.protocol.node_secrets import SECRET_LIMIT_BYTES
from agent.protocol.problems import ProblemError
from agent.store import node_secrets
from agent.store.node_secrets import NodeSecrets

VALUE = b"hunter2"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_set_listed_replaced_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "secrets"
    secrets = NodeSecrets(folder)
    assert secrets.all() == {}
    at = secrets.set("camera", VALUE)
    assert (mode(folder), mode(folder / "camera")) == (0o700, 0o444)
    assert (folder / "camera").read_bytes() == VALUE
    assert secrets.all() == {"camera": at}
    secrets.set("camera", b"other\n")
    assert (folder / "camera").read_bytes() == b"other\n"
    secrets.remove("camera")
    assert list(folder.iterdir()) == []
    with pytest.raises(ProblemError) as gone:
        secrets.remove("camera")
    assert gone.value.code == "secret.not_found"


def test_what_a_crash_left_goes_and_an_open_folder_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    left = tmp_path / ".camera.abc.tmp"
    left.write_bytes(VALUE)
    secrets = NodeSecrets(tmp_path)
    assert secrets.all() == {}
    secrets.set("other", VALUE)
    assert [file.name for file in tmp_path.iterdir()] == ["other"]
    assert mode(tmp_path) == 0o700


@pytest.mark.parametrize("name", ["", ".hidden", "../escape", "a/b", "a" * 64, "-x", "a b"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "secrets"
    with pytest.raises(ProblemError) as refused:
        NodeSecrets(folder).set(name, VALUE)
    assert refused.value.code == "secret.invalid"
    with pytest.raises(ProblemError) as refused:
        NodeSecrets(folder).remove(name)
    assert refused.value.code == "secret.invalid"
    assert not folder.exists()


def test_links_and_folders_are_no_secrets(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(VALUE)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "folder").mkdir()
    assert set(NodeSecrets(tmp_path).all()) == {"target"}


@pytest.mark.parametrize(
    ("value", "code"),
    [(b"", "secret.invalid"), (b"x" * (SECRET_LIMIT_BYTES + 1), "request.too_large")],
)
def test_values_that_are_refused(tmp_path: Path, value: bytes, code: str) -> None:
    with pytest.raises(ProblemError) as refused:
        NodeSecrets(tmp_path / "secrets").set("camera", value)
    assert refused.value.code == code
    assert not (tmp_path / "secrets").exists()


def test_there_may_be_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_secrets, "SECRETS_LIMIT", 1)
    secrets = NodeSecrets(tmp_path)
    secrets.set("one", VALUE)
    secrets.set("one", b"again")
    with pytest.raises(ProblemError) as refused:
        secrets.set("two", VALUE)
    assert refused.value.code == "secret.too_many"


def test_a_folder_that_cannot_be_is_told_without_the_value(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProblemError) as refused:
        NodeSecrets(tmp_path / "file" / "secrets").set("camera", VALUE)
    assert refused.value.code == "secret.storage"
    assert VALUE.decode() not in str(refused.value)


def test_a_simulated_node_has_none() -> None:
    with pytest.raises(ProblemError) as refused:
        NodeSecrets(None).set("camera", VALUE)
    assert refused.value.code == "secret.simulated"
