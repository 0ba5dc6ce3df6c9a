"""`roost secret`: passwords and keys that workloads of a node get as files."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "set": ("console.cli.secret_act:set_secret", "keep a value on a node, under a name"),
    "ls": ("console.cli.secret_act:list_secrets", "list the names, and when they were set"),
    "rm": ("console.cli.secret_act:rm", "remove one that no workload uses"),
}


@click.group("secret", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Keep secrets on nodes. A workload names them, and has each as a file below /run/secrets.

    Values go to the node and are shown nowhere again. It needs an admin: root or sudo on the
    node over ssh, an admin's token over https.
    """
