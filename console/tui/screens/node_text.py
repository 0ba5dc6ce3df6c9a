"""What is said of one node around its tables."""

from __future__ import annotations

from rich.cells import cell_len

from console.fleet.picture import NodeView
from console.text import clean
from console.tui.look import words
from console.tui.rows.containers import containers_unknown, runtime_words
from console.tui.rows.fleet import SEVERITY_TONES, STATE_TONES, is_simulated
from console.tui.rows.node import fact_rows
from console.tui.widgets.line import Piece
from console.tui.widgets.page import Entry

_SEVERITY_WIDTH = 9
_FACT_WIDTH = 18


def why_entries(view: NodeView) -> list[Entry]:
    """Why the node is not live and what to do about it, and why its runtime does not answer."""
    entries = []
    problem = view.problem
    if problem is not None and view.state != "live":
        entries.append(Entry(" why  ", problem.detail, "warn"))
        if problem.hint:
            entries.append(Entry(" do   ", problem.hint, "", "accent"))
    if "node" in view.sections and (reason := containers_unknown(view)):
        entries.append(Entry(" why  ", reason, "warn"))
    return entries


def more_entries(view: NodeView) -> list[Entry]:
    """Findings in full, then the facts."""
    entries = [Entry("", "Findings and facts", "accent")]
    for finding in view.findings():
        label = f" {finding.severity:<{_SEVERITY_WIDTH}} "
        tone = SEVERITY_TONES[finding.severity]
        entries.append(Entry(label, finding.title, "", tone))
        entries.append(Entry(" " * len(label), f"{finding.cause} {finding.mend}", "dim"))
    for row in fact_rows(view):
        fact, value = row.cells
        entries.append(Entry(f" {fact.text:<{_FACT_WIDTH}} ", value.text))
    return entries


def summary_of(view: NodeView) -> list[Piece]:
    """State and the node's own figures, in one line."""
    pieces: list[Piece] = [(f" {view.state}", STATE_TONES[view.state])]
    if is_simulated(view):
        pieces.append((" simulated", "dim"))
    if view.state != "live":
        age = view.age_seconds()
        pieces.append((f" {words.age(age)} old" if age is not None else " never heard of", "warn"))
    node = view.node()
    if node is None:
        return pieces
    # First, so that it is never what is cut.
    if node.runtime_state not in {"ok", "simulated"}:
        pieces.append((f"  {runtime_words(node.runtime_state)}", "bad"))
    tone = "" if view.state == "live" else "dim"
    facts = view.facts()
    parts = []
    if facts is not None:
        stack = facts.gpu_stack
        parts.append(f"driver {stack.driver_version or words.UNKNOWN}")
        parts.append(f"CUDA {stack.cuda_version or words.UNKNOWN}")
    parts += [
        f"cpu {words.percent(node.cpu_percent)}",
        f"memory {words.share(node.memory_used_bytes, node.memory_total_bytes)}",
        f"disk {words.percent(node.disk_free_percent)} free",
    ]
    if facts is not None and facts.runtime.name:
        parts.append(f"{facts.runtime.name} {facts.runtime.version or ''}".strip())
    return [*pieces, *((f"  {part}", tone) for part in parts)]


def fold(pieces: list[Piece], width: int) -> tuple[list[Piece], list[Piece]]:
    """What fits on a line of `width` cells, and the rest; no piece is cut in two."""
    used = 0
    for number, (text, _) in enumerate(pieces):
        used += cell_len(clean(text))
        if used > width and number:
            (first, tone), *rest = pieces[number:]
            return pieces[:number], [(f" {first.lstrip()}", tone), *rest]
    return pieces, []
