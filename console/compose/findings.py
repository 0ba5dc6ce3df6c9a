"""What is wrong with a workload file, collected: nobody wants to hear of one mistake at a time."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable
from typing import Literal

import msgspec

from agent.protocol.problems import CODES, ProblemError


class ComposeProblem(msgspec.Struct, kw_only=True, frozen=True):
    """One thing that is wrong, or that Roost leaves out.

    `level` "warning": the workloads are whole without it. `nodes`: where it is wrong, by name;
    empty where the file is wrong whatever the node.
    """

    code: str
    file: str
    line: int | None  # from 1; None: the whole file
    what: str
    hint: str
    level: Literal["error", "warning"] = "error"
    nodes: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        return self.file if self.line is None else f"{self.file}, line {self.line}"

    def error(self) -> ProblemError:
        """The same to be raised."""
        return ProblemError(
            self.code,
            f"{self.place}: {self.what}",
            params={
                "file": self.file,
                "line": self.line,
                "level": self.level,
                "nodes": list(self.nodes),
            },
            hint=self.hint,
        )


class Line(int):
    """The number of a line, from 1, that knows whose it is."""

    file: str

    @classmethod
    def of(cls, file: str, number: int) -> Line:
        line = cls(number)
        line.file = file
        return line


# Nobody reads on after so many.
PROBLEMS_LIMIT = 200
_KNOWN_LIMIT = 200


class Findings:
    """Collects problems; the same one at the same place counts once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: dict[tuple[str, str, int | None, str], ComposeProblem] = {}
        self._more = False

    def add(
        self,
        code: str,
        line: int | None,
        what: str,
        hint: str,
        *,
        file: str | None = None,
        level: Literal["error", "warning"] = "error",
    ) -> None:
        """Note a problem; `file` where it is in another one."""
        if code not in CODES:
            raise KeyError(f"{code} is not in the table of problem codes")
        if len(self._found) >= PROBLEMS_LIMIT:
            self._more = True
            return
        if isinstance(line, Line):
            file, line = file or line.file, int(line)
        problem = ComposeProblem(
            code=code, file=file or self.file, line=line, what=what, hint=hint, level=level
        )
        self._found.setdefault((code, problem.file, line, what), problem)

    @property
    def problems(self) -> list[ComposeProblem]:
        """By line."""
        found = sorted(self._found.values(), key=lambda found: (found.file, found.line or 0))
        if self._more:
            what = f"there are more than these {PROBLEMS_LIMIT} problems"
            hint = "Mend these first."
            last = ComposeProblem(
                code="compose.too_large", file=self.file, line=None, what=what, hint=hint
            )
            found.append(last)
        return found


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.5) -> str | None:
    """Which of the first names of `known` may have been meant."""
    near = difflib.get_close_matches(
        word[:80], itertools.islice(known, _KNOWN_LIMIT), n=1, cutoff=cutoff
    )
    return near[0] if near else None


def gathered(by_node: Iterable[tuple[str, Iterable[ComposeProblem]]]) -> list[ComposeProblem]:
    """One list from those of several nodes: each problem once, with the nodes that have it."""
    first: dict[tuple[str, str, int | None, str], ComposeProblem] = {}
    nodes: dict[tuple[str, str, int | None, str], list[str]] = {}
    for node, problems in by_node:
        for problem in problems:
            key = (problem.code, problem.file, problem.line, problem.what)
            first.setdefault(key, problem)
            nodes.setdefault(key, []).append(node)
    return sorted(
        (
            msgspec.structs.replace(problem, nodes=tuple(nodes[key]))
            for key, problem in first.items()
        ),
        key=lambda found: (found.file, found.line or 0),
    )
