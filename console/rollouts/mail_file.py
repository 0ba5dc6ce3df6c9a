"""Reads `email` of `x-roost.rollout.notify`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from console.compose.reading import Place
from console.rollouts.notices import Mail, Tls
from console.rollouts.secret_names import wrong_name

RECIPIENTS_LIMIT = 20
_KEYS = ("to", "from", "server", "tls", "user", "password_file", "password_env")
_TLS: Mapping[str, Tls] = {"starttls": "starttls", "tls": "tls", "none": "none"}
_PORTS: Mapping[Tls, int] = {"starttls": 587, "tls": 465, "none": 25}
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")


def read_mails(place: Place) -> list[Mail]:
    """One for each address; none where something is wrong, which is noted."""
    if place.known(_KEYS) is None:
        return []
    to, sender, server = place.get("to"), place.get("from"), place.get("server")
    if to is None or sender is None or server is None:
        place.wrong("is not whole", "It needs to, from and server.")
        return []
    given = to.one_or_more()
    if len(given) > RECIPIENTS_LIMIT:
        to.wrong(f"has {len(given)} addresses", f"It may have {RECIPIENTS_LIMIT}: use a list.")
        return []
    word = found.one_of(_TLS) if (found := place.get("tls")) else "starttls"
    if word is None:
        return []
    tls = _TLS[word]
    addresses, by = [_address(each) for each in given], _address(sender)
    where, login = _server(server, tls), _login(place)
    if by is None or where is None or login is None or None in addresses:
        return []
    return [
        Mail(to=each, sender=by, host=where[0], port=where[1], tls=tls, **login)
        for each in dict.fromkeys(filter(None, addresses))
    ]


def _address(place: Place) -> str | None:
    text = place.text()
    if text is not None and _ADDRESS.fullmatch(text) is None:
        place.wrong(f"is {text[:60]!r}, which is no address", "Write it like ops@example.org.")
        return None
    return text


def _server(place: Place, tls: Tls) -> tuple[str, int] | None:
    """Its host and port."""
    text = place.text()
    if text is None:
        return None
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    plain = text.isascii() and text.isprintable() and not set(text) & set(" /?#@")
    if not host or not plain or port == 0:
        hint = "Write it like mail.example.org or mail.example.org:587."
        place.wrong(f"is {text[:60]!r}, which is no server", hint)
        return None
    if tls == "none" and not _here(host):
        place.wrong("is another machine, and tls is none", "Say tls: starttls or tls: tls.")
        return None
    return host, port or _PORTS[tls]


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _login(place: Place) -> dict[str, str] | None:
    """User, and where the password is; empty: none is needed. None: it is noted what is wrong."""
    found: dict[str, str] = {}
    for key in ("user", "password_file", "password_env"):
        value = place.get(key)
        text = None if value is None else value.text()
        if value is None:
            continue
        if text is None:
            return None
        if key != "user" and (wrong := wrong_name(key, text)):
            value.wrong(*wrong)
            return None
        found[key] = text
    if found and ("user" not in found or len(found) != 2):
        hint = "Say user, and one of password_file and password_env."
        place.wrong("has a user without one password, or a password without a user", hint)
        return None
    return found
