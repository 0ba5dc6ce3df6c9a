"""What a node tells of an engine, for another node of its site to fetch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from agent.protocol.engines import SharedPlan
from agent.protocol.problems import ProblemError
from console.engines.node_build import NodeBuild
from console.fleet.inventory import NodeEntry
from console.images.granting import Granting
from console.link.client import NodeClient


class PlanSources:
    """For one run: one link to each node that others fetch from, and its grants by plan."""

    def __init__(self, client: Callable[[NodeEntry], NodeClient]) -> None:
        self._client = client
        self._clients: dict[str, NodeClient] = {}
        self._granting: defaultdict[tuple[str, str], Granting] = defaultdict(Granting)

    async def close(self) -> None:
        """The run is over."""
        for client in self._clients.values():
            await client.close()

    async def plan_of(self, build: NodeBuild) -> SharedPlan:
        """What a build came to that nobody waits for any more, as its node has it, and a grant.

        Raises:
            ProblemError: `engine.not_found`: it did not come to an engine; `site.*`, `link.*`.
        """
        if build.away is not None:
            raise ProblemError("engine.not_found", build.away)
        key = None if build.job is None else build.job.result.get("key")
        if build.stage != "done" or key is None:
            raise ProblemError("engine.not_found", "the engine was not built there")
        client = self._clients.get(build.entry.name)
        if client is None:
            client = self._clients[build.entry.name] = self._client(build.entry)
        found = await client.engines.show(build.model)
        manifest = next((each.manifest for each in found if each.manifest.key == key), None)
        if manifest is None:
            raise ProblemError("engine.not_found", "the engine is not there any more")
        granting = self._granting[build.entry.name, manifest.plan_sha256]
        grant = await granting.grant(client.sites, [f"sha256:{manifest.plan_sha256}"])
        return SharedPlan(
            grant=grant,
            key=key,
            plan_sha256=manifest.plan_sha256,
            plan_bytes=manifest.plan_bytes,
            build_seconds=manifest.build_seconds,
            peak_memory_bytes=manifest.peak_memory_bytes,
            layers=manifest.layers,
            warnings=manifest.warnings,
        )
