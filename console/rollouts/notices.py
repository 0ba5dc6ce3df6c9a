"""Who is told of what happens in a rollout, and what they are told: no I/O."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec

# started, gate: somebody is to promote; trouble: a node failed, or the rollout stops or goes back;
# ended; progress: all else.
On = Literal["started", "gate", "trouble", "ended", "progress"]
ALL: tuple[On, ...] = ("started", "gate", "trouble", "ended", "progress")
# What somebody would want to be woken for, and how it ended.
USUAL: tuple[On, ...] = ("gate", "trouble", "ended")
TIMEOUT_SECONDS = 10.0
# starttls: encrypted before anything is said; tls: from the start; none: to this machine alone.
Tls = Literal["starttls", "tls", "none"]
STARTED = "started"  # why a rollout runs, the first time


class Mail(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """An address, and the SMTP server that takes messages to it."""

    to: str
    sender: str
    host: str
    port: int
    tls: Tls = "starttls"
    user: str | None = None
    password_file: str | None = None
    password_env: str | None = None


class Target(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A webhook, a command or an address. Secrets are named here, by where the runner has them."""

    on: tuple[On, ...] = USUAL
    timeout: float = TIMEOUT_SECONDS
    url: str | None = None
    url_file: str | None = None
    url_env: str | None = None
    secret_file: str | None = None
    secret_env: str | None = None
    command: tuple[str, ...] = ()  # the notice is on its standard input
    mail: Mail | None = None

    @property
    def signed(self) -> bool:
        return bool(self.secret_file or self.secret_env)

    def __str__(self) -> str:
        """For people: never more of an address than its host."""
        if self.command:
            return f"command {self.command[0]}"
        if self.mail is not None:
            return f"email {self.mail.to}"
        if self.url is not None:
            return f"webhook {urlsplit(self.url).hostname or '?'}"
        return f"webhook of {self.url_file or f'${self.url_env}'}"


class Happening(msgspec.Struct, kw_only=True, frozen=True):
    """An event of a rollout, as far as a notice needs it."""

    kind: On
    at: float
    by: str
    what: str
    node: str | None = None
    why: str = ""


class Notice(msgspec.Struct, kw_only=True, frozen=True):
    """What is sent, as JSON. The same `id` may come more than once; what is in it never differs."""

    id: str
    kind: On
    rollout: str
    release: str
    version: str
    state: str
    at: float  # Unix seconds
    by: str
    what: str
    node: str | None
    why: str
    nodes: dict[str, int]  # so many in each stage, at that time


class Subject(msgspec.Struct, kw_only=True, frozen=True):
    """The rollout that a notice is about, as it was at that time."""

    rollout: str
    release: str
    version: str
    state: str
    nodes: dict[str, int]


def notices_for(
    targets: Sequence[Target], subject: Subject, happenings: Sequence[Happening]
) -> list[tuple[Target, Notice]]:
    """For each target those that it wants, in order."""
    return [
        (
            target,
            Notice(
                id=secrets.token_hex(16),
                kind=each.kind,
                at=each.at,
                by=each.by,
                what=each.what,
                node=each.node,
                why=each.why,
                **msgspec.structs.asdict(subject),
            ),
        )
        for target in targets
        for each in happenings
        if each.kind in target.on
    ]
