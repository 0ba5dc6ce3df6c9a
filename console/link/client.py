"""The typed client of one agent."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from typing import Literal, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from agent.protocol.access import AuditRecord
from agent.protocol.compatibility import ImageNeeds
from agent.protocol.containers import (
    Container,
    ContainerChange,
    ContainerDetails,
    ExecRequest,
    LogLine,
    TerminalSize,
)
from agent.protocol.findings import DoctorReport
from agent.protocol.gpus import GpuReport
from agent.protocol.image_builds import BuildImageRequest
from agent.protocol.images import (
    ImportRequest,
    LoadPlan,
    LoadRequest,
    Medium,
    NodeImage,
    RemoveRequest,
    TagRequest,
)
from agent.protocol.jobs import IDEMPOTENCY_HEADER, Job, JobLogLine, JobState
from agent.protocol.node import NodeFacts
from agent.protocol.signatures import RevokeRequest, TrustedKey, TrustRequest
from agent.protocol.telemetry import History, Metric, Telemetry
from console.link.engines import EngineClient
from console.link.exec import Exec
from console.link.link import Link
from console.link.node_files import FileClient
from console.link.node_secrets import SecretClient
from console.link.packages import PackageClient
from console.link.requests import (
    ANSWER_LIMIT_BYTES,
    ANSWER_TIMEOUT_SECONDS,
    Call,
    Requests,
    decode,
)
from console.link.site import SiteClient
from console.link.snapshots import SnapshotClient
from console.link.stream import Stream
from console.link.upgrades import UpgradeClient
from console.link.uploads import UploadClient
from console.link.workloads import WorkloadClient

T = TypeVar("T")
Query = dict[str, str | int | float | bool | None]

ACCEPT_EVENTS = ("Accept", "text/event-stream")
# Checks may run a command in each container.
DOCTOR_TIMEOUT_SECONDS = 90.0
# A node makes a container from the image, and some 300 MB may lie where it looks.
LOOK_SECONDS = 120.0
# What a runtime gives a container to stop, unless told otherwise, and some patience on top.
STOP_SECONDS = 10
ACT_PATIENCE_SECONDS = 30.0
# Agents say something every 10 s in the streams of logs and of commands.
SILENCE_LIMIT_SECONDS = 30.0


class NodeClient:
    """What an agent can be asked, over one link.

    Every method raises ProblemError: the agent's own, or `link.*` and `ssh.*`. Their details
    quote what the node said: clean them (console.text) before a terminal sees them.
    """

    def __init__(
        self,
        node: str,
        link: Link,
        *,
        owner: str,
        token: Callable[[], str] | None = None,
        timeout: float = ANSWER_TIMEOUT_SECONDS,
        limit: int = ANSWER_LIMIT_BYTES,
        silence: float = SILENCE_LIMIT_SECONDS,
    ) -> None:
        """`owner` is stated to the agent's audit log; `token` is asked anew for each request.

        A stream of logs or of a command that is silent for `silence` seconds, and for `timeout`,
        is taken for dead.
        """
        self.name = node
        self.kind = link.kind
        self._timeout = timeout
        self._silence = max(silence, timeout)
        self._requests = Requests(
            node, link, owner=owner, token=token, timeout=timeout, limit=limit
        )
        self.uploads = UploadClient(node, self._requests)
        self.sites = SiteClient(node, self._requests)
        self.workloads = WorkloadClient(node, self._requests)
        self.engines = EngineClient(node, self._requests)
        self.secrets = SecretClient(node, self._requests)
        self.files = FileClient(node, self._requests)
        self.upgrades = UpgradeClient(node, self._requests)
        self.snapshots = SnapshotClient(node, self._requests)
        self.packages = PackageClient(node, self._requests)

    async def read(
        self, target: str, *, timeout: float, limit: int, heard: Callable[[int], None]
    ) -> tuple[bytes, bool]:
        """What a GET answers as the agent wrote it, and whether it was cut at `limit` bytes.

        `timeout` (seconds) is for the first word, and then between two pieces; `heard` is told of
        the bytes that are there.
        """
        call = Call(target=target, timeout=timeout)
        return await self._requests.body(call, silence=timeout, limit=limit, heard=heard)

    async def node(self) -> NodeFacts:
        return await self._get("/v1/node", NodeFacts)

    async def node_and_clock(self) -> tuple[NodeFacts, float | None, float]:
        """Facts; by how much the node's clock is ahead of ours; half of the round trip."""
        await self.node()  # connects, so that the next one is a single round trip
        before = time.time()
        started = time.monotonic()
        facts = await self.node()
        half = (time.monotonic() - started) / 2
        return facts, None if facts.now is None else facts.now - before - half, half

    async def gpus(self) -> GpuReport:
        return await self._get("/v1/gpus", GpuReport)

    async def telemetry(self) -> Telemetry:
        return await self._get("/v1/telemetry", Telemetry)

    async def history(
        self,
        *,
        resolution: Literal["1s", "1m"] = "1s",
        metric: Metric | None = None,
        subject: str | None = None,
        seconds: int | None = None,
    ) -> History:
        query: Query = {
            "resolution": resolution,
            "metric": metric,
            "subject": subject,
            "seconds": seconds,
        }
        return await self._get(_target("/v1/telemetry/history", query), History)

    async def containers(self) -> list[Container]:
        return await self._get("/v1/containers", list[Container])

    async def container(self, name: str) -> ContainerDetails:
        """One container by id, start of id, or name."""
        return await self._get(_container(name), ContainerDetails)

    async def act(
        self,
        name: str,
        action: Literal["start", "stop", "restart"],
        *,
        timeout_seconds: int | None = None,
    ) -> ContainerChange:
        """`timeout_seconds` is what the container gets to stop before it is killed."""
        target = _target(f"{_container(name)}/{action}", {"timeout_seconds": timeout_seconds})
        patience = ACT_PATIENCE_SECONDS + (
            STOP_SECONDS if timeout_seconds is None else timeout_seconds
        )
        call = Call(method="POST", target=target, timeout=max(self._timeout, patience))
        return decode(self.name, await self._requests.exchange(call), ContainerChange)

    async def doctor(
        self,
        *,
        clock_offset_seconds: float | None = None,
        clock_uncertainty_seconds: float | None = None,
    ) -> DoctorReport:
        query: Query = {
            "clock_offset_seconds": clock_offset_seconds,
            "clock_uncertainty_seconds": clock_uncertainty_seconds,
        }
        return await self._get(
            _target("/v1/doctor", query),
            DoctorReport,
            timeout=max(self._timeout, DOCTOR_TIMEOUT_SECONDS),
        )

    async def audit(self, *, limit: int = 100) -> list[AuditRecord]:
        """The newest mutating calls, newest first."""
        return await self._get(_target("/v1/audit", {"limit": limit}), list[AuditRecord])

    async def logs(
        self,
        name: str,
        *,
        follow: bool = False,
        since: str | None = None,
        until: str | None = None,
        tail: int | None = None,
    ) -> AsyncGenerator[list[LogLine], None]:
        """Output of a container in batches; ends with the output, or never with `follow`.

        `since` and `until` take RFC 3339, Unix seconds, or a span like "15m". Raises
        `link.unreachable` where the stream is cut before its end, `link.stale` where it is silent.
        """
        query: Query = {"follow": follow or None, "since": since, "until": until, "tail": tail}
        stream = await self._stream(
            _target(f"{_container(name)}/logs", query), silence=self._silence
        )
        try:
            while True:
                for event in await stream.read():
                    if event.name == "lines":
                        yield decode(self.name, event.data, list[LogLine])
                    elif event.name == "end":
                        return
        finally:
            stream.close()

    async def exec(self, name: str, request: ExecRequest) -> Exec:
        """Run a command in a container. Close what comes back."""
        call = Call(
            method="POST",
            target=f"{_container(name)}/exec",
            headers=[ACCEPT_EVENTS],
            body=msgspec.json.encode(request),
        )
        stream = await self._requests.stream(call, silence=self._silence)
        return await Exec.begin(self.name, stream, self._feed_exec)

    async def images(self) -> list[NodeImage]:
        """The images of the node's runtime."""
        return await self._get("/v1/images", list[NodeImage])

    async def image_needs(self, image: str, *, inside: bool = False) -> ImageNeeds:
        """What an image needs to run; `inside` has an operator's node look at its files, too."""
        target = _target("/v1/images/needs", {"image": image, "inside": inside or None})
        return await self._get(target, ImageNeeds, timeout=max(self._timeout, LOOK_SECONDS))

    async def plan_images(self, request: LoadRequest) -> LoadPlan:
        """What it takes to have these images and files; nothing changes."""
        body = msgspec.json.encode(request)
        call = Call(method="POST", target="/v1/images/plan", body=body)
        if request.files:  # those that are there may have to be read
            call.timeout = max(self._timeout, LOOK_SECONDS)
        return decode(self.name, await self._requests.exchange(call), LoadPlan)

    async def load_images(self, request: LoadRequest, key: str) -> Job:
        """Begin, or find, the job that has these images and files; it waits for what lacks."""
        return await self._job("/v1/images/load", request, key)

    async def import_images(self, request: ImportRequest, key: str) -> Job:
        """Begin, or find, the job that loads an archive which lies on the node."""
        return await self._job("/v1/images/import", request, key)

    async def build_image(self, request: BuildImageRequest, key: str) -> Job:
        """Begin, or find, the job that builds an image of a context that was uploaded."""
        return await self._job("/v1/images/build", request, key)

    async def remove_images(self, request: RemoveRequest, key: str) -> Job:
        return await self._job("/v1/images/remove", request, key)

    async def tag_image(self, request: TagRequest, key: str) -> Job:
        return await self._job("/v1/images/tag", request, key)

    async def trusted_keys(self) -> list[TrustedKey]:
        """The keys whose signatures the node believes, and those that were revoked."""
        return await self._get("/v1/keys", list[TrustedKey])

    async def trust_key(self, line: str) -> TrustedKey:
        """Needs an admin's client."""
        body = msgspec.json.encode(TrustRequest(key=line))
        call = Call(method="POST", target="/v1/keys/trust", body=body)
        return decode(self.name, await self._requests.exchange(call), TrustedKey)

    async def revoke_key(self, key: str) -> TrustedKey:
        """By its line, its fingerprint, or the start of that. Needs an admin's client."""
        body = msgspec.json.encode(RevokeRequest(key=key))
        call = Call(method="POST", target="/v1/keys/revoke", body=body)
        return decode(self.name, await self._requests.exchange(call), TrustedKey)

    async def media(self) -> list[Medium]:
        """Where the node finds archives by itself: removable media, and its inbox."""
        return await self._get("/v1/media", list[Medium])

    async def jobs(self, *, state: JobState | None = None, limit: int = 100) -> list[Job]:
        """The newest first."""
        return await self._get(_target("/v1/jobs", {"state": state, "limit": limit}), list[Job])

    async def job(self, name: str) -> Job:
        """One job by its id or the start of it."""
        return await self._get(_job(name), Job)

    async def job_log(
        self, name: str, *, follow: bool = True, after: int = 0
    ) -> AsyncGenerator[list[JobLogLine] | Job, None]:
        """Lines after that number in batches, and the job at last: with `follow` when it ended.

        Raises `link.unreachable` where the stream is cut before that, `link.stale` where it is
        silent.
        """
        query: Query = {"follow": follow, "after": after}
        stream = await self._stream(_target(f"{_job(name)}/log", query), silence=self._silence)
        try:
            while True:
                for event in await stream.read():
                    if event.name == "lines":
                        yield decode(self.name, event.data, list[JobLogLine])
                    elif event.name == "end":
                        yield decode(self.name, event.data, Job)
                        return
        finally:
            stream.close()

    async def cancel_job(self, name: str) -> Job:
        """The job as it is then: one that runs is `cancelling` for a while."""
        call = Call(method="POST", target=f"{_job(name)}/cancel")
        return decode(self.name, await self._requests.exchange(call), Job)

    async def retry_job(self, name: str, key: str) -> Job:
        """Begin, or find, the job that does again what this one did not."""
        headers = [(IDEMPOTENCY_HEADER, key)]
        call = Call(method="POST", target=f"{_job(name)}/retry", headers=headers)
        return decode(self.name, await self._requests.exchange(call), Job)

    async def events(self, last_event_id: str | None = None) -> Stream:
        """The live picture: agent.protocol.live says what its events are.

        Who reads it looks to its silences (`STALE_AFTER_SECONDS` there).
        """
        headers = [("Last-Event-ID", last_event_id)] if last_event_id else []
        return await self._stream("/v1/events", *headers)

    async def close(self) -> None:
        """Close what is kept open, and the link."""
        await self._requests.close()

    async def _job(self, target: str, request: msgspec.Struct, key: str) -> Job:
        call = Call(
            method="POST",
            target=target,
            headers=[(IDEMPOTENCY_HEADER, key)],
            body=msgspec.json.encode(request),
        )
        return decode(self.name, await self._requests.exchange(call), Job)

    async def _get(self, target: str, kind: type[T], *, timeout: float | None = None) -> T:
        content = await self._requests.exchange(Call(target=target, timeout=timeout))
        return decode(self.name, content, kind)

    async def _stream(
        self, target: str, *headers: tuple[str, str], silence: float | None = None
    ) -> Stream:
        call = Call(target=target, headers=[ACCEPT_EVENTS, *headers])
        return await self._requests.stream(call, silence=silence)

    async def _feed_exec(self, exec_id: str, given: bytes | TerminalSize | None) -> None:
        """Input, a new size of the terminal, or (None) the end of the input."""
        path = f"/v1/execs/{quote(exec_id, safe='')}"
        if isinstance(given, TerminalSize):
            call = Call(method="POST", target=f"{path}/size", body=msgspec.json.encode(given))
        elif given is None:
            call = Call(method="POST", target=f"{path}/input?close=true")
        else:
            call = Call(
                method="POST",
                target=f"{path}/input",
                body=given,
                media_type="application/octet-stream",
            )
        await self._requests.exchange(call)


def _job(name: str) -> str:
    return f"/v1/jobs/{quote(name, safe='')}"


def _container(name: str) -> str:
    return f"/v1/containers/{quote(name, safe='')}"


def _target(path: str, query: Query) -> str:
    given = {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in query.items()
        if value is not None
    }
    return f"{path}?{urlencode(given)}" if given else path
