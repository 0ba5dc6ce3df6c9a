"""What each view shows and takes, for help and palette."""

from __future__ import annotations

from typing import NamedTuple


class ViewHelp(NamedTuple):
    """`takes` is what stands behind the name; `required`, whether it must."""

    takes: str
    text: str
    required: bool = False


VIEW_HELP: dict[str, ViewHelp] = {
    "fleet": ViewHelp("SELECTOR", "every node: state, GPUs, load, findings"),
    "node": ViewHelp("NODE", "one node: GPUs, containers, findings, facts", required=True),
    "containers": ViewHelp("SELECTOR", "containers of all nodes"),
    "gpus": ViewHelp("SELECTOR", "GPUs of all nodes"),
    "doctor": ViewHelp("SELECTOR", "what is wrong, why, and how to mend it"),
    "drift": ViewHelp("SELECTOR", "what is not as `expect` in fleet.yaml says"),
    "jobs": ViewHelp("SELECTOR", "what is being done on nodes, and what was"),
    "job": ViewHelp("@NODE ID", "one job with its log", required=True),
    "images": ViewHelp("SELECTOR", "images by nodes: yes, - no, ? unknown, and what differs"),
    "image": ViewHelp("NAME", "one image, node by node", required=True),
    "push": ViewHelp("", "what is sent to nodes from here"),
    "compat": ViewHelp("SELECTOR", "whether images run on nodes and GPUs, and why not"),
    "drivers": ViewHelp("SELECTOR", "which driver each node would need for images"),
    "placement": ViewHelp("SELECTOR", "GPUs, who is on them, and moving containers between them"),
    "workloads": ViewHelp("SELECTOR", "what Roost placed on nodes: GPUs, releases, undo"),
    "engines": ViewHelp("SELECTOR", "TensorRT engines: for each node and model, the one in use"),
    "engine": ViewHelp("@NODE MODEL", "the engines of one model on a node", required=True),
    "build": ViewHelp(
        "@NODE ID", "the build of an engine: how far, how long, its log", required=True
    ),
    "bench": ViewHelp("@NODE MODEL", "latency of its engines over batch sizes", required=True),
    "rollouts": ViewHelp("", "releases that go out in waves from this host: how far, who waits"),
    "rollout": ViewHelp("ID", "one rollout: waves, figures, events; without an id the newest"),
    "history": ViewHelp("ID", "all that happened in a rollout; without an id the newest"),
    "snapshots": ViewHelp("", "how nodes were, in files: take one, what changed, bring one back"),
    "changes": ViewHelp("@NODE FILE", "what changed on a node since a snapshot", required=True),
    "logs": ViewHelp("@NODE CONTAINER", "a container's log, followed", required=True),
    "help": ViewHelp("", "every key of this screen"),
    "theme": ViewHelp("NAME", "another theme; without a name the next one"),
    "refresh": ViewHelp("SECONDS", "how often the screen is brought up to date"),
    "quit": ViewHelp("", "leave Roost; nothing on a node stops"),
}


def usage(view: str) -> str:
    """`:images [SELECTOR]`, `:node NODE`."""
    takes, _, required = VIEW_HELP[view]
    if not takes:
        return f":{view}"
    return f":{view} {takes}" if required else f":{view} [{takes}]"
