"""Reads `x-roost.rollout.notify`: who is told of what happens."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from console.compose.reading import Place
from console.rollouts.mail_file import read_mails
from console.rollouts.notices import ALL, Mail, Target
from console.rollouts.secret_names import wrong_name

TARGETS_LIMIT = 20
LONGEST_TIMEOUT = 60.0
_WAYS = ("webhook", "command", "email")
_ADDRESSES = ("url", "url_file", "url_env")
_SECRETS = ("secret_file", "secret_env")
_LIKE = (
    "Write it like webhook: {url: https://example.org/hook}, command: [/usr/bin/tell] or"
    " email: {to: ops@example.org, from: roost@example.org, server: mail.example.org}."
)


def read_notify(place: Place) -> tuple[Target, ...]:
    """The targets; what is wrong is noted."""
    items = place.items()
    if len(items) > TARGETS_LIMIT:
        place.wrong(f"has {len(items)} entries", f"It may have {TARGETS_LIMIT}.")
        return ()
    return tuple(target for item in items for target in _targets(item))


def _targets(item: Place) -> list[Target]:
    """One; of an email one for each who gets it, so that none keeps another up."""
    if item.known((*_WAYS, "on", "timeout")) is None:
        return []
    webhook, command, email = (item.get(way) for way in _WAYS)
    if sum(each is not None for each in (webhook, command, email)) != 1:
        item.wrong("is not one webhook, one command or one email", _LIKE)
        return []
    said: dict[str, Any] = {}
    mails: list[Mail] = [] if email is None else read_mails(email)
    if webhook is not None:
        said = _webhook(webhook)
    elif command is not None:
        argv = tuple(command.texts())
        if argv and not argv[0].startswith("/"):
            command.wrong(f"begins with {argv[0][:60]!r}", "Write the program's absolute path.")
        said = {"command": argv} if argv else {}
    if on := item.get("on"):
        words = [word for each in on.one_or_more() if (word := each.one_of(ALL)) is not None]
        said["on"] = tuple(dict.fromkeys(words))
    if (timeout := item.get("timeout")) and (seconds := timeout.seconds()) is not None:
        if not 0 < seconds <= LONGEST_TIMEOUT:
            timeout.wrong("is too long or nothing", f"It may be {LONGEST_TIMEOUT:g}s at most.")
        said["timeout"] = seconds
    if email is not None:
        return [Target(**said, mail=mail) for mail in mails]
    return [Target(**said)] if said.keys() & {*_ADDRESSES, "command"} else []


def _webhook(place: Place) -> dict[str, Any]:
    if place.known((*_ADDRESSES, *_SECRETS)) is None:
        return {}
    for keys, what in ((_ADDRESSES, "address"), (_SECRETS, "secret")):
        if sum(place.get(key) is not None for key in keys) > 1:
            place.wrong(f"has more than one {what}", f"Keep one of {', '.join(keys)}.")
    if not any(place.get(key) for key in _ADDRESSES):
        place.wrong("has no address", f"Give it one of {', '.join(_ADDRESSES)}.")
    said: dict[str, Any] = {}
    for key in (*_ADDRESSES, *_SECRETS):
        value = place.get(key)
        text = None if value is None else value.text()
        if value is None or text is None:
            continue
        if wrong := wrong_name(key, text) if "_" in key else _wrong_url(text):
            value.wrong(*wrong)
        else:
            said[key] = text
    return said


def _wrong_url(text: str) -> tuple[str, str] | None:
    """What is wrong with it, and what to do."""
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not text.isascii() or not text.isprintable() or " " in text:
        return "is no address of a webhook", "Write it like https://example.org/hook."
    if parts.username is not None or parts.query:
        # Everybody who may read the release and the journal would read it.
        return "has a secret in it", "Put the whole address into a file or a variable: url_file."
    return None
