"""The agent off one host: what is looked at first, and the deed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from agent.protocol.deployments import AT_REST, WorkloadStatus
from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.kits import contained
from console.kits.hosts import HostLook, KitHost, no_python
from console.link.address import parse_address


class Leaving(NamedTuple):
    """A host that can be left, and what is known of what stays there."""

    host: KitHost
    look: HostLook
    workloads: list[str] | None  # that Roost placed; None: the agent did not say
    silence: str = ""  # why it did not


async def plan_uninstall(entry: NodeEntry, links: Links) -> Leaving:
    """Look at the host, and ask its agent if it answers; nothing changes.

    Raises:
        ProblemError: `console.usage` where no ssh leads there, `kit.busy` while jobs go on,
            `kit.root`, `kit.python`, `ssh.*`, `link.unreachable`, `fleet.address`.
    """
    address = parse_address(entry.address)
    if address.kind != "ssh":
        raise ProblemError(
            "console.usage",
            f"{entry.address} is no ssh:// address",
            hint="Name the host itself, ssh://user@host; or there: sudo python3 KIT uninstall",
        )
    host = KitHost(links.host(entry.name, address))
    look = await host.look()
    if not look.python and not look.contained:
        raise no_python("there is no python3 there, and no agent in a container")
    client = links.client(entry)
    try:
        jobs, workloads = await client.jobs(), await client.workloads.list()
    except ProblemError as problem:
        return Leaving(host, look, None, problem.detail)
    finally:
        await client.close()
    _see_idle(entry, [job for job in jobs if job.state not in ENDED], workloads)
    return Leaving(host, look, [each.name for each in workloads])


async def uninstall(leaving: Leaving, *, everything: bool, hear: Callable[[str], None]) -> None:
    """Do it; run again it goes on.

    Raises:
        ProblemError: `ssh.*`, `link.unreachable`, `kit.*`; `kit.in_use` where containers have
            mounted what would go.
    """
    if everything and leaving.workloads:
        raise ProblemError(
            "kit.in_use",
            f"Roost placed {', '.join(leaving.workloads[:5])} there, from what would go",
            hint="First: roost workload rm, or leave out --purge: then they go on as they are.",
        )
    if leaving.look.contained:
        await contained.uninstall(leaving.host, leaving.look, everything=everything, hear=hear)
    else:
        await leaving.host.uninstall(leaving.look, everything=everything, hear=hear)


def _see_idle(entry: NodeEntry, jobs: list[Job], workloads: list[WorkloadStatus]) -> None:
    """Half of a deployment would stay half: nobody would take it back."""
    works = [f"{job.kind} {job.subject}" for job in jobs]
    works += [
        f"{each.name} is {each.deployment_state}"
        for each in workloads
        if each.deployment_state not in (None, *AT_REST)
    ]
    if works:
        raise ProblemError(
            "kit.busy",
            f"{entry.name} is at work: {', '.join(works[:5])}",
            params={"node": entry.name, "works": works},
            hint=f"Wait for it, or cancel it: roost job ls @{entry.name}",
        )
