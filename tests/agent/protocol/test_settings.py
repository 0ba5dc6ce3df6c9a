"""Mistakes in settings are told with file, line and the nearest key."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from agent.settings import Settings, load_settings, parse_settings


def problem(text: str) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        parse_settings(text, file="agent.yaml")
    return caught.value


def test_an_unknown_key_names_line_and_nearest() -> None:
    error = problem("name: t4\noperator_sock: /run/x.sock\n")
    assert error.code == "settings.unknown_key"
    assert error.detail == "agent.yaml, line 2: unknown key 'operator_sock'"
    assert error.hint == "Did you mean 'operator_socket'?"
    assert error.params["nearest"] == "operator_socket"


def test_an_unknown_key_deep_inside() -> None:
    error = problem("name: t4\nhttps:\n  address: 0.0.0.0:7443\n  adress: x\n")
    assert "line 4" in error.detail
    assert error.hint == "Did you mean 'address'?"


def test_nothing_near_lists_what_is_known() -> None:
    error = problem("zzz: 1\n")
    assert error.hint is not None
    assert "operator_socket" in error.hint


def test_a_value_of_the_wrong_kind() -> None:
    error = problem("name: t4\n\nhttps:\n  address: [1]\n")
    assert error.code == "settings.invalid"
    assert error.detail.startswith("agent.yaml, line 4: ")
    assert "https.address" in error.detail


def test_broken_yaml_names_the_line() -> None:
    error = problem("name: t4\nhttps: {address: x\n")
    assert error.code == "settings.syntax"
    assert error.params["line"] == 3


def test_a_document_that_is_no_mapping() -> None:
    assert problem("- a\n- b\n").code == "settings.invalid"


def test_paths_are_paths() -> None:
    assert parse_settings("state: /srv/roost\n", file="x").state == Path("/srv/roost")
    error = problem("state: [1]\n")
    assert error.detail == "agent.yaml, line 1: expected `Path`, got `list` at state"


def test_an_empty_file_means_the_defaults() -> None:
    settings = parse_settings("# nothing yet\n", file="agent.yaml")
    assert settings.group == Settings().group


def test_a_file_that_is_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        load_settings(tmp_path / "agent.yaml")
    assert caught.value.code == "settings.unreadable"


def test_a_socket_may_be_turned_off() -> None:
    assert parse_settings("viewer_socket: null\n", file="x").viewer_socket is None


@pytest.mark.parametrize("given", ["certificate", "key"])
def test_a_certificate_without_its_key_is_told(given: str) -> None:
    error = problem(f"https:\n  {given}: /etc/roost/tls.pem\n")
    assert error.code == "settings.invalid"
    assert f"https.{given} is given" in error.detail


def test_brackets_without_end_are_told() -> None:
    assert problem("[" * 5000).code == "settings.syntax"


def test_an_empty_name_is_told() -> None:
    assert "line 1" in problem("name: ''\n").detail


def test_what_the_node_insists_on() -> None:
    settings = parse_settings("policy: {require_signature: true}\n", file="agent.yaml")
    assert settings.policy.require_signature
    assert not Settings().policy.require_signature
    assert Settings().trusted_keys == Path("/etc/roost/trusted-keys")
    error = problem("policy:\n  require_signatures: true\n")
    assert "line 2" in error.detail
    assert error.hint == "Did you mean 'require_signature'?"


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        ("name: t4\n", 80.0),
        ("alerts: {gpu_memory_percent: 92.5}\n", 92.5),
        ("alerts: {gpu_memory_percent: null}\n", None),
    ],
)
def test_when_the_memory_of_a_gpu_is_told(text: str, percent: float | None) -> None:
    assert parse_settings(text, file="x").alerts.gpu_memory_percent == percent


def test_a_percentage_is_one() -> None:
    error = problem("alerts:\n  gpu_memory_percent: 120\n")
    assert error.code == "settings.invalid"
    assert error.detail.startswith("agent.yaml, line 2: ")
