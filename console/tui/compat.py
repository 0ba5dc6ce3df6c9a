"""What images need, and where they run: one for all screens, worked out in small pieces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.protocol.compatibility import Ability, ImageNeeds, Verdict
from agent.protocol.images import NodeImage
from agent.protocol.live import Record
from agent.protocol.problems import Problem, ProblemError
from console.tui.looking import Looking
from console.tui.subjects import Subject, subjects_of_archive, subjects_of_nodes

if TYPE_CHECKING:
    from agent.rules.compatibility import Judge
    from agent.rules.tables import Tables
    from agent.rules.upgrades import Upgrade
    from agent.rules.variants import Choice
    from console.fleet.picture import NodeView
    from console.images.holders import Held
    from console.images.judging import ArchiveJudge
    from console.tui.ports import Fleet

_AT_ONCE = 8
_ASKED = 3  # nodes that are asked about one image, where others could not say
_PIECE_SECONDS = 0.008  # keys wait no longer than this


class Pieces:
    """Lets others go on whenever some milliseconds of work are done."""

    def __init__(self) -> None:
        self._until = time.perf_counter() + _PIECE_SECONDS

    async def pause(self) -> None:
        if time.perf_counter() >= self._until:
            await asyncio.sleep(0)
            self._until = time.perf_counter() + _PIECE_SECONDS


class _OfNode(msgspec.Struct):
    """How images fare on a node, by the facts that it went by."""

    record: Record
    abilities: dict[Judge, Ability] = {}


class Compat:
    """What is known so far. `version` is another number whenever that is more."""

    def __init__(self, looking: Looking | None = None) -> None:
        self.looking = looking or Looking({})
        self.version = 0
        self.subjects: dict[str, Subject] = {}
        """What can be asked about, by key."""
        self.chosen: list[str] = []
        """Keys of those that the upgrade plan is about; empty: all."""
        self.problems: dict[str, Problem] = {}
        """Why it is not known what an image needs, by digest."""
        self._tables: Tables | None = None
        self._needs: dict[str, ImageNeeds] = {}
        self._judges: dict[str, Judge] = {}  # by digest
        self._archives: dict[Path, list[Subject]] = {}
        self._of_nodes: list[Subject] = []
        self._nodes: dict[str, _OfNode] = {}

    # what can be asked about

    def take_images(self, found: Mapping[str, Sequence[NodeImage]]) -> None:
        """These nodes have these images."""
        self._of_nodes = subjects_of_nodes(found)
        self._join()

    def _join(self) -> None:
        archived = [each for several in self._archives.values() for each in several]
        self.subjects = {each.key: each for each in [*archived, *self._of_nodes]}
        self.version += 1

    async def tables(self) -> Tables:
        """Read once. Raises ProblemError `compatibility.tables` or `settings.unreadable`."""
        if self._tables is None:
            self._tables = await asyncio.to_thread(self.looking.tables)
        return self._tables

    def take_archive(self, path: Path, judge: ArchiveJudge) -> list[Subject]:
        """An archive was looked into; the images in it."""
        found = subjects_of_archive(path, judge)
        self._archives[path] = found
        self._join()
        return found

    def forget(self, subject: Subject) -> None:
        """Leave an archive out again, with all of its images."""
        if subject.path is not None and self._archives.pop(subject.path, None) is not None:
            self._join()

    def judge_of(self, subject: Subject, node: str, architecture: str) -> Judge | None:
        """Of the image that the node has, or would get; None: nobody has said what it needs."""
        if subject.path is not None:
            return subject.archived(architecture)
        held = subject.on(node, architecture)
        return self._judges.get(held.digest)

    def needs_of(self, subject: Subject) -> ImageNeeds | None:
        """Of the most common image of that name, or of one of the archive's."""
        if subject.path is None:
            return self._needs.get(subject.held[0].digest)
        judges = (subject.archived(architecture) for architecture in ("amd64", "arm64"))
        return next((judge.needs for judge in judges if judge is not None), None)

    # asking what images need

    async def ask(self, fleet: Fleet, subjects: Iterable[Subject], *, inside: bool = False) -> None:
        """What these need, each asked of a node that has it. Raises ProblemError `compatibility.*`.

        By the config alone; `inside` has the node look at files of the image, too.
        """
        tables = await self.tables()
        wanted: dict[str, tuple[str, Held]] = {}
        for subject in subjects:
            for held in subject.held:
                if inside or held.digest not in self._needs:
                    wanted.setdefault(held.digest, (subject.key, held))
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(number: int, tag: str, held: Held) -> None:
            async with gate:
                await self._ask(fleet, number, tag, held, tables, inside=inside)

        tasks = [one(n, tag, held) for n, (tag, held) in enumerate(wanted.values())]
        await asyncio.gather(*tasks)

    async def _ask(
        self, fleet: Fleet, number: int, tag: str, held: Held, tables: Tables, *, inside: bool
    ) -> None:
        from agent.rules.compatibility import Judge

        live = [name for name in held.nodes if _is_live(fleet, name)]
        # Many have the same images: not all is asked of the first.
        start = number % len(live) if live else 0
        for name in [*live[start:], *live[:start]][:_ASKED]:
            try:
                needs = await fleet.client(name).image_needs(tag, inside=inside)
            except ProblemError as error:
                self.problems[held.digest] = error.problem()
                continue
            self.problems.pop(held.digest, None)
            self._needs[held.digest] = needs
            self._judges[held.digest] = Judge(needs, tables)
            self.version += 1
            return
        self.version += 1

    # how they fare

    def abilities(self, view: NodeView) -> Mapping[Judge, Ability]:
        """How images fare there, as far as that has been worked out."""
        known = self._nodes.get(view.name)
        return {} if known is None else known.abilities

    def fails(self, subject: Subject, view: NodeView) -> bool:
        """Whether it is known that it cannot run there."""
        judge = self.judge_of(subject, view.name, architecture_of(view))
        return judge is not None and self.abilities(view).get(judge) == "fails"

    def verdict(self, subject: Subject, view: NodeView) -> tuple[Judge, Verdict] | None:
        """With all its reasons; None: the node, or what the image needs, is not known."""
        facts = view.facts()
        if facts is None:
            return None
        judge = self.judge_of(subject, view.name, facts.host.architecture)
        return None if judge is None else (judge, judge(facts))

    def problem_of(self, subject: Subject, view: NodeView) -> Problem | None:
        """Why nobody could say what the image needs by which the node is judged."""
        if subject.path is not None:
            return None
        return self.problems.get(subject.on(view.name, architecture_of(view)).digest)

    def best(self, subjects: Iterable[Subject], view: NodeView) -> Choice | None:
        """Which of these a node would get, and why; None: nothing is known of it, or of them."""
        from agent.rules.variants import best_variant

        facts = view.facts()
        if facts is None:
            return None
        judges = self._judges_on(subjects, view.name, facts.host.architecture)
        return best_variant(judges, facts) if judges else None

    def _judges_on(
        self, subjects: Iterable[Subject], node: str, architecture: str
    ) -> dict[str, Judge]:
        """By title."""
        found = {each.title: self.judge_of(each, node, architecture) for each in subjects}
        return {title: judge for title, judge in found.items() if judge is not None}

    def lets_go_of(self, views: Iterable[NodeView]) -> bool:
        """Forget how images fare on nodes that say something else of themselves; whether any."""
        gone = False
        for view in views:
            known, record = self._nodes.get(view.name), _record(view)
            if known is not None and known.record is not record:
                if known.record == record:
                    known.record = record
                else:
                    del self._nodes[view.name]
                    gone = True
        return gone

    async def work_out(self, views: Iterable[NodeView], subjects: Sequence[Subject]) -> bool:
        """How these images fare on these nodes; whether anything of it is new."""
        pieces, new = Pieces(), False
        for view in views:
            record = _record(view)
            if record is None:
                continue
            known = self._nodes.get(view.name)
            if known is None or known.record is not record:
                known = self._nodes[view.name] = _OfNode(record)
            facts, architecture = None, architecture_of(view)
            for subject in subjects:
                judge = self.judge_of(subject, view.name, architecture)
                if judge is None or judge in known.abilities:
                    continue
                facts = facts or view.facts()
                if facts is not None:
                    known.abilities[judge] = judge(facts).ability
                    new = True
                await pieces.pause()
        return new

    async def plan(
        self, views: Iterable[NodeView], subjects: Sequence[Subject], *, whole: bool
    ) -> dict[str, Upgrade]:
        """Which driver each node would need. Raises ProblemError `compatibility.*`."""
        from agent.rules.upgrades import upgrade_plan

        tables, pieces = await self.tables(), Pieces()
        month = time.strftime("%Y-%m", time.gmtime(time.time()))
        plans: dict[str, Upgrade] = {}
        for view in views:
            facts = view.facts()
            if facts is None:
                continue
            judges = self._judges_on(subjects, view.name, facts.host.architecture)
            [plans[view.name]] = upgrade_plan(judges, [facts], tables, whole=whole, month=month)
            await pieces.pause()
        return plans


def architecture_of(view: NodeView) -> str:
    """Its CPU, as images name it; "" where it never said."""
    host = (_record(view) or {}).get("host")
    return str(host.get("architecture", "")) if isinstance(host, dict) else ""


def _record(view: NodeView) -> Record | None:
    return view.sections.get("facts", {}).get("")


def _is_live(fleet: Fleet, name: str) -> bool:
    view = fleet.nodes.get(name)
    return view is not None and view.state not in {"offline", "refused"}
