"""A finding in lines for people."""

from __future__ import annotations

import textwrap

from agent.protocol.findings import Finding
from console.cli.output import width
from console.text import clean

_READABLE = 100


def finding_lines(finding: Finding, *, indent: str = "") -> list[str]:
    """What is wrong, why, and how to mend it."""
    texts = (
        (f"{finding.severity:<10}", finding.title + f" ({finding.subject})"),
        (f"{'':<10}why:  ", finding.cause),
        (f"{'':<10}mend: ", finding.mend),
    )
    return [line for head, text in texts for line in _wrap(indent + head, text)]


def _wrap(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        clean(text),
        min(width(), _READABLE),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        # A command in it stays in one piece, to be copied.
        break_long_words=False,
        break_on_hyphens=False,
    )
