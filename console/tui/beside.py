"""Work beside a screen. Its coroutine is made when it begins: work that is cancelled before that
leaves none behind that nobody awaited."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from textual.dom import DOMNode
from textual.worker import Worker


def run_beside(
    owner: DOMNode,
    work: Callable[[], Coroutine[Any, Any, None]],
    *,
    group: str = "default",
    exclusive: bool = False,
    exit_on_error: bool = False,
) -> Worker[None]:
    """Run `work` as long as `owner` is there; `exclusive` ends what runs in its group."""
    return owner.run_worker(work, group=group, exclusive=exclusive, exit_on_error=exit_on_error)
