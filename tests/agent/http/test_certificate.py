"""The agent's certificate and its fingerprint."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest

from agent.http.certificate import ensure_certificate, fingerprint


def test_of_a_chain_the_first_certificate_is_pinned(tmp_path: Path) -> None:
    own, _ = ensure_certificate(tmp_path / "a", name="t4")
    other, _ = ensure_certificate(tmp_path / "b", name="authority")
    chain = tmp_path / "chain.pem"
    chain.write_text(
        f"subject=CN t4 \u00e9\n{own.read_text()}{other.read_text()}", encoding="utf-8"
    )
    assert fingerprint(chain) == fingerprint(own)
    assert fingerprint(chain) != fingerprint(other)


def test_a_fingerprint_is_that_of_the_der_form(tmp_path: Path) -> None:
    own, _ = ensure_certificate(tmp_path, name="t4")
    der = ssl.PEM_cert_to_DER_cert(own.read_text())
    assert fingerprint(own) == "sha256:" + hashlib.sha256(der).hexdigest()


def test_a_file_without_a_certificate_is_told(tmp_path: Path) -> None:
    _, key = ensure_certificate(tmp_path, name="t4")
    with pytest.raises(ValueError, match="no certificate"):
        fingerprint(key)


def test_a_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    _, key = ensure_certificate(tmp_path, name="t4")
    assert key.stat().st_mode & 0o077 == 0
