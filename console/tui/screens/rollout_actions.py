"""What is done to rollouts: wishes that their runner takes, starting plans, starting runners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.protocol.problems import ProblemError
from console.rollouts.effects import TAKES_BACK, check, counted, going_back, tried_again
from console.rollouts.record import Rollout, Wish
from console.rollouts.wishes import may_retry, why_not
from console.rollouts.words import how_lines, unsteered_lines
from console.text import plural
from console.tui.action import Action
from console.tui.rollouts import Desk, Followed
from console.tui.rows.rollout import rollout_entries
from console.tui.rows.rollouts import release_words
from console.tui.screens.base import View
from console.tui.widgets.page import BLANK, Entry

_SAYS: dict[Wish, str] = {
    "promote": "The wave that runs is let through, or is watched no longer at this weight.",
    "resume": "It goes on; failures so far are taken as seen.",
    "retry": "Nodes that are offline, refused it or went back are tried again.",
}
_WISHES: dict[str, Wish] = {
    "rollout.promote": "promote",
    "rollout.pause": "pause",
    "rollout.resume": "resume",
    "rollout.abort": "abort",
    "rollout.retry": "retry",
    "rollout.undo": "undo",
}
_CHOICES: dict[Wish, str] = {"abort-all": "Abort all", "undo-at-once": "Undo at once"}


class RolloutActions(View):
    """For screens that are about rollouts."""

    def subject(self) -> Rollout | None:
        """The rollout that an action is about."""
        raise NotImplementedError

    def look_again(self) -> None:
        """Something was done: read the journal now."""
        raise NotImplementedError

    @property
    def desk(self) -> Desk:
        """Raises ProblemError `console.usage`: this console has none."""
        desk = self.context.rollouts.desk
        if desk is None:
            raise ProblemError("console.usage", "This console steers no rollouts.")
        return desk

    def is_usable(self, action: Action) -> bool:
        """The footer offers what can be done just now."""
        rollout = self.subject()
        if not super().is_usable(action) or rollout is None:
            return not action.id.startswith("rollout.")
        if action.id in _WISHES:
            return why_not(rollout, _WISHES[action.id], self.desk.by) is None
        if action.id == "rollout.start":
            return rollout.state == "planned"
        return action.id != "rollout.steer" or self.is_lone()

    def is_lone(self) -> bool:
        """Whether nobody steers it, and somebody should."""
        raise NotImplementedError

    def show_bars(self) -> None:
        super().show_bars()
        self.footer.bring_up_to_date()

    # wishes

    def act_rollout_pause(self) -> None:
        """Nothing is lost by it, and it may be urgent: it does not ask."""
        rollout = self._possible("pause")
        if rollout is not None:
            self._wish(rollout, "pause")

    def act_rollout_resume(self) -> None:
        self._ask_for("resume")

    def act_rollout_promote(self) -> None:
        self._ask_for("promote")

    def act_rollout_retry(self) -> None:
        self._ask_for("retry")

    def act_rollout_abort(self) -> None:
        self._ask_for("abort")

    def act_rollout_abort_all(self) -> None:
        self._ask_for("abort-all")

    def act_rollout_undo(self) -> None:
        self._ask_for("undo")

    def act_rollout_undo_at_once(self) -> None:
        self._ask_for("undo-at-once")

    def _possible(self, wish: Wish) -> Rollout | None:
        """The rollout; None where there is none, or it cannot be done: that was told."""
        rollout = self.subject()
        if rollout is None:
            self.say("There is no rollout here.")
        elif self.is_working:
            self.say("Something is still going on: Esc cancels it.", "warn")
        else:
            try:
                check(rollout, wish, by=self.desk.by)
            except ProblemError as problem:
                self.show_problem(problem.problem(), about=wish)
            else:
                return rollout
        return None

    def _ask_for(self, wish: Wish) -> None:
        rollout = self._possible(wish)
        if rollout is None:
            return
        told = [*counted(rollout, wish)] if wish in TAKES_BACK else [_SAYS[wish]]
        if wish == "promote":
            told.insert(0, _promoted(rollout))
        elif wish == "retry":
            told.insert(0, _retried(rollout))
        touched = set[str]()
        if wish in TAKES_BACK:
            touched = going_back(rollout, wish)
        elif wish == "retry":
            nodes = self.context.fleet.nodes
            touched = {
                name
                for name in tried_again(rollout)
                if name in nodes and nodes[name].entry.production
            }
        self._confirm(
            rollout,
            _CHOICES.get(wish, wish.capitalize()),
            told,
            touched,
            lambda: self._wish(rollout, wish),
            danger=wish in TAKES_BACK,
            always_typed=wish == "undo-at-once",
        )

    def _confirm(
        self,
        rollout: Rollout,
        choice: str,
        told: list[str],
        touched: set[str],
        then: Callable[[], None],
        *,
        danger: bool = False,
        always_typed: bool = False,
    ) -> None:
        """Ask, with Cancel focused. The release's name is typed where more than one node, or one
        in production, is `touched`."""
        from console.tui.screens.confirm import ConfirmScreen

        nodes = self.context.fleet.nodes
        production = sorted(
            name for name in touched if name in nodes and nodes[name].entry.production
        )
        entries = [
            Entry("", f"{choice} rollout {rollout.id}, {release_words(rollout)}?", "accent"),
            BLANK,
            *(Entry("", line) for line in told),
        ]
        if production:
            named = ", ".join(production[:5]) + (" and more" if len(production) > 5 else "")
            entries += [BLANK, Entry("", f"PRODUCTION: {named}", "bad")]
        must_type = always_typed or len(touched) > 1 or bool(production)

        def answered(go: bool | None) -> None:  # noqa: FBT001  # Textual's callback
            if go:
                then()

        self.app.push_screen(
            ConfirmScreen(
                self.context,
                entries,
                title="PRODUCTION" if production else choice,
                choice=choice,
                typed=_typed(rollout, choice) if must_type else None,
                danger=danger or bool(production),
            ),
            answered,
        )

    def _wish(self, rollout: Rollout, wish: Wish) -> None:
        desk, name = self.desk, rollout.id

        def do() -> str:
            from console.rollouts.locks import locked

            journal = desk.journal()
            check(journal.load(name), wish, by=desk.by)
            journal.wish(name, wish, by=desk.by)
            steered = "" if locked(journal.folder, name) else f": {desk.steer(name)}"
            return f"{wish}: told to the runner of {name}{steered}"

        self._carry(do, f"{wish}: writing it into the journal ...", name)

    # plans and runners

    def act_rollout_start(self) -> None:
        rollout = self.subject()
        if rollout is None:
            self.say("There is no rollout here.")
            return
        if rollout.state != "planned":
            self.say(f"It was started before: it is {rollout.state}.")
            return
        names = {node.name for node in rollout.nodes if node.stage == "planned"}
        told = [
            f"It goes to {plural(len(names), 'node')} in {plural(rollout.waves, 'wave')}.",
            *how_lines(rollout),
        ]
        self._confirm(rollout, "Start", told, names, lambda: self._start(rollout))

    def _start(self, rollout: Rollout) -> None:
        desk, name = self.desk, rollout.id
        self._carry(lambda: desk.start(name), "trying every node as a runner reaches it ...", name)

    def act_rollout_steer(self) -> None:
        """See that somebody steers it."""
        rollout = self.subject()
        if rollout is None:
            self.say("There is no rollout here.")
        elif not rollout.wants_runner:
            self.say(f"It is {rollout.state}: there is nothing to steer.")
        else:
            desk, name = self.desk, rollout.id

            def do() -> str:
                from console.rollouts.locks import locked

                if locked(desk.journal().folder, name):
                    return f"a runner is at work on {name} already"
                return desk.steer(name)

            self._carry(do, "starting a runner ...", name)

    def _carry(self, do: Callable[[], str], words: str, rollout_id: str) -> None:
        """Beside the screen; what came of it is said, and the journal is read again."""

        async def work() -> None:
            said = await asyncio.to_thread(do)
            self.context.rollouts.asked_to_steer(rollout_id)
            self.call_later(self._tell, said)
            self.call_later(self.look_again)

        self.begin(work(), words)

    def _tell(self, said: str) -> None:
        """What came of it; where the last line is too short for it, in a window."""
        from console.tui.screens.dialog import TextDialog

        if len(said) < self.app.size.width:
            self.say(said, "good")
        else:
            self.app.push_screen(TextDialog(self.context, [Entry("", said)], title="Done"))

    # looking

    def act_rollout_history(self) -> None:
        rollout = self.subject()
        if rollout is not None:
            self.host.drill(f"history {rollout.id}")

    def show_all(self, followed: Followed) -> None:
        """How it goes out, and what the letters mean."""
        from console.tui.screens.dialog import TextDialog

        entries = [*rollout_entries(followed, self.context.look.glyphs)]
        for line in unsteered_lines(followed.rollout, steered=followed.steered):
            entries.insert(0, Entry("", line, "bad"))
        title = f"rollout {followed.rollout.id}"
        self.app.push_screen(TextDialog(self.context, entries, title=title))

    def act_rollout_bell(self) -> None:
        """Ring the terminal's bell, or not."""
        board = self.context.rollouts
        board.bell = not board.bell
        self.show_bars()
        sounds = "rings when a rollout needs a person" if board.bell else "is off"
        self.say(f"The bell {sounds}. At the start: roost tui --no-bell.")


def _promoted(rollout: Rollout) -> str:
    watched = sum(node.stage == "canary" for node in rollout.in_wave())
    last = rollout.wave + 1 == rollout.waves
    then = "it is the last wave" if last else f"then wave {rollout.wave + 2} begins"
    return f"Wave {rollout.wave + 1} of {rollout.waves}, {plural(watched, 'node')} watched: {then}."


def _retried(rollout: Rollout) -> str:
    again = sum(map(may_retry, rollout.nodes))
    return f"{plural(again, 'node')} {'begins' if again == 1 else 'begin'} once more."


def _typed(rollout: Rollout, choice: str) -> str:
    """The release's name; a name that a keyboard cannot type is not asked for."""
    name = rollout.release
    return name if name.isascii() and name.isprintable() else choice.lower()
