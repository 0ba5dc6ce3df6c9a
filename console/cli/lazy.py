"""Groups whose commands are imported when they are used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

MEANT = 3  # commands that are named for one that there is not


class LazyGroup(click.Group):
    """A group whose members are `command` of a module, or another name after a colon.

    Args:
        lazy: a command's name to its module and what it is about, in a few words.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), attribute or "command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self._lazy and not ctx.resilient_parsing:
            near = [repr(each) for each in self._meant(ctx, args[0])]
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"no such command {args[0]!r}{meant}")
        return super().resolve_command(ctx, args)

    def _meant(self, ctx: click.Context, word: str) -> list[str]:
        """Only who mistypes pays for it."""
        from difflib import get_close_matches

        groups = {name: self.get_command(ctx, name) for name in self._lazy}
        with_noun = [
            f"{name} {word}"
            for name, group in groups.items()
            if isinstance(group, LazyGroup) and word in group.list_commands(ctx)
        ]
        with_noun.sort(key=lambda each: not each.startswith("node "))  # what they are about first
        return with_noun[:MEANT] or get_close_matches(word, self._lazy, 1)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names without the modules behind them: who presses Tab waits for it."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        from click.shell_completion import CompletionItem

        return [
            CompletionItem(name, help=about)
            for name, (_, about) in self._lazy.items()
            if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in self._lazy.items()])
