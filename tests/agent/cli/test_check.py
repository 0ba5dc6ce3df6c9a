"""`roost-agent check` tells the fingerprint that a console is to be compared with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agent.cli.shown_certificate import shown_certificate
from agent.http.certificate import ensure_certificate, fingerprint
from agent.settings import HttpsSettings, Settings

AGENT = Path(sys.executable).with_name("roost-agent")


def check(folder: Path, *arguments: str, **settings: object) -> str:
    config = folder / "agent.yaml"
    own = {"state": str(folder / "state"), "runtime": f"unix://{folder}/no-runtime.sock"}
    config.write_text(yaml.safe_dump(own | settings), encoding="utf-8")
    command: list[str | Path] = [AGENT, "check", "--config", config, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.timeout(60)
def test_the_fingerprint_is_printed(tmp_path: Path) -> None:
    certificate, _ = ensure_certificate(tmp_path / "state", name="t4")
    https = {"address": "127.0.0.1:7443"}
    expected = fingerprint(certificate)
    assert f"https     127.0.0.1:7443, {expected}\n" in check(tmp_path, https=https)
    told = json.loads(check(tmp_path, "--json", https=https))
    assert told["https"] == {"address": "127.0.0.1:7443", "fingerprint": expected, "reason": None}


@pytest.mark.timeout(60)
def test_without_https_nothing_is_said_of_it(tmp_path: Path) -> None:
    assert "\nhttps " not in check(tmp_path)
    assert json.loads(check(tmp_path, "--json"))["https"]["fingerprint"] is None


def test_why_there_is_none(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path, https=HttpsSettings())
    assert "first start" in (shown_certificate(settings).reason or "")
    own = tmp_path / "own.pem"
    settings.https = HttpsSettings(certificate=own, key=tmp_path / "own.key")
    assert shown_certificate(settings).reason == f"there is no {own}"
    own.write_text("junk")
    assert "no certificate in PEM form" in (shown_certificate(settings).reason or "")
    assert not (tmp_path / "tls.crt").exists()
