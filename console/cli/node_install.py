"""`roost node install`: the agent onto hosts that ssh reaches."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
import msgspec

from agent.protocol.problems import Problem, ProblemError
from console.cli.failures import FAILED, tell
from console.cli.kits import given_kits, kit_option
from console.cli.node_add import check_label, check_name
from console.cli.nodes import fleet_file
from console.cli.options import json_option, yes_option
from console.cli.output import on_terminal, print_json, say
from console.cli.run import links
from console.cli.setup import Setup
from console.fleet.fleet_file import add_node, load_inventory
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.kits.agent_image import images_by_arch
from console.kits.installing import Planned, Ware, install, plan_install
from console.link.address import parse_address
from console.text import clean, plural, size

# At once; each copies tens of megabytes over its own link.
AT_ONCE = 8


class InstallRecord(msgspec.Struct, kw_only=True):
    """What `--json` prints of each host."""

    address: str
    node: str | None = None
    plan: list[str] = []
    done: bool = False
    problem: Problem | None = None
    further: list[Problem] = []  # what else stands in the way


@click.command("install")
@click.argument("addresses", nargs=-1, metavar="ssh://HOST...")
@click.option(
    "--list",
    "listed",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Hosts, one address on each line; what follows it there are KEY=VALUE labels.",
)
@kit_option
@click.option(
    "--image",
    "images",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="What `roost agent kit make --image` wrote: for hosts whose Python is too old, or none.",
)
@click.option("--name", help="What you call it; what it calls itself, if not given.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="For selectors.")
@click.option("--production", is_flag=True, help="Mark it, and ask more before stopping things.")
@click.option("--check", is_flag=True, help="Look and say what would happen; change nothing.")
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    addresses: tuple[str, ...],
    listed: Path | None,
    kit_files: tuple[Path, ...],
    images: tuple[Path, ...],
    *,
    name: str | None,
    labels: tuple[str, ...],
    production: bool,
    check: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Put the agent on hosts, start it, and add them to your fleet once they have answered.

    It needs ssh, root (or sudo without a password) and python3 there, and no network; with --image,
    docker or podman in the place of python3. Cut off, run it again: it goes on where it was.

    \b
      roost node install ssh://field@plant-7 --check
      roost node install --list hosts.txt --kit roost-agent-VERSION-x86_64.pyz
    """
    if not check:
        setup.refuse_changes("node install")
    hosts = _hosts(addresses, listed, name=name, labels=labels, production=production)
    ware = Ware(
        kits=given_kits(kit_files, needed=not images),
        images=images_by_arch(images),
    )
    runs = _Installs(setup, ware)
    records = asyncio.run(runs.plan(hosts))
    if not as_json:
        runs.show()
    if not check and runs.able and _agreed(len(runs.able), yes=yes):
        asyncio.run(runs.install())
    if as_json:
        print_json(records)
    return FAILED if any(record.problem for record in records) else 0


class _Installs:
    """All hosts of one command, and what became of each."""

    def __init__(self, setup: Setup, ware: Ware) -> None:
        self._setup, self._ware = setup, ware
        self._records: dict[str, InstallRecord] = {}
        self.able: list[Planned] = []
        self._plans: dict[str, Planned] = {}

    async def plan(self, hosts: list[NodeEntry]) -> list[InstallRecord]:
        """Look at each."""
        ways, gate = links(self._setup), asyncio.Semaphore(AT_ONCE)
        self._records = {host.address: InstallRecord(address=host.address) for host in hosts}
        await asyncio.gather(*(self._plan(ways, gate, host) for host in hosts))
        return list(self._records.values())

    async def _plan(self, ways: Links, gate: asyncio.Semaphore, host: NodeEntry) -> None:
        record = self._records[host.address]
        async with gate:
            try:
                planned = await plan_install(host, ways, self._ware)
            except ProblemError as problem:
                record.problem = problem.problem()
                return
        self._plans[host.address] = planned
        record.plan = planned.checked.plan
        if (refusal := planned.refusal) is not None:
            record.problem = refusal.problem()
            record.further = [each.problem().problem() for each in planned.checked.problems[1:]]
        else:
            self.able.append(planned)

    def show(self) -> None:
        """The plan for a person."""
        for kit in self._ware.kits.values():
            click.echo(clean(f"{kit.path}: agent {kit.about.id}, {kit.signed_by}"))
        for address, planned in self._plans.items():
            facts = planned.checked.facts
            runtimes = ", ".join(facts.get("runtimes") or []) or "no container runtime"
            driver = facts.get("driver")
            click.echo(
                f"{address}: {facts.get('os') or 'unknown system'}, {planned.look.arch},"
                f" Python {facts.get('python') or 'none'}, {runtimes},"
                f" {f'driver {driver}' if driver else 'no NVIDIA driver'}"
            )
            for step in planned.checked.plan:
                click.echo(f"  {step}")
        for address, record in self._records.items():
            for problem in (record.problem, *record.further):
                if problem is not None:
                    tell(problem, node=address)

    async def install(self) -> None:
        """On all that can take it."""
        ways, gate = links(self._setup), asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._install(ways, gate, planned) for planned in self.able))

    async def _install(self, ways: Links, gate: asyncio.Semaphore, planned: Planned) -> None:
        address = planned.entry.address
        record = self._records[address]
        told = [-1]

        def copied(at: int) -> None:
            tenth = at * 10 // planned.parcel.size_bytes
            if tenth > told[0] and on_terminal():
                told[0] = tenth
                say(f"{address}: {size(at)} of {size(planned.parcel.size_bytes)} copied")

        async with gate:
            try:
                facts = await install(
                    planned, ways, copied=copied, hear=lambda line: say(f"{address}: {line}")
                )
                if facts is None:
                    record.done = True
                    say(f"{address}: no systemd runs there; start it: sudo roost-agent serve")
                    return
                entry = planned.entry
                record.node = await asyncio.to_thread(
                    _written_down, fleet_file(self._setup), entry, facts.name
                )
                record.done = True
            except ProblemError as problem:
                record.problem = problem.problem()
                tell(problem, node=address)
                return
        say(f"{address}: {record.node} answers, and is in {fleet_file(self._setup)}")


def _written_down(file: Path, entry: NodeEntry, own_name: str) -> str:
    """Its name in fleet.yaml, where it may be already."""
    known = load_inventory(file).nodes
    there = next((node for node in known if node.address == entry.address), None)
    if there is not None:
        return there.name
    if entry.name == entry.address:
        check_name(own_name)
        entry.name = own_name
    add_node(file, entry)
    return entry.name


def _hosts(
    addresses: tuple[str, ...],
    listed: Path | None,
    *,
    name: str | None,
    labels: tuple[str, ...],
    production: bool,
) -> list[NodeEntry]:
    lines = [[address] for address in addresses]
    if listed is not None:
        texts = (line.split("#")[0].split() for line in listed.read_text().splitlines())
        lines += [words for words in texts if words]
    if not lines:
        raise click.UsageError("name a host, or a file with hosts: --list FILE")
    if name is not None and len(lines) > 1:
        raise click.UsageError("--name is for one host")
    if name is not None:
        check_name(name)
    found: dict[str, NodeEntry] = {}
    for words in lines:
        address = str(parse_address(words[0]))
        found[address] = NodeEntry(
            name=name or address,  # until it has told its own
            address=address,
            labels=dict(check_label(text) for text in (*labels, *words[1:])),
            production=production,
        )
    return list(found.values())


def _agreed(hosts: int, *, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ProblemError(
            "console.terminal", "nobody can be asked here", hint="Add --yes if it is meant."
        )
    return click.confirm(f"Install the agent on {plural(hosts, 'host')}?", err=True)
