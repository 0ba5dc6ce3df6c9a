"""Asks a node for all that helps to understand it from afar, part by part."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, NamedTuple

import msgspec

from agent.protocol.decoding import from_json
from agent.protocol.own_log import OwnLog
from agent.protocol.problems import ProblemError
from agent.rules.secretive import plain_without_secrets, without_secrets
from console.link.client import NodeClient
from console.text import plural

# A link that brings nothing for so long is cut; before the first word the doctor may take long.
SILENCE_SECONDS = 90.0
# Of one part, as the node sends it: 4 MiB are nine minutes at 64 kbit/s.
PART_BYTES = 4 * 1024 * 1024
# Of the newest jobs that did not succeed, or are under way.
JOB_LOGS = 20
# Of a job's log its begin and its end, where it says why the job failed.
HEAD_BYTES, TAIL_BYTES = 256 * 1024, 768 * 1024
# No more of it is read to get there; an agent keeps 4000 lines of 2000 characters.
READ_BYTES = 16 * 1024 * 1024
LOG_BYTES = 1024 * 1024


class Part(NamedTuple):
    """A file of the support file, or why there is none."""

    name: str
    text: str | None
    why: str = ""  # why it could not be had, or is not whole


Heard = Callable[[str, int], None]

_ASKED = (
    ("facts.json", "/v1/node"),
    ("doctor.json", "/v1/doctor"),
    # Workloads, engines and files as they are, and configuration.
    ("snapshot.json", "/v1/snapshot"),
    ("gpus.json", "/v1/gpus"),
    ("telemetry.json", "/v1/telemetry"),
    ("history.json", "/v1/telemetry/history?resolution=1m"),
    ("containers.json", "/v1/containers"),
    ("workloads.json", "/v1/workloads"),
    ("images.json", "/v1/images"),
    ("engines.json", "/v1/engines"),
    ("files.json", "/v1/files"),
    ("audit.json", "/v1/audit?limit=2000"),
    ("metrics.txt", "/metrics"),
)
_JOBS = ("jobs.json", "/v1/jobs?limit=300")
_LOG = ("agent.log", f"/v1/log?limit_bytes={LOG_BYTES}")


async def gather(client: NodeClient, heard: Heard) -> AsyncIterator[Part]:
    """Every part, without what looks like a secret; one that fails keeps no other away.

    Args:
        client: of the node.
        heard: is told which part is being read, and how many bytes of it there are.
    """
    for name, target in _ASKED:
        yield await _part(client, name, target, heard)
    jobs = await _part(client, *_JOBS, heard)
    yield jobs
    ids = _of_interest(jobs)
    if ids is None:
        yield Part("jobs/", None, "which jobs' logs matter is not known: jobs.json is not whole")
    for job in ids or ():
        yield await _job_log(client, job, heard)
    yield await _own_log(client, heard)


async def _part(client: NodeClient, name: str, target: str, heard: Heard) -> Part:
    try:
        content, cut = await _read(client, name, target, heard)
    except ProblemError as problem:
        return Part(name, None, f"{problem.code}: {problem.detail}")
    text = content.decode(errors="replace")
    if not name.endswith(".json"):
        return Part(name, without_secrets(text), _cut_words(cut=cut))
    try:
        told = without_secrets_as_json(json.loads(text))
    except (ValueError, RecursionError):
        return Part(name, without_secrets(text), _cut_words(cut=cut) or "it is no JSON")
    return Part(name, told)


def without_secrets_as_json(document: Any) -> str:
    """A decoded JSON document as the text of a part. Raises RecursionError."""
    return json.dumps(plain_without_secrets(document), indent=1, ensure_ascii=False) + "\n"


async def _read(client: NodeClient, name: str, target: str, heard: Heard) -> tuple[bytes, bool]:
    return await client.read(
        target,
        timeout=SILENCE_SECONDS,
        limit=PART_BYTES,
        heard=lambda count: heard(name, count),
    )


def _cut_words(*, cut: bool) -> str:
    return f"cut after {PART_BYTES >> 20} MiB" if cut else ""


def _of_interest(jobs: Part) -> list[str] | None:
    """Ids of the newest jobs whose logs tell something; None: it is not known which those are."""
    try:
        found: Any = json.loads(jobs.text or "")
        ids = [str(job["id"]) for job in found if job["state"] not in ("succeeded", "skipped")]
    except (ValueError, TypeError, KeyError):
        return None
    return ids[:JOB_LOGS]


async def _job_log(client: NodeClient, job: str, heard: Heard) -> Part:
    name = f"jobs/{job[:40]}.log"
    lines, why = _BothEnds(), ""
    try:
        async with aclosing(client.job_log(job, follow=False)) as batches:
            async for batch in batches:
                for line in batch if isinstance(batch, list) else ():
                    lines.add(f"{line.at:.3f} {line.text}\n")
                heard(name, lines.read)
                if lines.read > READ_BYTES:
                    why = f"cut after {READ_BYTES >> 20} MiB"
                    break
    except ProblemError as problem:
        why = f"{problem.code}: {problem.detail}"
        if not lines.read:
            return Part(name, None, why)
    return Part(name, lines.text(), "; ".join(filter(None, (lines.cut, why))))


class _BothEnds:
    """Lines, of which the first and the last are kept, as many as there is room for."""

    def __init__(self) -> None:
        self.read = 0  # bytes
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._tail_bytes = 0
        self._left_out = 0  # lines

    def add(self, line: str) -> None:
        taken = len(line.encode(errors="replace"))
        self.read += taken
        if self.read <= HEAD_BYTES:
            self._head.append(line)
            return
        self._tail.append(line)
        self._tail_bytes += taken
        while self._tail_bytes > TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft().encode(errors="replace"))
            self._left_out += 1

    @property
    def cut(self) -> str:
        """In words; "": nothing is left out."""
        return f"{plural(self._left_out, 'line')} in the middle left out" if self._left_out else ""

    def text(self) -> str:
        """Without what looks like a secret, also where its other half is left out."""
        if not self._left_out:
            return without_secrets("".join((*self._head, *self._tail)))
        # Each by itself: a key of which one end is left out is none in the whole of it.
        head, tail = (without_secrets("".join(each)) for each in (self._head, self._tail))
        return f"{head}--- {self.cut} ---\n{tail}"


async def _own_log(client: NodeClient, heard: Heard) -> Part:
    name, target = _LOG
    try:
        content, _ = await _read(client, name, target, heard)
        log = from_json(content, OwnLog)
    except ProblemError as problem:
        return Part(name, None, f"{problem.code}: {problem.detail}")
    except msgspec.DecodeError as error:
        return Part(name, None, f"not understood: {error}")
    # Joined first: a key in PEM goes over many lines.
    text = without_secrets("".join(f"{line}\n" for line in log.lines))
    why = [f"from the agent's memory: {log.reason}"] if log.source == "memory" else []
    return Part(name, text, "; ".join([*why, *(["older lines are left out"] if log.cut else [])]))
