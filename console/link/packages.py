"""What is installed on a node and in its images; see `agent.protocol.packages`."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from agent.protocol.jobs import IDEMPOTENCY_HEADER, Job
from agent.protocol.packages import PackageList, ReadPackagesRequest
from agent.protocol.problems import ProblemError
from console.link.requests import Call, Requests, decode

NOT_READ = "packages.not_read"


class PackageClient:
    """All methods raise ProblemError: the agent's own, or `link.*`."""

    def __init__(self, node: str, requests: Requests) -> None:
        self._node, self._requests = node, requests

    async def read(self, image: str, key: str) -> Job:
        """Begin, or find, the job that reads them; "": of the node itself."""
        call = Call(
            method="POST",
            target="/v1/packages",
            headers=[(IDEMPOTENCY_HEADER, key)],
            body=msgspec.json.encode(ReadPackagesRequest(image=image)),
        )
        try:
            return decode(self._node, await self._requests.exchange(call), Job)
        except ProblemError as problem:
            raise _too_old(self._node) if problem.code == "request.not_found" else problem from None

    async def get(self, image: str) -> PackageList | None:
        """As they were read; None: nobody has read them yet."""
        target = f"/v1/packages?image={quote(image, safe='')}" if image else "/v1/packages"
        try:
            content = await self._requests.exchange(Call(target=target))
        except ProblemError as problem:
            if problem.code == "request.not_found":
                raise _too_old(self._node) from None
            if problem.code != NOT_READ:
                raise
            return None
        return decode(self._node, content, PackageList)


def _too_old(node: str) -> ProblemError:
    return ProblemError(
        "request.not_found",
        f"the agent of {node} is older than this: it cannot read packages",
        hint="Bring it a newer one: roost agent upgrade",
    )
