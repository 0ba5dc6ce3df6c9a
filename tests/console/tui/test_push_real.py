"""An archive pushed by keys, in a real terminal, to simulated nodes."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import msgspec
import pytest
import yaml

from console.fleet.inventory import Inventory, NodeEntry
from console.link.address import parse_address
from console.link.client import NodeClient
from console.link.unix import UnixLink
from tests.archives_made import Made, docker_archive, layer
from tests.console.cli.commands import ROOST, environment
from tests.simulated import simulator_process
from tests.terminal import Terminal

TAG = "registry.plant/keys:1"


async def tags_on(entry: NodeEntry) -> set[str]:
    address = parse_address(entry.address)
    client = NodeClient(entry.name, UnixLink(entry.name, address), owner="test")
    try:
        return {tag for image in await client.images() for tag in image.tags}
    finally:
        await client.close()


@pytest.mark.real
@pytest.mark.timeout(120)
def test_a_push_to_two_nodes_by_keys(tmp_path: Path) -> None:
    archive = tmp_path / "keys.tar"
    archive.write_bytes(docker_archive([Made([layer("base", 200_000), layer("top")], tags=(TAG,))]))
    with simulator_process(3, faults=False) as simulator:
        nodes = msgspec.to_builtins(simulator.nodes.nodes)
        entries = msgspec.convert(nodes, list[NodeEntry])
        fleet = tmp_path / "fleet.yaml"
        fleet.write_text(yaml.safe_dump(msgspec.to_builtins(Inventory(nodes=entries))))
        with Terminal(
            [ROOST, "--fleet", fleet, "tui", "--view", "images"],
            env=environment(tmp_path),
            cwd=tmp_path,
        ) as terminal:
            terminal.wait_for("3/3", 40)
            terminal.send("u")
            terminal.wait_for("keys.tar", 20)
            terminal.send("keys.t\t")
            terminal.press("enter")
            terminal.wait_for("push keys.tar to:", 20)
            first, second = (entry.name for entry in entries[:2])
            terminal.send(f"@{first},@{second}\r")
            terminal.wait_for("to 2 nodes, before compression", 40)
            assert TAG in terminal.screen_text()
            terminal.send("push 2\r")
            terminal.wait_for("all have ended: 2 done", 60)
            assert first in terminal.screen_text()
            # What the nodes have now was read again.
            terminal.send(f":images /{TAG}\r")
            terminal.wait_for("2/3", 40)
            terminal.send(":jobs /image.load\r")
            terminal.wait_for("succeeded", 20)
            terminal.send(":q\r")
            assert terminal.wait_exit(20) == 0
        found = [TAG in asyncio.run(tags_on(entry)) for entry in entries]
        assert found == [True, True, False]


@pytest.mark.real
@pytest.mark.timeout(120)
def test_a_push_is_stopped_by_keys_and_goes_on_where_it_was(tmp_path: Path) -> None:
    archive = tmp_path / "keys.tar"
    archive.write_bytes(docker_archive([Made([layer("base", 3_000_000)], tags=(TAG,))]))
    with simulator_process(1, faults=False) as simulator:
        nodes = msgspec.to_builtins(simulator.nodes.nodes)
        [entry] = msgspec.convert(nodes, list[NodeEntry])
        fleet = tmp_path / "fleet.yaml"
        fleet.write_text(yaml.safe_dump(msgspec.to_builtins(Inventory(nodes=[entry]))))
        with Terminal(
            [ROOST, "--fleet", fleet, "tui", "--view", "images"],
            columns=200,
            lines=50,
            env=environment(tmp_path),
            cwd=tmp_path,
        ) as terminal:
            terminal.wait_for("1/1", 40)
            terminal.send("u")
            terminal.wait_for("keys.tar", 20)
            terminal.send("keys.tar\r")
            terminal.wait_for("push keys.tar to:", 20)
            terminal.send(f"\x15@{entry.name}\r")
            terminal.wait_for("to 1 node, before compression", 40)
            # Past "Push" to the limit: too slow to be done before it is stopped.
            terminal.send("\t\t100KB/s")
            terminal.wait_for("98K/s: ", 20)
            terminal.send("\r\r\r\t\r")
            terminal.wait_for("at most 98K/s", 20)
            terminal.wait_for("sending", 20)
            terminal.wait_until(lambda: percent_in(terminal.screen_text()) >= 20, "20 %", 60)
            terminal.send("x")
            terminal.wait_for("Send no more to", 20)
            terminal.send("\t\r")
            terminal.wait_for("Let it wait", 20)
            terminal.send("\r")
            terminal.wait_for(f"all have ended: 1 stopped: {entry.name}", 20)
            terminal.send("a")
            # It was 3M at first.
            left = re.compile(rf"{entry.name} send (\d+K|[12]M)")
            terminal.wait_until(lambda: bool(left.search(terminal.screen_text())), "less", 20)
            # The limit is taken away.
            terminal.send("\t\t\x7f")
            terminal.wait_for("to all nodes together", 20)
            terminal.send("\r\r\r\t\r")
            terminal.wait_for("all have ended: 1 done", 60)
            assert entry.name in terminal.screen_text()
            terminal.send(":q\r")
            assert terminal.wait_exit(20) == 0
        assert TAG in asyncio.run(tags_on(entry))


def percent_in(text: str) -> int:
    """How much of it is sent, as the row says."""
    found = re.search(r"sending +(\d+)% of", text)
    return int(found[1]) if found else 0
