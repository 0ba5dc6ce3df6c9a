"""A problem in full: its code, what is wrong, and what to do."""

from __future__ import annotations

from agent.protocol.problems import Problem
from console.tui.ports import Context
from console.tui.screens.dialog import TextDialog
from console.tui.widgets.page import BLANK, Entry


class ProblemScreen(TextDialog):
    """Shown over the screen where it happened."""

    def __init__(self, context: Context, problem: Problem, *, about: str = "") -> None:
        entries = [Entry("", problem.title, "bad"), BLANK, Entry("", problem.detail)]
        if problem.hint:
            entries += [BLANK, Entry("Do: ", problem.hint, "", "accent")]
        entries += [BLANK, Entry("code ", problem.code, "dim")]
        super().__init__(context, entries, title=about or "Problem")
        self.problem = problem
