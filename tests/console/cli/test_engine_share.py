"""`roost engine build --share`, where something is in its way. What builds is a stand-in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import NamedTuple, cast

import msgspec
import pytest

from agent.protocol.engines import BuildRequest, EngineRecipe
from agent.protocol.problems import ProblemError
from agent.protocol.site import SiteStatus
from console.engines.fleet_build import FleetBuild
from console.engines.node_build import NodeBuild
from console.engines.sharing import Look, look, share
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from tests import onnx_made
from tests.agent.engines.engine_side import rtx_stand_in
from tests.agent_process import AgentProcess
from tests.console.cli.commands import Done, roost, write_fleet
from tests.console.images.pushing import Hurry, client_over
from tests.waiting import until

pytestmark = pytest.mark.timeout(60)


class Site(NamedTuple):
    """Nodes a and b of one site, of which b serves it."""

    home: Path
    fleet: Path
    agents: dict[str, AgentProcess]

    def share(self, *more: str) -> Done:
        chosen = ("build", self.home / "detector.yaml", "--to", "site=lab", "--share", "--json")
        return roost(self.home, "--fleet", self.fleet, "engine", *chosen, *more)

    def builder(self, name: str, ending: str) -> None:
        """Of that node from now on."""
        rtx_stand_in(self.agents[name].folder, ending)


@pytest.fixture
def site(short_folder: Path, tmp_path: Path) -> Iterator[Site]:
    onnx = tmp_path / "detector.onnx"
    onnx.write_bytes(onnx_made.detector(blocks=1))
    (tmp_path / "detector.yaml").write_text(f"model: detector\nonnx: {onnx}\n")
    with ExitStack() as stack:
        agents, entries = {}, []
        for name in ("a", "b"):
            folder = short_folder / name
            folder.mkdir()
            settings = {"name": name, "engines": {"python": str(rtx_stand_in(folder))}}
            if name == "b":
                settings["site_listen"] = "127.0.0.1:0"
            agents[name] = stack.enter_context(AgentProcess(folder, settings))
            address = f"unix://{agents[name].sockets['operator']}"
            entries.append(NodeEntry(name=name, address=address, labels={"site": "lab"}))
        yield Site(tmp_path, write_fleet(tmp_path / "fleet.yaml", entries), agents)


def test_where_the_one_that_builds_fails_each_builds(site: Site) -> None:
    site.builder("b", "sys.exit(3)")
    done = site.share()
    assert done.code == 1
    records = {each["node"]: each for each in done.json}
    assert (records["a"]["result"], records["b"]["result"]) == ("built", "failed")
    assert records["a"]["not_shared"] == "b: the engine was not built there"
    assert "fetches from b" in done.err


def test_a_run_that_was_left_goes_on(site: Site) -> None:
    """One node was away; then it fetches what the other one has built by then."""
    site.agents["a"].stop()
    done = site.share()
    assert done.code == 1
    assert re.search(r"^a +detector +- +builds +\S", done.err, re.MULTILINE)
    records = {each["node"]: each for each in done.json}
    assert (records["a"]["result"], records["b"]["result"]) == ("failed", "built")
    site.agents["a"].start()
    site.builder("a", "assert job['action'] == 'check'")
    again = site.share("--resume", records["a"]["run"])
    assert again.code == 0, again.err
    records |= {each["node"]: each for each in again.json}
    assert (records["a"]["result"], records["a"]["shared_from"]) == ("shared", "b")
    assert re.search(r"^b +detector +[0-9a-f]{12} +has it +for a$", again.err, re.MULTILINE)
    assert [job["kind"] for job in site.agents["b"].get("/v1/jobs")].count("engine.build") == 1


async def test_one_that_is_away_keeps_up_no_other(site: Site) -> None:
    """The power of b is cut while it builds; it comes back when a has built its own."""
    site.builder("b", "__import__('time').sleep(3600)")
    recipe = EngineRecipe(model="detector", onnx=str(site.home / "detector.onnx"))
    entries = [NodeEntry(name=name, address="", labels={"site": "lab"}) for name in "ab"]
    a, b = builds = [NodeBuild(entry, BuildRequest(recipe=recipe)) for entry in entries]
    a.source = b

    def client(entry: NodeEntry) -> NodeClient:
        return client_over(site.agents[entry.name].sockets["operator"])

    fleet = FleetBuild(
        builds,
        client,
        run_name="night",
        again=False,
        at_once=1,
        random=Hurry(),
        away_seconds=1,
    )
    whole = asyncio.create_task(fleet.run())
    await until(lambda: b.job is not None and b.job.state == "running")
    assert a.stage == "waiting"
    await asyncio.to_thread(site.agents["b"].close)
    await until(lambda: a.ended)
    assert (a.stage, b.ended) == ("done", False)
    assert re.match(r"b: it has not answered for 1 s: ", a.not_shared or "")
    site.builder("b", "")
    await asyncio.to_thread(site.agents["b"].start)
    await whole
    assert (b.stage, b.away) == ("done", None)


class _Engines:
    def __init__(self, code: str) -> None:
        self.engines, self._code = self, code

    async def look(self, request: BuildRequest, key: str) -> None:
        raise ProblemError(self._code, "no")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("request.method", "its agent is older than this"),
        ("request.not_found", "its agent is older than this"),
        ("engine.onnx", "no"),
    ],
)
async def test_a_node_that_cannot_say(code: str, why: str) -> None:
    request = BuildRequest(recipe=EngineRecipe(model="detector", onnx="detector.onnx"))
    client = cast("NodeClient", _Engines(code))
    assert await look(client, request, "k", random=Random(1)) == Look(alone=why)


def test_an_older_agent_is_not_told_of_what_it_does_not_know() -> None:
    """It refuses a request with a field that it does not know."""
    recipe = EngineRecipe(model="detector", onnx="detector.onnx")
    assert set(msgspec.json.decode(msgspec.json.encode(BuildRequest(recipe=recipe)))) == {"recipe"}


def test_services_of_one_model_name_a_node_once() -> None:
    """They have one key, and so the node has several builds of it."""
    entries = [NodeEntry(name=name, address="unix:///x", labels={"site": "lab"}) for name in "ab"]
    builds = [
        NodeBuild(entry, BuildRequest(recipe=EngineRecipe(model=model, onnx="one.onnx")))
        for entry in entries
        for model in ("front", "back")
    ]
    served = SiteStatus(listening=True)
    told = share(builds, [Look(key="f" * 64)] * 4, {"a": served})
    assert [(each.does, each.why) for each in told] == [
        ("builds", "for a, b"),
        *[("fetches from a", "")] * 3,
    ]
