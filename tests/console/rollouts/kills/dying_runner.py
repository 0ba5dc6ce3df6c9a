"""A real runner in a process of its own that kills itself, or others, beside a journal write.

`python -m tests.console.rollouts.kills.dying_runner JOURNAL ROLLOUT MARGIN [calm] [stands]`: its
nodes are those of `nodes.json` in the journal's folder, MARGIN is what `late.MARGIN_SECONDS` and
`late.REACH_SECONDS` are at most. With `calm` it is as quick as every day, with `stands` it stands
for nodes that come back. A file `die` there
says when, such as "before canary 30" or "after is gate": before or after the rollout is written
down so. Points are the stage of each node ("applying", "canary 30" with the weight that it is to
have), "begun" once a node's deployment is known, and "is STATE" for the rollout's. It is obeyed as
tests.agent.workloads.dying_agent says.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from agent.protocol.decoding import from_json
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.rollouts import late
from console.rollouts.asks import Ask
from console.rollouts.journal import Journal
from console.rollouts.locks import steering_lock
from console.rollouts.record import Rollout
from console.rollouts.runner import CALM, Pace, Runner
from console.rollouts.watching import weight_wanted
from tests.agent.workloads.dying_agent import Order

QUICKLY = Pace(again=dict.fromkeys(get_args(Ask), 0.3), tick=0.2, standing=0.2, journal=0.2)
NODES = "nodes.json"
ANSWER_SECONDS = 3.0  # a node whose link is cut does not answer


def die_by(order: Order) -> None:
    """Have the process end there, as by SIGKILL from elsewhere."""
    save = Journal.save

    def saving(self: Journal, rollout: Rollout, *more: Any) -> None:
        order.obey("before", _points(rollout))
        save(self, rollout, *more)
        order.obey("after", _points(rollout))

    setattr(Journal, "save", saving)  # noqa: B010 - another signature


def _points(rollout: Rollout) -> Iterator[str]:
    yield f"is {rollout.state}"
    for node in rollout.nodes:
        yield node.stage
        if node.stage == "canary":
            yield f"canary {weight_wanted(rollout, node)}"
        if node.deployment is not None:
            yield "begun"


async def _steer(
    journal: Journal, rollout_id: str, entries: dict[str, NodeEntry], ways: list[str]
) -> None:
    links = Links({}, owner="maria", timeout=ANSWER_SECONDS)
    runner = Runner(
        journal,
        rollout_id,
        entries=entries,
        client=links.client,
        stands="stands" in ways,
        pace=CALM if "calm" in ways else QUICKLY,
    )
    await runner.run()


def main() -> None:
    folder, rollout_id = Path(sys.argv[1]), sys.argv[2]
    margin = float(sys.argv[3])
    setattr(late, "MARGIN_SECONDS", margin)  # noqa: B010 - for this process alone
    setattr(late, "REACH_SECONDS", min(margin, late.REACH_SECONDS))  # noqa: B010
    nodes = from_json((folder / NODES).read_bytes(), list[NodeEntry])
    entries = {entry.name: entry for entry in nodes}
    die_by(Order(folder / "die"))
    with steering_lock(folder, rollout_id):
        asyncio.run(_steer(Journal(folder), rollout_id, entries, sys.argv[4:]))


if __name__ == "__main__":
    main()
