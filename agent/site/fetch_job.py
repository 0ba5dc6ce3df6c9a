"""The job `image.fetch`: layers from another node of the site, into the blob store."""

from __future__ import annotations

from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.images import Layer
from agent.protocol.site import FetchRequest
from agent.site.fetching import Fetcher

# Moved on with each megabyte or so that comes; the slowest LAN brings one in that time.
SILENT_SECONDS = 120.0


class FetchKind(JobKind[FetchRequest]):
    """Resumable: what came lies in the same uploads that a console would send to."""

    name = "image.fetch"
    request_type = FetchRequest
    resumable = True
    joins = True
    at_once = 4

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    def subject(self, request: FetchRequest) -> str:
        count = len(request.layers)
        return f"{count} layer{'' if count == 1 else 's'} from {request.grant.node}"

    async def run(self, work: Work[FetchRequest]) -> dict[str, str]:
        request = work.request
        fetched = 0
        for layer in request.layers:
            await work.stage("fetching", SILENT_SECONDS)
            fetched += await self._layer(work, layer)
            self._progress(work)
        return {"from": request.grant.node, "received_bytes": str(fetched)}

    async def _layer(self, work: Work[FetchRequest], layer: Layer) -> int:
        async def moved() -> None:
            await work.stage("fetching", SILENT_SECONDS)
            self._progress(work)

        return await self._fetcher.fetch(work.request.grant, layer, moved=moved, log=work.log)

    def _progress(self, work: Work[FetchRequest]) -> None:
        layers = work.request.layers
        work.progress(
            sum(map(self._fetcher.there, layers)), sum(each.size_bytes for each in layers)
        )
