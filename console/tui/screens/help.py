"""Every key of a screen, from the registry, and all views."""

from __future__ import annotations

from console.tui.action import GROUPS, Scope
from console.tui.actions import offered_on
from console.tui.keys import key_words
from console.tui.ports import Context
from console.tui.screens.dialog import TextDialog
from console.tui.views import VIEW_HELP, usage
from console.tui.widgets.page import BLANK, Entry

_KEY_WIDTH = 13
_VIEW_WIDTH = 23


class HelpScreen(TextDialog):
    """Escape or `?` closes it."""

    def __init__(self, context: Context, scope: Scope) -> None:
        super().__init__(context, help_entries(context, scope), title=f"Keys: {scope}")


def help_entries(context: Context, scope: Scope) -> list[Entry]:
    """The actions of a screen by group; those that this console may not do say so."""
    entries: list[Entry] = []
    actions = offered_on(scope)
    for group in GROUPS:
        members = [action for action in actions if action.group == group]
        if not members:
            continue
        entries += [BLANK, Entry("", group, "accent")] if entries else [Entry("", group, "accent")]
        for action in members:
            key = key_words(context.keymap.get(action.id, action.key))
            text = action.help
            if action.danger != "none":
                text += " (asks first)"
            if action.role != "viewer" and context.profile.read_only:
                text += " (not here: this console is read-only)"
            entries.append(Entry(f" {key:<{_KEY_WIDTH}}", text, "", "key"))
        if group == "Go":
            entries += [BLANK, Entry("", "Views, typed after :", "accent")]
            entries += [
                Entry(f" {usage(view):<{_VIEW_WIDTH}}", about.text, "", "key")
                for view, about in VIEW_HELP.items()
            ]
    return entries
