"""`roost key`: who may sign what nodes load."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "make": ("console.cli.key_make:make", "make a key to sign with"),
    "sign": ("console.cli.key_make:sign", "sign the images of an archive, in a file beside it"),
    "ls": ("console.cli.key_trust:list_keys", "list the keys that a node trusts"),
    "trust": ("console.cli.key_trust:trust", "have a node trust a key"),
    "revoke": ("console.cli.key_trust:revoke", "have a node never trust a key again"),
}


@click.group("key", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Make keys, sign with them, and say which of them nodes trust.

    A node with `policy: {require_signature: true}` in its agent.yaml loads only images that a
    key it trusts has signed.
    """
