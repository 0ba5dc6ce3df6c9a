"""Addresses, good and bad."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.problems import ProblemError
from console.link.address import ADMIN_SOCKET, AGENT_SOCKET, Address, admin_address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/roost/agent.sock", Address(kind="unix", path="/run/roost/agent.sock")),
        ("ssh://cam-7", Address(kind="ssh", host="cam-7", path=AGENT_SOCKET)),
        (
            "ssh://ops@10.0.0.7:2222",
            Address(kind="ssh", host="10.0.0.7", user="ops", port=2222, path=AGENT_SOCKET),
        ),
        (
            "ssh://cam-7/run/roost/view.sock",
            Address(kind="ssh", host="cam-7", path="/run/roost/view.sock"),
        ),
        (
            "ssh://[fe80::1%eth0]:22",
            Address(kind="ssh", host="fe80::1%eth0", port=22, path=AGENT_SOCKET),
        ),
        ("https://node.example", Address(kind="https", host="node.example", port=7443)),
        ("https://[2001:db8::7]:8443/", Address(kind="https", host="2001:db8::7", port=8443)),
    ],
)
def test_the_three_ways(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("cam-7", "names no way"),
        ("http://cam-7:7443", "plaintext"),
        ("tcp://cam-7", "tcp:// is not a way"),
        ("unix://run/agent.sock", "absolute path"),
        ("unix:///a\nb", "absolute path"),
        ("ssh://", "names no host"),
        ("ssh://-oProxyCommand=evil", "no host that could be meant"),
        ("ssh://-l@host", "no host that could be meant"),
        ("ssh://host name", "no host that could be meant"),
        ("ssh://host:70000", "70000 is not a port"),
        ("ssh://host/a\x1b[2Jb", "control characters"),
        ("https://user@host", "nothing else"),
        ("https://host/path", "nothing else"),
        ("", "names no way"),
    ],
)
def test_what_cannot_be_reached_is_told(text: str, why: str) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_address(text)
    assert caught.value.code == "fleet.address"
    assert why in caught.value.detail
    assert caught.value.hint is not None
    assert "\x1b" not in caught.value.detail


@given(st.text())
def test_any_text_is_an_address_or_a_problem(text: str) -> None:
    with contextlib.suppress(ProblemError):
        address = parse_address(text)
        assert parse_address(str(address)) == address
        assert not address.host.startswith("-")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("unix:///run/roost/agent.sock", ADMIN_SOCKET),
        ("unix:///srv/a/operator.sock", "/srv/a/admin.sock"),
        ("ssh://cam-7", ADMIN_SOCKET),
        ("ssh://cam-7/run/roost/view.sock", ADMIN_SOCKET),
        ("https://cam-7", ""),
    ],
)
def test_where_an_admin_calls(text: str, path: str) -> None:
    address = parse_address(text)
    admin = admin_address(address)
    assert admin.path == path
    assert (admin.kind, admin.host, admin.port) == (address.kind, address.host, address.port)
