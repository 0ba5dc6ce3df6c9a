"""`roost-agent token`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli.token import command


def token(folder: Path, *arguments: str) -> Result:
    config = folder / "agent.yaml"
    config.write_text(f"state: {folder}/state\n", encoding="utf-8")
    return CliRunner().invoke(command, [*arguments, "--config", str(config)])


def test_a_token_is_shown_once_and_listed_without_its_secret(tmp_path: Path) -> None:
    made = token(tmp_path, "make", "maria@plant-7", "--role", "viewer", "--expires", "30d")
    secret = made.stdout.strip()
    assert secret.startswith("roost_")
    listed = token(tmp_path, "ls").stdout
    assert listed.startswith("maria@plant-7\tviewer\texpires 20")
    assert secret not in listed
    assert token(tmp_path, "revoke", "maria@plant-7").exit_code == 0
    assert token(tmp_path, "ls").stdout == ""


@pytest.mark.parametrize("name", ["", "\x1b[31mred", "a b", "x" * 65, "two\nlines"])
def test_a_name_that_would_spoil_a_log_is_refused(tmp_path: Path, name: str) -> None:
    assert token(tmp_path, "make", name).exit_code == 2
    assert token(tmp_path, "ls").stdout == ""


@pytest.mark.parametrize("span", ["soon", "99999999999y", "-1d", "1.5h"])
def test_a_span_that_is_none_is_refused(tmp_path: Path, span: str) -> None:
    result = token(tmp_path, "make", "maria", "--expires", span)
    assert result.exit_code == 2
    assert span in result.output
