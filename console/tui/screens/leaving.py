"""What is asked of who leaves while archives are being sent."""

from __future__ import annotations

from console.text import plural
from console.tui.ports import Context
from console.tui.screens.confirm import ConfirmScreen
from console.tui.widgets.page import BLANK, Entry


def leave_question(context: Context) -> ConfirmScreen:
    """Its answer is whether to leave."""
    pushes = context.pushes
    count = plural(len(pushes.going_on), "node")
    entries = [
        Entry("", f"Leave Roost while it sends to {count}?", "accent"),
        BLANK,
        Entry("", "The sending ends with it. What was sent stays there, and the jobs wait."),
        BLANK,
        *(Entry("Go on later: ", each, "", "accent") for each in pushes.again_words()),
    ]
    return ConfirmScreen(context, entries, title="A push goes on", choice="Leave", keep="Stay")
