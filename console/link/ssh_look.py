"""What an account's shell on the host sees of the agent's socket, without `roost-agent` there."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from agent.rules.service import UNIT_FILES

_PYTHON = (
    "import socket,sys,errno;s=socket.socket(socket.AF_UNIX);s.settimeout(5);"
    "e=s.connect_ex(sys.argv[1]);"
    'print({0:"listens",errno.ECONNREFUSED:"silent"}.get(e,""))'
)
_PERL = (
    "alarm 5;socket(S,AF_UNIX,SOCK_STREAM,0);"
    'print connect(S,sockaddr_un($ARGV[0]))?"listens":$!==ECONNREFUSED?"silent":""'
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the shell said. `asked` is False where there is none, and then all the rest is."""

    asked: bool = False
    there: bool = False
    yours: bool = False
    # None: the host has nothing that could tell for sure.
    listens: bool | None = None
    service: bool = False  # the agent has a systemd unit


def question(path: str) -> str:
    """The command for a shell there. On one line and through sh: the shell may be another kind.

    A socket says whether somebody listens only when it is connected to, with Python or Perl.
    Where there is neither, the kernel's list can say yes; but not no, since an agent in a
    container is in another list.
    """
    literal = re.sub(r"([][.*^$\\])", r"\\\1", path)
    listed = f" 00010000 .* {literal}$"  # __SO_ACCEPTCON
    perl = f'perl -MSocket -MErrno=ECONNREFUSED -e {shlex.quote(_PERL)} "$1"'
    script = "; ".join(
        (
            "echo asked",
            '[ -e "$1" ] && echo there',
            '[ -w "$1" ] && echo yours',
            f'for f in {" ".join(UNIT_FILES)}; do [ -e "$f" ] && echo unit && break; done',
            f'if command -v python3 >/dev/null; then python3 -c {shlex.quote(_PYTHON)} "$1"',
            f"elif command -v perl >/dev/null; then {perl}",
            f"elif grep -q {shlex.quote(listed)} /proc/net/unix; then echo listens",
            "fi",
        )
    )
    return shlex.join(["sh", "-c", script, "sh", path])


def read_answer(output: str) -> Seen:
    """What came of the question; also of a shell that prints other things at its start."""
    words = set(output.split())
    listens = True if "listens" in words else False if "silent" in words else None
    if "asked" not in words:
        return Seen()
    return Seen(
        asked=True,
        there="there" in words,
        yours="yours" in words,
        listens=listens,
        service="unit" in words,
    )
