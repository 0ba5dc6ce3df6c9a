"""In a container: whether what agent.yaml names is the machine's, and outlives the container."""

from __future__ import annotations

from pathlib import Path

from agent.host.real_paths import ROOT, here
from agent.protocol.problems import ProblemError
from agent.settings import Settings


def see_own_places(settings: Settings, root: Path) -> None:
    """`root` is the machine's. Blocks.

    Raises:
        ProblemError: `settings.invalid`: it would be lost with the container, or is not in it.
    """
    if root == ROOT:
        return
    https = settings.https
    named = {
        "state": settings.state,
        "operator_socket": settings.operator_socket,
        "admin_socket": settings.admin_socket,
        "viewer_socket": settings.viewer_socket,
        "trusted_keys": settings.trusted_keys,
        "secrets": settings.secrets,
        "compatibility": settings.compatibility,
        "https.certificate": https.certificate if https else None,
        "https.key": https.key if https else None,
    }
    for key, path in named.items():
        if path is not None and not _is_the_same(path, root):
            raise ProblemError(
                "settings.invalid",
                f"{key}: {path} is not the machine's where the agent runs in a container",
                params={"key": key, "path": str(path)},
                hint="Name a path below /etc/roost, /var/lib/roost or /run/roost: those it has.",
            )


def _is_the_same(path: Path, root: Path) -> bool:
    """Of what is not there yet: whether it would be made in the same folder."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return path.samefile(here(path, root))
    except OSError:
        return False
