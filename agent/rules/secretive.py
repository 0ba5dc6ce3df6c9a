"""What looks like a secret in texts that go out, and those texts without it. Pure.

It goes by names and forms, so it takes away too much rather than too little. A password that
stands somewhere without a name is not found.
"""

from __future__ import annotations

import re
import string
from typing import Any

REMOVED = "<removed>"
# Whoever is called so has a secret for a value, also as a part of the name: "DB_PASSWORD".
_STRONG = (
    "(?:pass(?:word|wd|phrase)?|pwd|secret|credential|auth|(?:api|access|private)[_-]?key"
    "|dsn|webhook|cookie|jwt|salt|signature|(?:api|access|bearer|refresh|bot)[_-]?tokens?)"
)
# So are counts called, too ("MAX_TOKENS"), and what has to do with words ("--tokenizer").
_COUNTED = r"(?:token(?!i[sz]|s(?![a-z])))"
# At the end of a name, and not as letters of another word: "LICENSE_KEY", "DB_PW", "licenseKey".
_END = r"(?:(?:(?<![a-z0-9])(?:key|pw|sig)|(?-i:(?<=[a-z])Key))(?![\w-]))"
_REST = r"[\w-]{0,64}"  # bounded: a text may be a megabyte without a space
_NAME = f"(?:(?:{_STRONG}|{_COUNTED}){_REST}|{_END})"
# Without an end to it, as in a text that was cut: up to the line's.
_QUOTED = r"\"[^\"]*\"|'[^']*'|[\"'][^\n]*"
# Commas are of it, but where the next option follows one: "password=a,b,uid=0".
_UNQUOTED = r"[^\s,;\"'}\]]+(?:,(?![\w.-]{1,64}=)[^\s,;\"'}\]]+)*"
_STRONGLY = re.compile(f"{_STRONG}|{_END}", re.IGNORECASE)
_SECRETIVE = re.compile(f"{_STRONG}|{_COUNTED}|{_END}", re.IGNORECASE)
_NUMBER = re.compile(r"[\d.,_]+")
# Whose values are all taken away: an environment's names alone are told.
_ENVIRONMENTS = frozenset({"environment", "env"})
# Fields of Roost's own that are called so and tell none: names of secrets, codes, counts.
_OWN = frozenset({"secrets", "token_file", "tokens", "secret_names"})
_DIGEST = re.compile(r"(?:sha256:)?[0-9a-f]{12,}")  # what Roost calls a key of its own
# Programs to which -p says a password; with others it is as often a port or a folder.
_ASKING = r"(?:mysql|mariadb|sshpass)[\w-]{0,16}"
_ASKS = re.compile(rf"(?:.*/)?{_ASKING}", re.DOTALL)
_NO_PASSWORD = re.compile(r"[\d.:\[\]]+(?:/(?:tcp|udp))?|[./~$].*", re.DOTALL)
# "me:hunter2", and neither "1000:1000" nor "http://..."
_USER = r"(?!\d+:\d+(?!\S)|\w+://)[^\s:\"']{1,64}:[^\s\"']+"
_LOGIN = re.compile(_USER)
_SSH = frozenset({"ssh", "sftp", "git+ssh", "rsync"})
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A private key, whole, or up to where the text ends.
    (
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z)",
            re.DOTALL,
        ),
        REMOVED,
    ),
    # Addresses that are all that one needs to write to somebody's channel.
    (
        re.compile(
            r"(hooks\.slack\.com/|discord(?:app)?\.com/api/webhooks/|webhook\.office\.com/)"
            r"[^\s\"']+",
            re.IGNORECASE,
        ),
        rf"\1{REMOVED}",
    ),
    (re.compile(r"(/bot)\d{5,20}:[\w-]{20,}"), rf"\1{REMOVED}"),  # Telegram
    # Tokens that their makers gave a beginning.
    (
        re.compile(
            r"\b(?:gh[oprsu]_\w{6,}|github_pat_\w{6,}|glpat-[\w-]{6,}|xox[abeoprs]-[\w-]{6,}"
            r"|hf_[A-Za-z0-9]{16,}|nvapi-[\w-]{16,}|sk-[\w-]{20,}|A(?:K|S)IA[A-Z0-9]{16}"
            r"|AIza[\w-]{30,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
        ),
        REMOVED,
    ),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {REMOVED}"),
    # Roost's own tokens.
    (re.compile(r"\broost_[\w-]{43}(?![\w-])"), REMOVED),
    (
        re.compile(rf"(\b{_ASKING}\s(?:[^\n|;&]{{0,200}}?\s)?-p\s?)(?![\s-])({_QUOTED}|[^\s\"']+)"),
        rf"\1{REMOVED}",
    ),
    (
        re.compile(rf"((?<![\w-])(?:-u|--(?:proxy-)?user)[ =][\"']?){_USER}"),
        rf"\1{REMOVED}",
    ),
)
# What is left of a private key that lacks its begin, as in a text that was cut there.
_KEY_END = re.compile(
    r"(?:(?<![A-Za-z0-9+/=\\])[A-Za-z0-9+/=\\]+)?-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----"
)
_KEY_LETTERS = frozenset(string.ascii_letters + string.digits + "+/=")
_KEY_LINE = 40  # its lines have 64 letters, or 70; the last one has fewer
# A user's part of an address, up to the last @: passwords have / and @ in them, too.
_ADDRESS = re.compile(r"([a-z0-9+.-]{0,32})://([^\s\"'<>]{1,512})", re.IGNORECASE)
# Named values; the name is looked at again with its value.
_NAMED = (
    re.compile(
        rf"(?P<name>(?<![\w-])--?{_REST}{_NAME})(?P<between>\s+)(?!-)(?P<value>{_QUOTED}|\S+)",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?P<name>{_NAME})(?P<between>[\"']?\s*[=:]\s*)(?P<value>{_QUOTED}|{_UNQUOTED})",
        re.IGNORECASE,
    ),
)


def secretive(name: str, value: str) -> bool:
    """Whether what is called so ("DB_PASSWORD", "--auth-token", "x-api-key") is a secret.

    A number that is called a token is a count of them.
    """
    if _SECRETIVE.search(name) is None:
        return False
    return _NUMBER.fullmatch(value.strip("\"'")) is None or _STRONGLY.search(name) is not None


def without_secrets(text: str) -> str:
    """A text without what looks like a secret in it."""
    text = _ADDRESS.sub(_address, text)
    for form, instead in _FORMS:
        text = form.sub(instead, text)
    if _KEY_END.search(text) is not None:
        text = "\n".join(_without_ends_of_keys(text.split("\n")))
    for form in _NAMED:
        text = form.sub(_named, text)
    return text


def _without_ends_of_keys(lines: list[str]) -> list[str]:
    """Whole keys are gone by now: an end is that of one whose begin was cut off."""
    kept: list[str] = []
    for line in lines:
        without, ends = _KEY_END.subn(REMOVED, line)
        if ends:
            if kept and kept[-1] and kept[-1].rstrip()[-1:] in _KEY_LETTERS:
                kept.pop()  # it may be short
            while kept and _is_of_key(kept[-1].rstrip()):
                kept.pop()
        kept.append(without)
    return kept


def _is_of_key(line: str) -> bool:
    return len(line) >= _KEY_LINE and _KEY_LETTERS.issuperset(line[-_KEY_LINE:])


def _address(found: re.Match[str]) -> str:
    scheme, rest = found.groups()
    user, at, host = rest.rpartition("@")
    first = user.partition("/")[0]
    # A name alone is known to whoever may use ssh; an @ in a path is no user's, nor a digest's.
    alone = ":" not in first and (scheme.lower() in _SSH or "/" in user)
    alone = alone or host.startswith("sha256:")
    return found[0] if alone or not at else f"{scheme}://{REMOVED}@{host}"


def _named(found: re.Match[str]) -> str:
    if not secretive(found["name"], found["value"]):
        return found[0]
    return f"{found['name']}{found['between']}{REMOVED}"


def plain_without_secrets(value: Any) -> Any:
    """The same for a decoded JSON document: also by the names of its fields."""
    return _without(value)


def _without(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        if key.lower() in _ENVIRONMENTS:
            return dict.fromkeys(value, REMOVED)
        return {name: _field(name, each) for name, each in value.items()}
    if isinstance(value, list):
        if key.lower() in _ENVIRONMENTS:
            return [_assigned(each) for each in value]
        return [_element(value, number) for number in range(len(value))]
    return without_secrets(value) if isinstance(value, str) else value


def _field(name: str, value: Any) -> Any:
    if isinstance(value, str) and value and name not in _OWN and secretive(name, value):
        return value if name == "key" and _DIGEST.fullmatch(value) else REMOVED
    return _without(value, name)


def _element(values: list[Any], number: int) -> Any:
    """One of a list: what follows `--password` is one."""
    return REMOVED if follows_option(values, number) else _without(values[number])


def follows_option(values: list[Any], number: int) -> bool:
    """Whether this one of a list of words is the value of an option like `--password`."""
    before, value = values[number - 1] if number else None, values[number]
    if not isinstance(value, str) or not isinstance(before, str):
        return False
    if value.startswith("-"):
        program = values[0]
        glued = value.startswith("-p") and len(value) > len("-p")
        return glued and isinstance(program, str) and _ASKS.fullmatch(program) is not None
    if before == "-p":
        return _NO_PASSWORD.fullmatch(value) is None
    if before in ("-u", "--user", "--proxy-user"):
        return _LOGIN.fullmatch(value) is not None
    return before.startswith("-") and "=" not in before and secretive(before, value)


def _assigned(value: Any) -> Any:
    """`NAME=VALUE` of an environment that is a list."""
    if not isinstance(value, str):
        return _without(value)
    name, equals, _ = value.partition("=")
    return f"{name}={REMOVED}" if equals else REMOVED
