"""Workers in throw-away containers of a workload's own image, which has the TensorRT that counts.

The container sees one GPU, the model's folder and a folder to write to, and no network. Its user is
the image's. It is removed however the work ends; what an agent left that was killed, the next one
of the same folder removes by its labels.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from anyio import CancelScope, fail_after, move_on_after

from agent import durable
from agent.containers.runtime import NodeRuntime
from agent.engines.container_paths import Mounts, hidden
from agent.engines.events import Event, Versions
from agent.engines.hearing import CANCEL_SECONDS, Hearing, died
from agent.engines.host_executor import WORKER, Looked, lacks_gpu, looked_of
from agent.engines.orphans import DESCRIPTION
from agent.engines.store import unstorable
from agent.engines.worker_process import LINE_LIMIT_BYTES, quiet_log
from agent.engines.worker_task import WorkerTask
from agent.host.real_paths import ROOT
from agent.protocol.containers import LogLine
from agent.protocol.images import NodeImage
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.workloads.gpu_ways import cdi_names, way_of, with_gpus
from agent.workloads.recipe import Recipe

LABEL = "roost.engine-build"  # its value is the job
OWNER_LABEL = "roost.engine-owner"  # the engines' folder that it is for: several agents may be here
AGENT_LABEL = "roost.engine-agent"  # the process that began it
_OWNER = ".owner"
PYTHONS = ("python3", "python")
CAPABILITIES = ("compute", "utility")
LOOK_SECONDS = 180.0
REMOVE_SECONDS = 120.0
STOP_LOOK_SECONDS = 0.1
# A worker that prints without end must not fill the disk by the runtime's log.
LOG_CONFIG = {"Type": "json-file", "Config": {"max-size": "16m", "max-file": "2"}}

log = logging.getLogger(__name__)


class ContainerExecutor:
    """Makes them on one node's runtime."""

    def __init__(
        self,
        runtime: NodeRuntime,
        facts: Callable[[], NodeFacts],
        folder: Path,
        *,
        root: Path = ROOT,
    ) -> None:
        """`folder` is the engines': what containers see of it lies there, under the same path.

        `root` is the machine's, for what else they are to see.
        """
        self._runtime, self._facts, self._folder, self._root = runtime, facts, folder, root
        self._looked: dict[tuple[str, str | None], tuple[str, Looked]] = {}
        self._mine = secrets.token_hex(8)
        self._owner, self._owner_lock = "", asyncio.Lock()  # "": nobody has asked yet

    async def image(self, reference: str) -> NodeImage:
        """Raises ProblemError `image.not_found`, `image.ambiguous`, `runtime.*`."""
        return await self._runtime.image(reference)

    async def look(self, reference: str, gpu: str | None) -> Looked:
        """Which TensorRT an image has. An image never changes, so it is asked once.

        But for its GPU, which may have been away: it is asked until that was seen.

        Raises:
            ProblemError: `image.*`, `runtime.*`, `gpu.*`, `engine.no_tensorrt`, `engine.worker`.
        """
        image = await self.image(reference)
        found = self._looked.get((image.id, gpu))
        if found is None or lacks_gpu(found[1], gpu):
            found = self._looked[image.id, gpu] = await self._ask(image, gpu)
        return found[1]

    async def run(self, task: WorkerTask, hearing: Hearing) -> None:
        """Do `task` in the image that it names; `look` at that before.

        Raises:
            ProblemError: as `Hearing.end`, `engine.silent`, `runtime.*`, `gpu.*`.
            OSError: the description cannot be written.
        """
        await self.sweep()  # an orphan would hold the GPU
        python, _ = self._looked[task.image or "", task.gpu]
        mounts = Mounts(self._root)
        for path in task.paths:
            await asyncio.to_thread(mounts.add, path)
        job = task.place / DESCRIPTION
        worker = task.place / WORKER.name
        await asyncio.to_thread(_put_readable, worker, WORKER)
        described = msgspec.json.encode(task.described(mounts.seen_as))
        await asyncio.to_thread(_put_readable, job, described)
        body = self._body(
            task.image or "",
            [python, *_words(mounts.add_file(worker), mounts.add_file(job))],
            mounts=mounts,
            job=task.job,
            memory_bytes=task.memory_bytes,
        )
        try:
            await self._run(body, task.gpu, hearing)
        except ProblemError as problem:
            why = await asyncio.to_thread(hidden, task.paths, self._root)
            if problem.code != "engine.onnx" or why is None:
                raise
            raise ProblemError(
                problem.code,
                f"{problem.detail}; {why}",
                params=problem.params,
                hint="Let others read it (chmod o+rX), or name an image that runs as its owner.",
            ) from problem

    async def sweep(self) -> None:
        """Remove what an agent before left that had the same folder.

        Raises:
            ProblemError: `runtime.*`; `engine.storage`: which folder that is cannot be told.
        """
        owner = await self._owned_by()
        for container_id in await self._runtime.labelled(LABEL):
            try:
                labels = (await self._runtime.inspect(container_id))["Config"].get("Labels") or {}
            except ProblemError as problem:
                if problem.code == "container.not_found":
                    continue  # it ended just now
                raise
            if labels.get(OWNER_LABEL) != owner or labels.get(AGENT_LABEL) == self._mine:
                continue
            log.info("removing container %s of a build that was cut off", container_id[:12])
            await self._runtime.discard_container(container_id)

    async def _owned_by(self) -> str:
        """Of the folder, whoever works in it. Raises ProblemError `engine.storage`."""
        async with self._owner_lock:
            try:
                self._owner = self._owner or await asyncio.to_thread(_owner_of, self._folder)
            except OSError as error:
                raise unstorable(error, self._folder) from None
        return self._owner

    async def _ask(self, image: NodeImage, gpu: str | None) -> tuple[str, Looked]:
        """The Python that it has, and what that said."""
        without: list[str] = []
        await self._owned_by()
        place = self._folder / ".worker"
        await asyncio.to_thread(_put_worker, place)
        for python in PYTHONS:
            versions: list[Versions] = []

            def keep(event: Event, versions: list[Versions] = versions) -> None:
                if isinstance(event, Versions):
                    versions.append(event)

            mounts = Mounts()
            words = _words(mounts.add_file(place / WORKER.name))
            body = self._body(image.id, [python, *words], mounts=mounts, job="look")
            try:
                with fail_after(LOOK_SECONDS):
                    await self._run(body, gpu, Hearing(keep, quiet_log()))
            except TimeoutError:
                without.append(f"{python} did not say within {LOOK_SECONDS:g} s")
            except ProblemError as problem:
                if problem.code in ("engine.no_tensorrt", "engine.worker"):
                    without.append(f"{python}: {problem.detail}")
                elif _lacks(problem, python):
                    without.append(f"no {python} in its PATH")
                    continue
                else:
                    raise
            for told in versions:
                return python, looked_of(told, image)
            break
        raise ProblemError(
            "engine.no_tensorrt",
            f"image {_name(image)} cannot build: {'; '.join(without) or 'it said nothing'}",
            params={"image": image.id},
            hint="Name an image with Python 3.8 or newer and TensorRT's Python bindings in it.",
        )

    def _body(
        self,
        image: str,
        command: list[str],
        *,
        mounts: Mounts,
        job: str,
        memory_bytes: int | None = None,
    ) -> dict[str, Any]:
        memory = memory_bytes or self._facts().host.memory_total_bytes * 3 // 4
        return {
            "Image": image,
            "Entrypoint": command,
            "Cmd": [],
            "Labels": {LABEL: job, OWNER_LABEL: self._owner, AGENT_LABEL: self._mine},
            "Healthcheck": {"Test": ["NONE"]},
            # Where the nvidia runtime is the default one, CUDA images would get every GPU.
            "Env": ["NVIDIA_VISIBLE_DEVICES=void"],
            "HostConfig": {
                "NetworkMode": "none",
                "Mounts": mounts.body(),
                "Memory": memory,
                "MemorySwap": memory,
                "LogConfig": LOG_CONFIG,
                "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            },
        }

    async def _run(self, body: dict[str, Any], gpu: str | None, hearing: Hearing) -> None:
        name = f"roost-engine-{secrets.token_hex(4)}"
        container_id = name
        try:
            container_id = await self._runtime.create_container(name, self._with_gpu(body, gpu), {})
            await self._runtime.act(container_id, "start")
            async with contextlib.aclosing(
                self._runtime.logs(container_id, follow=True, line_limit_bytes=LINE_LIMIT_BYTES)
            ) as batches:
                while (batch := await _next(batches, hearing)) is not None:
                    await asyncio.to_thread(_keep, batch, hearing)
                    for line in batch:
                        if line.stream == "stdout":
                            hearing.line(line.text.encode())
            how, well = await self._end_of(container_id)
        except BaseException:
            with CancelScope(shield=True), move_on_after(REMOVE_SECONDS):
                await self._end(container_id)
            raise
        finally:
            with CancelScope(shield=True), move_on_after(REMOVE_SECONDS):
                await self._discard(container_id)
        hearing.end(how, well=well)

    def _with_gpu(self, body: dict[str, Any], gpu: str | None) -> dict[str, Any]:
        if gpu is None:
            return body
        facts = self._facts()
        way = way_of(facts)
        given = with_gpus(
            Recipe(image=str(body["Image"]), body=body),
            [gpu],
            way,
            cdi_names=cdi_names(facts, [gpu]) if way == "cdi" else {},
            capabilities=CAPABILITIES,
            tegra=facts.gpu_stack.source == "tegra",
        )
        return given.body

    async def _end_of(self, container_id: str) -> tuple[str, bool]:
        """How it ended, in words, once it has: the log may end a little before."""
        state = await self._ended(container_id)
        code = int(state.get("ExitCode") or 0)
        if state.get("OOMKilled"):
            raise ProblemError(
                "engine.memory",
                "the builder's container was killed: it wanted more memory than it may have",
                hint="Raise memory_bytes in the recipe, or stop other work on the node meanwhile.",
            )
        return f"the builder's container ended with {code} and did not say how it went", not code

    async def _ended(self, container_id: str) -> Mapping[str, Any]:
        """Its state once it does not run any more. Raises ProblemError."""
        while True:
            state: Mapping[str, Any] = (await self._runtime.inspect(container_id))["State"]
            if not state.get("Running"):
                return state
            await asyncio.sleep(STOP_LOOK_SECONDS)

    async def _end(self, container_id: str) -> None:
        """Ask it to end and wait a moment; who calls then removes it, which kills it."""
        try:
            with move_on_after(CANCEL_SECONDS):
                await self._runtime.signal_container(container_id, "SIGTERM")
                await self._ended(container_id)
        except ProblemError:
            return  # it is gone, or the runtime is

    async def _discard(self, container_id: str) -> None:
        try:
            await self._runtime.discard_container(container_id)
        except ProblemError as problem:
            log.warning("container %s was not removed: %s", container_id, problem.detail)


async def _next(batches: Any, hearing: Hearing) -> list[LogLine] | None:
    """The next lines; None: there are no more. Raises ProblemError `engine.silent`."""
    seconds = hearing.may_be_silent()
    try:
        with fail_after(seconds):
            return list(await anext(batches))
    except StopAsyncIteration:
        return None
    except TimeoutError:
        hearing.may_be_silent()  # raises: nothing came on either stream
        raise died("the container's log ended unheard") from None


def _keep(batch: list[LogLine], hearing: Hearing) -> None:
    """Blocks. What comes together is written together: a worker may print a line a microsecond."""
    for stream, lines in itertools.groupby(batch, key=lambda line: line.stream):
        text = b"".join(line.text.encode() + b"\n" for line in lines)
        hearing.heard()
        if stream == "stderr":
            hearing.log.add_error(text)
        else:
            hearing.log.add(text)


def _owner_of(folder: Path) -> str:
    """What was written there first: a path would not do where agents run in containers."""
    file = folder / _OWNER
    try:
        if found := file.read_text(encoding="ascii", errors="replace").strip():
            return found
    except FileNotFoundError:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    made = secrets.token_hex(16)
    durable.write_whole(file, made.encode())
    return made


def _words(*paths: str) -> list[str]:
    # Not isolated: an image may have TensorRT where only its PYTHONPATH says.
    return ["-B", "-u", *paths]


def _put_worker(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    _put_readable(place / WORKER.name, WORKER)


def _put_readable(file: Path, content: Path | bytes) -> None:
    """Whoever an image runs as reads it, whatever the agent's umask."""
    file.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    file.chmod(0o644)


def _lacks(problem: ProblemError, program: str) -> bool:
    """Whether the runtime could not start it; what a program says itself is another matter."""
    said = problem.detail.lower()
    return problem.code != "engine.worker" and program in said and "not found" in said


def _name(image: NodeImage) -> str:
    return image.tags[0] if image.tags else image.id[:19]
