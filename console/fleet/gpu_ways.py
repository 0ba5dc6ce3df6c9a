"""By which way GPUs get into a node's containers, in words."""

from __future__ import annotations

from agent.protocol.node import NodeFacts
from agent.rules.ways import WayFound, ways


def known_ways(facts: NodeFacts) -> list[WayFound] | None:
    """All three, the best first; None: there is no GPU, or the runtime does not say."""
    told = facts.runtime.state in ("ok", "simulated") and facts.gpu_stack.state != "no_gpu"
    return ways(facts) if told else None


def way_lines(facts: NodeFacts) -> list[str]:
    """One for each way: the first that is there is the one that Roost takes."""
    found = known_ways(facts)
    if found is None:
        if facts.gpu_stack.state == "no_gpu":
            return []
        return ["unknown: the container runtime does not say what it has"]
    used = next((each.way for each in found if each.there), None)
    lines = []
    for each in found:
        state = "used" if each.way == used else "possible" if each.there else "no"
        lines.append(f"{each.way}, {state}: {each.why}")
    return lines
