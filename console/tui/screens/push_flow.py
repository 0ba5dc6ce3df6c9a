"""From an archive to a push: which file, which nodes, what would happen there, and go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.protocol.images import LoadPlan
from agent.protocol.problems import Problem, ProblemError
from agent.protocol.site import SiteStatus
from console.fleet.inventory import NodeEntry
from console.fleet.selectors import check_selector, parse_selector
from console.text import clean, plural
from console.tui.beside import run_beside
from console.tui.commands import complete
from console.tui.look import words
from console.tui.ports import Carrier, Convoy
from console.tui.pushing import NodePush
from console.tui.rows.push import (
    images_in_the_way,
    plan_entries,
    room_words,
    to_send,
)
from console.tui.screens.base import View
from console.tui.screens.reading import read_showing
from console.tui.screens.talking import problem_of
from console.tui.terms import Terms
from console.tui.widgets.page import BLANK, Entry
from console.tui.widgets.question import Question

if TYPE_CHECKING:
    from agent.archives.index import ArchiveIndex
    from console.images.sites import SiteOutlook

_AT_ONCE = 16
Outlook = LoadPlan | Problem
Go = Callable[[Sequence[NodeEntry], Terms], None]


class PushFlow(View):
    """For screens from which archives are pushed."""

    def push_selector(self) -> str:
        """Which nodes are suggested: the marked ones, or those that are shown."""
        raise NotImplementedError

    def act_image_push(self) -> None:
        pushes = self.context.pushes
        carrier = pushes.carrier
        if carrier is None:
            self.say("This console pushes nothing.", "warn")
            return
        if self.is_working:
            self.say("Something is still going on: Esc cancels it.", "warn")
            return
        from console.tui.screens.choosing import ChooseArchive

        def chosen(path: Path | None) -> None:
            if path is not None:
                pushes.folder = str(path.parent)
                self._ask_where(carrier, path)

        self.app.push_screen(ChooseArchive(self.context, pushes.folder), chosen)

    def _ask_where(self, carrier: Carrier, path: Path) -> None:
        def answered(selector: str | None) -> None:
            if selector is None:
                return
            try:
                names = self._nodes_of(selector)
            except ProblemError as error:
                self.show_problem(error.problem())
                return
            self.begin(self._prepare(carrier, path, names), f"reading {clean(path.name)} ...")

        nodes = sorted(self.context.fleet.nodes)
        self.ask(
            Question(
                f"push {clean(path.name)[:24]} to: ",
                answered,
                complete=lambda text: _complete_selector(text, nodes),
                text=self.push_selector(),
            )
        )

    def _nodes_of(self, selector: str) -> list[str]:
        """Raises ProblemError `fleet.*`."""
        nodes = self.context.fleet.nodes
        wanted = parse_selector(selector)
        check_selector(wanted, [view.entry for view in nodes.values()])
        names = [name for name, view in nodes.items() if wanted.matches(name, view.entry.labels)]
        if not selector.strip() or not names:
            raise ProblemError(
                "console.usage",
                "That selects no node",
                hint="Write labels (site=plant-7) or names (@cam-01,@cam-02).",
            )
        busy = [name for name in names if (push := self._push_of(name)) and push.going_on]
        if busy:
            raise ProblemError(
                "console.usage",
                f"Something is being sent to {', '.join(busy[:5])} already",
                hint="Look at :push, wait or stop it there.",
            )
        return names

    def _push_of(self, name: str) -> NodePush | None:
        return self.context.pushes.nodes.get(name)

    # what would happen

    async def _prepare(self, carrier: Carrier, path: Path, names: Sequence[str]) -> None:
        index = await self._read(carrier, path)
        pushes = self.context.pushes

        def go(nodes: Sequence[NodeEntry], terms: Terms) -> None:
            pushes.begin(index, nodes, terms, read_when_ended(self))
            self.host.drill("push")

        await self.offer(carrier, index, names, pushes.terms, go)

    async def offer(
        self,
        carrier: Carrier,
        index: ArchiveIndex,
        names: Sequence[str],
        first: Terms,
        go: Go,
        helpers: Sequence[NodeEntry] = (),
    ) -> None:
        """Ask the nodes what would happen, then the person whether and how; `go` does it.

        `helpers` have it already, and may pass it on at their sites.
        """
        from console.images.sites import LABEL

        entries = self._entries(names)
        # It is asked which images would have to go; nothing changes.
        convoy = carrier.convoy(entries, index, Terms(make_room=True), lambda: None)
        plans: dict[str, Outlook] = {}
        statuses: dict[str, SiteStatus] = {}
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(entry: NodeEntry) -> None:
            async with gate:
                plans[entry.name] = plan = await _check(convoy, entry.name)
                if isinstance(plan, LoadPlan):
                    await site_of(entry)
            self.footer.progress(f"asking {plural(len(names), 'node')} ... {len(plans)}")

        async def site_of(entry: NodeEntry) -> None:
            if LABEL in entry.labels:
                with contextlib.suppress(ProblemError):
                    statuses[entry.name] = await carrier.site(entry.name)

        await asyncio.gather(*map(one, entries), *map(site_of, helpers))
        self.call_later(self._ask_whether, index, plans, statuses, first, go, helpers)

    def _entries(self, names: Sequence[str]) -> list[NodeEntry]:
        return [self.context.fleet.nodes[name].entry for name in names]

    async def _read(self, carrier: Carrier, path: Path) -> ArchiveIndex:
        """Raises ProblemError `archive.*`."""

        def read(heard: Callable[[str, int, int], None]) -> ArchiveIndex:
            return carrier.read(path, lambda done, total: heard("reading", done, total))

        return await read_showing(self.footer, clean(path.name), read)

    def _ask_whether(
        self,
        index: ArchiveIndex,
        plans: dict[str, Outlook],
        statuses: Mapping[str, SiteStatus],
        first: Terms,
        go: Go,
        helpers: Sequence[NodeEntry],
    ) -> None:
        from console.images.sites import site_outlooks
        from console.tui.screens.dialog import TextDialog
        from console.tui.screens.push_dialog import PushDialog

        ready = {
            name: plan
            for name, plan in plans.items()
            if isinstance(plan, LoadPlan) and not plan.problems and not plan.is_there
        }
        file = index.path.rpartition("/")[2]
        entries = [*_content(index), BLANK, *plan_entries(plans), BLANK]
        if not ready:
            entries.append(Entry("", "There is nothing to do, or nothing that can be done."))
            self.app.push_screen(TextDialog(self.context, entries, title=f"Push {file}"))
            return
        total = sum(map(to_send, ready.values()))
        entries.append(
            Entry("", f"{words.size(total)} to {plural(len(ready), 'node')}, before compression.")
        )
        nodes = self._entries(sorted(ready))
        roomy = [node for node in nodes if not images_in_the_way(ready[node.name])]
        if len(roomy) < len(nodes):
            text = "Where images are in the way, nothing is sent unless they may go."
            entries.append(Entry("", text, "warn"))
        sites = site_outlooks([*nodes, *helpers], statuses)
        entries += [
            Entry(
                f"site {each.site} ", f"{'can' if each.able else 'cannot'} pass it on: {each.text}"
            )
            for each in sites
        ]
        production = [entry.name for entry in nodes if entry.production]
        if production:
            entries += [BLANK, Entry("", f"PRODUCTION: {', '.join(production)}", "bad")]
        entries.append(BLANK)
        typed = f"push {len(ready)}" if len(ready) > 1 else nodes[0].name if production else None

        def answered(terms: Terms | None) -> None:
            if terms is not None:
                go(nodes if terms.make_room else roomy, terms)

        question = PushDialog(
            self.context,
            entries,
            title=f"PRODUCTION: push {file}" if production else f"Push {file}",
            first=first,
            total_bytes=total,
            sites=_via_site(sites),
            room=room_words(ready),
            only_with_room=not roomy,
            typed=typed,
            danger=bool(production),
        )
        self.app.push_screen(question, answered)


def _via_site(sites: Sequence[SiteOutlook]) -> str | None:
    """Behind the switch; None: there is nothing to switch."""
    able = [each.site for each in sites if each.able]
    return f"send once to {', '.join(able)}; nodes there pass it on" if able else None


def read_when_ended(view: View) -> Callable[[NodePush], None]:
    """What a node has now is read when it has all; screens show it with their next refresh."""

    def ended(push: NodePush) -> None:
        if not push.stopped and view.is_running:
            shelf, fleet = view.context.shelf, view.context.fleet
            run_beside(view, partial(shelf.read, fleet, [push.node]), group="images")

    return ended


async def _check(convoy: Convoy, name: str) -> Outlook:
    try:
        return await convoy.pusher(name).check()
    except Exception as error:  # noqa: BLE001  # one node stops no other
        return problem_of(error)


def _content(index: ArchiveIndex) -> list[Entry]:
    """The archive's images, each name once, and how many files go along."""
    names = dict.fromkeys(tag for image in index.images for tag in image.tags)
    platforms = dict.fromkeys(str(image.platform) for image in index.images)
    size = words.size(index.size_bytes)
    parts = []
    if index.images:
        parts.append(f"{', '.join(names) or 'images without a name'} for {', '.join(platforms)}")
    if index.files:
        parts.append(plural(len(index.files), "file"))
    text = " and ".join(parts)
    return [Entry(f"{index.path.rpartition('/')[2]}  ", f"{size}: {text}", "", "accent")]


def _complete_selector(text: str, nodes: list[str]) -> str:
    """The last name of `@a,@b`."""
    head, comma, last = text.rpartition(",")
    return f"{head}{comma}{complete(f' {last}', nodes).removeprefix(' ')}"
