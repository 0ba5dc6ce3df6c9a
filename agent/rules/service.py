"""How the agent of a machine is started: as its systemd unit, or by hand where there is none."""

from __future__ import annotations

from collections.abc import Callable

# In the order in which systemd looks for units.
UNIT_FILES = tuple(
    f"{folder}/systemd/system/roost-agent.service"
    for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
# Where nobody can look whether there is a unit.
LOG_HINT = "The agent's log has the details (where it is a service: journalctl -u roost-agent)"


def is_service(exists: Callable[[str], bool]) -> bool:
    """Whether the agent has a unit, by a way to look for files on that machine."""
    return any(map(exists, UNIT_FILES))


def start_command(*, service: bool) -> str:
    """What starts it there; by hand it serves as long as that command runs."""
    return "sudo systemctl start roost-agent" if service else "sudo roost-agent serve"
