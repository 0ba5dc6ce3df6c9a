"""What a person allows a push: the options of `roost image push`."""

from __future__ import annotations

import shlex

import msgspec

from console.tui.look import words


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How archives are sent. None: as much, or as fast, as it takes."""

    bytes_per_second: int | None = None  # to all nodes together
    budget_bytes: int | None = None  # to each node
    quiet: tuple[str, ...] = ()  # hours of each node's day in which nothing is sent: "06:00-22:00"
    via_site: bool = False  # once to each site, whose nodes pass it on
    make_room: bool = False  # nodes may remove images for it; never suggested for the next push

    @property
    def text(self) -> str:
        """ "at most 2M/s, 500M to each node, via site"; "" where there is nothing special."""
        rate, budget = self.bytes_per_second, self.budget_bytes
        parts = [
            f"at most {words.size(rate)}/s" if rate is not None else "",
            f"{words.size(budget)} to each node" if budget is not None else "",
            f"not at {', '.join(self.quiet)}" if self.quiet else "",
            "via site" if self.via_site else "",
            "may remove images" if self.make_room else "",
        ]
        return words.join(parts)

    @property
    def options(self) -> str:
        """The same for the command line, with a blank before each."""
        rate, budget = self.bytes_per_second, self.budget_bytes
        parts = [
            f" --limit {rate}B/s" if rate is not None else "",
            f" --budget {budget}B" if budget is not None else "",
            *(f" --quiet {hours}" for hours in self.quiet),
            " --via-site" if self.via_site else "",
            " --make-room" if self.make_room else "",
        ]
        return "".join(parts)


def command_line(archives: list[str], nodes: list[str], terms: Terms) -> str:
    """`roost image push` for these files and nodes, to paste into a shell."""
    selector = ",".join(f"@{node}" for node in nodes)
    return f"roost image push {shlex.join(archives)} --to {shlex.quote(selector)}{terms.options}"
