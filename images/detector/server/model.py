"""The model in use: loaded, warmed up, replaced when its files change, and never in between."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .backend import (
    Backend,
    Floats,
    GpuLostError,
    NoRoomError,
    NotUsableError,
    Shape,
    UnfitError,
)
from .choosing import Chosen, Way, choose
from .problems import RequestError, bad
from .settings import OnGpuLoss

if TYPE_CHECKING:
    from .metrics import Metrics

WARM_UP_RUNS = 3
# Of sizes that a model leaves open, the picture's: what YOLO models are exported with.
OPEN_SIZE = 640
log = logging.getLogger("detector")

Ways = Callable[[bool], Sequence[Way]]  # whether the GPU is left out


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model that is warm."""

    backend: Backend
    digest: str  # the first digits of its file's SHA-256
    size: tuple[int, int]  # of the input: height, width
    not_taken: tuple[str, ...]


class ModelInUse:
    """One model at a time; who uses one when it is replaced has it until done (`using`).

    Args:
        ways: how a model may be run, the best first.
        files: its files; when one of them changes it is loaded anew.
        changed: told of each model that is taken into use.
    """

    def __init__(
        self,
        ways: Ways,
        files: Sequence[Path],
        *,
        on_gpu_loss: OnGpuLoss,
        metrics: Metrics,
        changed: Callable[[Loaded], None],
    ) -> None:
        self._ways, self._files, self._on_gpu_loss = ways, files, on_gpu_loss
        self._metrics, self._changed = metrics, changed
        self._loaded: Loaded | None = None
        self._users: Counter[Loaded] = Counter()
        self._without_gpu = False
        self._full = False  # the GPU, of somebody else's or our own: not ready until there is room
        self._why_not: str | None = "the model is being loaded"
        self._seen: tuple[object, ...] = ()
        # One thread runs the model, another loads the next one.
        self._runner = ThreadPoolExecutor(1, "model")
        self._loader = ThreadPoolExecutor(1, "load")

    @property
    def why_not_ready(self) -> str | None:
        """None: it is ready."""
        return self._why_not

    @property
    def loaded(self) -> Loaded:
        """Raises RequestError: 503, there is none yet."""
        if self._loaded is None:
            raise RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "model.not_ready",
                self._why_not or "there is no model",
                "/readyz tells when.",
            )
        return self._loaded

    async def load(self) -> bool:
        """Load it as it lies there now; what is in use stays in use if that fails."""
        loop = asyncio.get_running_loop()
        self._seen = _stamps(self._files)
        started = time.monotonic()
        try:
            loaded = await loop.run_in_executor(
                self._loader, self._load, self._ways(self._without_gpu)
            )
        except (NotUsableError, OSError) as error:
            self._said_no(str(error))
            return False
        except Exception as error:
            # Whatever a file of somebody else's brings: what looks at the files goes on.
            log.exception("loading the model failed")
            self._said_no(f"{type(error).__name__}: {error}")
            return False
        before, self._loaded, self._why_not = self._loaded, loaded, None
        self._full = False
        self._changed(loaded)
        for reason in loaded.not_taken:
            log.info("not taken: %s", reason)
        log.info(
            "%s runs the model %s, warm after %.2f s",
            loaded.backend.kind,
            loaded.digest,
            time.monotonic() - started,
        )
        if (least := loaded.backend.least_batch) > 1:
            log.info("it takes %d images at least: fewer are filled up with empty ones", least)
        self._metrics.switches.inc()
        if before is not None and not self._users[before]:
            # Behind the batch that runs on it.
            await loop.run_in_executor(self._runner, before.backend.close)
        return True

    @contextlib.contextmanager
    def using(self) -> Iterator[Loaded]:
        """The model in use, which is closed behind its last user. Raises RequestError: 503."""
        loaded = self.loaded
        self._users[loaded] += 1
        try:
            yield loaded
        finally:
            self._users[loaded] -= 1
            if not self._users[loaded]:
                del self._users[loaded]
                if loaded is not self._loaded:
                    with contextlib.suppress(RuntimeError):  # the server ends, and it with it
                        self._runner.submit(loaded.backend.close)

    async def watch(self, seconds: float) -> None:
        """Look at the files, and load what is new once it lies still; and at a full GPU."""
        before = self._seen
        while True:
            await asyncio.sleep(seconds)
            now = _stamps(self._files)
            if now == before != self._seen:
                log.info("the model's files have changed")
                # Another model may be what a GPU can do that was given up.
                self._without_gpu = False
                await self.load()
            elif self._full:
                await self._look_for_room()
            before = now

    async def _look_for_room(self) -> None:
        if (loaded := self._loaded) is None:
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._runner, try_out, loaded.backend)
        except NotUsableError:
            return
        if loaded is self._loaded:
            self._full, self._why_not = False, None
            log.info("the GPU has memory again")

    async def run(self, images: Floats, loaded: Loaded) -> tuple[Floats, Loaded]:
        """One batch, and the model that ran it: another one where its GPU was lost.

        Args:
            loaded: whose images these are; it is being used.

        Raises:
            RequestError: 503, the GPU is lost and nothing else may run it, or it has no memory for
                them; 400, the model does not take them.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._runner, self._run, loaded, images), loaded
        except GpuLostError as error:
            self._metrics.failures.labels("gpu").inc()
            gone = RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "model.gpu_lost",
                f"the GPU is lost: {error}",
                "Start the container again once the GPU is back.",
            )
            await self._without(loaded, gone)
        except NoRoomError as error:
            self._metrics.failures.labels("memory").inc()
            full = RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "model.no_memory",
                f"the GPU has no memory for images of the shape {list(images.shape)}: {error}",
                "Send a smaller picture, or again when the GPU has less to do.",
            )
            # Of a larger size than it was tried out with, that is about these images alone.
            if images.shape[1:] != (3, *loaded.size):
                raise full from error
            await self._without(loaded, full)
        except UnfitError as error:
            raise bad("input.shape", str(error), "Ask /v2 what the model takes.") from error
        except Exception:
            self._metrics.failures.labels("model").inc()
            log.exception("the model failed")
            raise
        other = self.loaded
        if not other.backend.shape.takes(images.shape):
            raise RequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "model.changed",
                "the GPU cannot be used, and the model in use now takes other images",
                "Send it again.",
            )
        return await loop.run_in_executor(self._runner, self._run, other, images), other

    async def _without(self, loaded: Loaded, why: RequestError) -> None:
        """Another model is in use now than this one, for which the GPU is of no use any more.

        Raises:
            RequestError: `why`; there is none, or there is to be none. It is not ready any more.
        """
        log.error("%s", why.detail)
        if loaded is not self._loaded:
            return  # these were sent before another was in use
        if self._on_gpu_loss == "fail" or not await self._fallen_back():
            self._why_not, self._full = why.detail, why.code == "model.no_memory"
            raise why

    async def _fallen_back(self) -> bool:
        """Whether something without the GPU runs the model from now on."""
        if self._without_gpu:
            return False
        self._without_gpu = True
        return await self.load()

    def stop(self) -> None:
        """Give threads back; nothing runs any more."""
        self._runner.shutdown(wait=False, cancel_futures=True)
        self._loader.shutdown(wait=False, cancel_futures=True)

    def _load(self, ways: Sequence[Way]) -> Loaded:
        chosen: Chosen = choose(ways, try_out)
        backend = chosen.backend
        path = self._files[-1] if backend.kind.startswith("onnx") else self._files[0]
        try:
            digest = _digest(path)
        except OSError:
            backend.close()
            raise
        return Loaded(backend, digest, picture_size(backend.shape), chosen.not_taken)

    def _run(self, loaded: Loaded, images: Floats) -> Floats:
        most = loaded.backend.max_batch or len(images)
        made: list[Floats] = []
        for start in range(0, len(images), most):
            made.extend(self._run_part(loaded.backend, images[start : start + most]))
        return made[0] if len(made) == 1 else np.concatenate(made)

    def _run_part(self, backend: Backend, part: Floats) -> Sequence[Floats]:
        began = time.monotonic()
        lacking = backend.least_batch - len(part)
        try:
            if lacking > 0:
                blank = np.zeros((lacking, *part.shape[1:]), np.float32)
                made = backend.run(np.concatenate([part, blank]))[: len(part)]
            else:
                made = backend.run(part)
        except NoRoomError:
            if lacking >= 0:
                raise
            # There may be room for half of them at a time.
            half = len(part) // 2
            return [
                *self._run_part(backend, part[:half]),
                *self._run_part(backend, part[half:]),
            ]
        self._metrics.ran(backend.kind, len(part), time.monotonic() - began)
        return [made]

    def _said_no(self, why: str) -> None:
        if self._loaded is not None:
            log.error("the new model is not taken, the one before stays: %s", why)
            return
        self._why_not = why
        log.error("no model: %s", why)


def try_out(backend: Backend) -> None:
    """Warm it up. Blocks. Raises NotUsableError: it does not run, or is no YOLO."""
    blank = np.zeros((backend.least_batch, 3, *picture_size(backend.shape)), np.float32)
    try:
        for _ in range(WARM_UP_RUNS):
            output = backend.run(blank)
    except Exception as error:
        raise NotUsableError(f"it does not run: {error}") from error
    if output.ndim != 3 or output.shape[1] < 5:
        raise NotUsableError(
            f"its output has the shape {list(output.shape)}: of a YOLO it is"
            " [batch, 4 + classes, n]"
        )
    if len(output) != len(blank):
        raise NotUsableError(f"of {len(blank)} images it makes {len(output)} outputs")


def picture_size(shape: Shape) -> tuple[int, int]:
    """Height and width of pictures, for /v1/detect."""
    least, most = shape.smallest or (0,) * 4, shape.largest or (OPEN_SIZE,) * 4
    height, width = (
        shape.input[axis] or min(max(OPEN_SIZE, least[axis]), most[axis]) for axis in (2, 3)
    )
    return height, width


def _stamps(files: Sequence[Path]) -> tuple[object, ...]:
    """What changes when a file is written, replaced or let be read; links are followed."""
    found: list[object] = []
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            found.append(None)
        else:
            times = stat.st_mtime_ns, stat.st_ctime_ns
            found.append((stat.st_dev, stat.st_ino, stat.st_size, *times))
    return tuple(found)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1024 * 1024):
            digest.update(data)
    return digest.hexdigest()[:12]
