"""What a snapshot leaves out: values of secrets, and what looks like one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.protocol.decoding import from_plain
from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import WITHHELD
from agent.protocol.workloads import Workload
from agent.rules.secretive import follows_option, secretive, without_secrets
from agent.snapshots.sealing import Seals

# A shorter value of a secret is only looked for as a whole text: "1" would be everywhere.
LEAST_PART = 6
# A long secret is found by its lines, too: a key in PEM may be anywhere in pieces.
LEAST_LINE = 16
_HIDDEN = "<withheld: a secret is in it>"
_SETTINGS = "/agent.yaml"  # in a seal's place; no workload is called so
# Names and words that have a form of their own. `check_nothing_told` looks at them, too.
_PLAIN = frozenset(
    {
        *("name", "image", "variants", "depends_on", "restarts_with", "secrets", "strategy"),
        *("restart", "gpu", "ports", "engine"),
    }
)
_WORDS = frozenset({"kind", "type", "protocol"})


class Withheld(msgspec.Struct, frozen=True):
    """A workload without what must not be told, and where that was."""

    workload: Workload
    places: list[str]  # "environment.TOKEN", "command.2"
    seals: dict[str, str]  # of what was there, and of the environment's values that are told


def withhold(
    workload: Workload,
    secrets: Sequence[bytes],
    *,
    environment: bool = False,
    seals: Seals | None = None,
) -> Withheld:
    """The workload without secrets.

    Args:
        secrets: the values of the node's secrets.
        environment: whether values of the environment may be told that do not look like secrets.
        seals: what seals values that are withheld, and those of the environment that are told: a
            snapshot that withholds them is compared with one that does not.
    """
    hidden = _Hidden(secrets)
    values: dict[str, str] = {}
    plain = msgspec.to_builtins(workload)
    told = _without(plain, "", hidden, values, environment=environment)
    sealable: dict[str, str] = {}
    _without(plain, "", hidden, sealable, environment=False)
    sealed = {
        place: seals(workload.name, place, value.encode())
        for place, value in sealable.items()
        if seals is not None
    }
    return Withheld(from_plain(told, Workload), list(values), sealed)


def withhold_settings(
    configuration: Mapping[str, str], secrets: Sequence[bytes], seals: Seals | None
) -> tuple[dict[str, str], dict[str, str]]:
    """The texts of agent.yaml by key, and seals of those in whose stead it says what is there."""
    hidden = _Hidden(secrets)
    told, sealed = dict(configuration), {}
    for key, text in configuration.items():
        if hidden.told_by(text):
            told[key] = _HIDDEN
            if seals is not None:
                sealed[key] = seals(_SETTINGS, key, text.encode())
    return told, sealed


def check_nothing_told(document: bytes, secrets: Sequence[tuple[str, bytes]]) -> None:
    """See once more that no value of a secret is in a document that is ready to go out.

    Raises:
        ProblemError: `snapshot.secret`, with the name of the secret.
    """
    for name, value in secrets:
        for piece in _pieces(value):
            if len(piece) >= LEAST_PART and _in_json(piece) in document:
                raise ProblemError(
                    "snapshot.secret",
                    f"the value of the secret {name} is also somewhere else on the node",
                    params={"secret": name},
                    hint="A name, label or path has the same text. Change that or the secret.",
                )


def _in_json(piece: bytes) -> bytes:
    return msgspec.json.encode(piece.decode(errors="replace"))[1:-1]


def _pieces(value: bytes) -> list[bytes]:
    """A value, and its longer lines: without what surrounds them."""
    lines = [line.strip() for line in value.splitlines()]
    return [value.strip(), *(line for line in lines if len(line) >= LEAST_LINE)]


class _Hidden:
    def __init__(self, secrets: Sequence[bytes]) -> None:
        pieces = {piece.decode(errors="replace") for value in secrets for piece in _pieces(value)}
        self._whole = pieces - {""}
        self._parts = [piece for piece in self._whole if len(piece) >= LEAST_PART]

    def told_by(self, text: str) -> bool:
        if text.strip() in self._whole or any(piece in text for piece in self._parts):
            return True
        return without_secrets(text) != text


def _without(
    value: Any, place: str, hidden: _Hidden, values: dict[str, str], *, environment: bool
) -> Any:
    if isinstance(value, dict):
        return {
            key: each
            if key in (_WORDS if place else _PLAIN)
            else _without(each, _below(place, key), hidden, values, environment=environment)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [
            _element(value, number, place, hidden, values, environment=environment)
            for number in range(len(value))
        ]
    if not isinstance(value, str) or not value:
        return value
    if place.startswith("environment."):
        named = secretive(place.partition(".")[2], value)
        out = not environment or named or hidden.told_by(value)
    else:
        out = hidden.told_by(value) or _called_secret(place, value)
    if out:
        values[place] = value
    return WITHHELD if out else value


def _element(
    elements: list[Any],
    number: int,
    place: str,
    hidden: _Hidden,
    values: dict[str, str],
    *,
    environment: bool,
) -> Any:
    """One of a list: what follows `--password` is one."""
    here = _below(place, str(number))
    if follows_option(elements, number):
        values[here] = str(elements[number])
        return WITHHELD
    return _without(elements[number], here, hidden, values, environment=environment)


def _called_secret(place: str, value: str) -> bool:
    """Whether it is the value of a label or an option that is called like a secret."""
    top, _, rest = place.partition(".")
    if top not in ("labels", "log_options", "sysctls") and ".driver_options." not in place:
        return False
    return secretive(rest.rpartition("driver_options.")[2], value)


def _below(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key
