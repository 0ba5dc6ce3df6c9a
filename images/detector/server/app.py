"""The HTTP side: routes, and what they answer."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import metrics as prometheus
from . import packed, v2
from .backend import Floats, Shape
from .batching import Batcher
from .bodies import Body, ClientGoneError, InParts, body_of
from .boxes import Found, found
from .letterbox import Fit, Letterbox
from .metrics import Metrics
from .model import Loaded, ModelInUse
from .problems import RequestError, bad
from .settings import Settings
from .shared_memory import EXTENSION, Regions

Answer = Callable[[Request], Awaitable[Response | InParts]]
# The client has gone; nginx's number, for the metrics alone.
GONE = 499
VERSION = "1"
# Less is read and written sooner than a thread is told of it.
QUICK_JSON_BYTES = 64 * 1024
TURN_SECONDS = 0.005
Done = TypeVar("Done")
log = logging.getLogger("detector")


class DetectorApp:
    """What answers. `draining` is set once the server is told to end: it is not ready from then."""

    def __init__(
        self, settings: Settings, model: ModelInUse, batcher: Batcher[Loaded], metrics: Metrics
    ) -> None:
        self._settings, self._model = settings, model
        self._batcher, self._metrics = batcher, metrics
        self._letterbox = Letterbox(settings.max_pixels)
        self._regions = Regions(
            settings.shared_memory_regions, tensor_limit_bytes=settings.body_limit_bytes
        )
        self._json_thread = ThreadPoolExecutor(1, "json")
        self._json_turn = asyncio.Lock()
        self._begun = self._answered = 0
        self._tending: asyncio.Task[None] | None = None
        self.draining = False

    def application(self) -> Starlette:
        """The ASGI application; its lifespan loads the model and watches its files."""
        name = "/v2/models/{model}"
        memory = "/v2/systemsharedmemory"
        region = f"{memory}/region/{{region:path}}"
        routes = [
            self._route("/v1/detect", self._detect, "POST"),
            self._route(f"{name}/infer", self._infer, "POST"),
            self._route(f"{name}/versions/{{version}}/infer", self._infer, "POST"),
            self._route("/v2", self._server_metadata),
            self._route("/v2/health/live", self._live),
            self._route("/v2/health/ready", self._ready),
            self._route(name, self._model_metadata),
            self._route(f"{name}/versions/{{version}}", self._model_metadata),
            self._route(f"{name}/ready", self._model_ready),
            self._route(f"{name}/versions/{{version}}/ready", self._model_ready),
            self._route(f"{region}/register", self._register, "POST"),
            self._route(f"{region}/unregister", self._unregister, "POST"),
            self._route(f"{memory}/unregister", self._unregister, "POST"),
            self._route(f"{region}/status", self._memory_status),
            self._route(f"{memory}/status", self._memory_status),
            self._route("/healthz", self._live),
            self._route("/readyz", self._ready),
            self._route("/metrics", self._show_metrics),
        ]
        return Starlette(
            routes=routes,
            lifespan=self._lifespan,
            exception_handlers={HTTPException: _no_route},
        )

    @property
    def _alone(self) -> bool:
        """No other request is there. Of many, tensors are copied while the model runs others'."""
        return self._begun - self._answered == 1

    @property
    def why_not_live(self) -> str | None:
        """None: it works, with a model or still without one."""
        if self._tending is not None and self._tending.done():
            return "nothing looks after the model any more"
        if not self._batcher.works:
            return "nothing runs batches any more"
        seconds = self._batcher.running_seconds
        if seconds > self._settings.stuck_seconds:
            return f"a run of the model has not ended for {seconds:.0f} s"
        return None

    @property
    def why_not_ready(self) -> str | None:
        """None: it is ready."""
        if self.draining:
            return "the server ends"
        return self.why_not_live or self._model.why_not_ready

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._batcher.start()
        self._tending = asyncio.create_task(self._tend(), name="model")
        yield
        cut = self._begun - self._answered
        self._tending.cancel()
        await asyncio.gather(self._tending, return_exceptions=True)
        await self._batcher.stop()
        self._model.stop()
        self._json_thread.shutdown(wait=False, cancel_futures=True)
        if cut:
            log.warning("ended; %d requests were not answered in time", cut)
        else:
            log.info("ended; all requests that were begun have their answers")

    async def _tend(self) -> None:
        """It listens from the begin on, and is ready once the model is."""
        await self._model.load()
        await self._model.watch(self._settings.watch_seconds)

    def _route(self, path: str, answer: Answer, method: str = "GET") -> Route:
        async def answered(request: Request) -> Response | InParts:
            began = time.monotonic()
            self._begun += 1
            try:
                response = await answer(request)
            except RequestError as error:
                response = _problem(error)
                log.info("%s: %s %s: %s", path, int(error.status), error.code, error.detail)
            except ClientGoneError:
                response = Response(status_code=GONE)
            except Exception:
                log.exception("%s failed", path)
                response = _json({"error": "the server made a mistake", "code": "internal"}, 500)
            self._metrics.latency.labels(path, str(response.status_code)).observe(
                time.monotonic() - began
            )
            self._answered += 1
            return response

        return Route(path, answered, methods=[method])

    async def _body(self, request: Request, align_at: int = 0, limit: int | None = None) -> Body:
        limit = self._settings.body_limit_bytes if limit is None else limit
        seconds = self._settings.body_seconds
        body = await body_of(request, limit_bytes=limit, seconds=seconds, align_at=align_at)
        encoding = request.headers.get("content-encoding", "").strip().lower()
        if encoding in packed.AS_IT_IS:
            return body
        return await asyncio.to_thread(packed.unpacked, body, encoding, limit)

    async def _infer(self, request: Request) -> InParts:
        self._check_name(request)
        _ = self._model.loaded  # else the body is not read
        header = request.headers.get(v2.HEADER_LENGTH)
        with contextlib.ExitStack() as stack:
            with self._arriving():
                body = await self._body(request, v2.head_length(header or "") or 0)
                loaded = stack.enter_context(self._model.using())
                asked = await self._read(body, header, loaded.backend.shape)
                into = None if asked.into is None else self._regions.target(asked.into)
                images = await self._images(asked)
                answer = asyncio.ensure_future(self._batcher.infer(images, loaded))
                await asyncio.sleep(0)
            made, ran = await answer
        if into is not None:
            await self._regions.write(into, v2.lying_bytes(made), at_once=self._alone)
        answered = await self._written(made, asked, ran.backend.shape.output_name)
        return InParts([answered.head, answered.data], answered.headers)

    async def _images(self, asked: v2.Asked) -> Floats:
        if isinstance(asked.images, v2.Lying):
            place = asked.images.place
            return asked.images.images(await self._regions.read(place, at_once=self._alone))
        return asked.images

    async def _read(self, body: Body, header: str | None, shape: Shape) -> v2.Asked:
        """Raises RequestError: 400; 413, it is too much JSON to be read beside other requests."""
        length = len(body) if header is None else v2.head_length(header) or 0
        if length > self._settings.json_limit_bytes:
            raise RequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "request.json_too_large",
                f"the JSON is longer than {self._settings.json_limit_bytes} bytes",
                "Send tensors as binary data, or set DETECTOR_JSON_LIMIT_BYTES.",
            )
        if length <= QUICK_JSON_BYTES:
            return v2.read(body, header, shape)
        return await self._beside(functools.partial(v2.read, body, header, shape))

    async def _written(self, made: Floats, asked: v2.Asked, output: str) -> v2.Written:
        write = functools.partial(
            v2.written, made, asked, model=self._settings.name, version=VERSION, output=output
        )
        in_json = not asked.binary and asked.into is None
        if not in_json or made.nbytes <= QUICK_JSON_BYTES:
            return write()
        return await self._beside(write)

    async def _beside(self, work: Callable[[], Done]) -> Done:
        """In a thread, one at a time. Python does nothing else while it reads a list of lists of
        numbers, and what came, like /readyz, has its turn between two of those.
        """
        async with self._json_turn:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._json_thread, work)
            finally:
                await asyncio.sleep(TURN_SECONDS)

    async def _detect(self, request: Request) -> Response:
        _ = self._model.loaded  # else the body is not read
        settings = self._settings
        with contextlib.ExitStack() as stack:
            with self._arriving():
                body = await self._body(request)
                loaded = stack.enter_context(self._model.using())
                picture, fit = await asyncio.to_thread(self._letterbox.input, body, loaded.size)
                answer = asyncio.ensure_future(self._batcher.infer(picture[None], loaded))
                await asyncio.sleep(0)
            (output,), ran = await answer
        seen = await asyncio.to_thread(
            found, output, confidence=settings.confidence, iou=settings.iou
        )
        return _json(self._detections(seen, fit, ran))

    @contextlib.contextmanager
    def _arriving(self) -> Iterator[None]:
        """While it is read and understood, a batch may wait for it."""
        self._batcher.arriving += 1
        try:
            yield
        finally:
            self._batcher.arrived()

    def _detections(self, seen: Found, fit: Fit, loaded: Loaded) -> dict[str, Any]:
        labels = self._settings.labels
        boxes = fit.back(seen.boxes)
        return {
            "width": fit.width,
            "height": fit.height,
            "model": loaded.digest,
            "backend": loaded.backend.kind,
            "detections": [
                {
                    "box": [round(float(each), 2) for each in box],
                    "score": round(float(score), 4),
                    "class": int(number),
                    "label": labels[number] if number < len(labels) else None,
                }
                for box, score, number in zip(boxes, seen.scores, seen.classes, strict=True)
            ],
        }

    async def _live(self, _: Request) -> Response:
        why = self.why_not_live
        return _json({"live": True} if why is None else {"live": False, "reason": why}, _ok(why))

    async def _ready(self, _: Request) -> Response:
        return self._readiness({})

    def _readiness(self, of: Mapping[str, str]) -> Response:
        why = self.why_not_ready
        self._metrics.ready(is_ready=why is None)
        return _json({**of, "ready": why is None, "reason": why}, _ok(why))

    async def _model_ready(self, request: Request) -> Response:
        self._check_name(request)
        return self._readiness({"name": self._settings.name})

    async def _server_metadata(self, _: Request) -> Response:
        extensions = ["binary_tensor_data", *([EXTENSION] if self._regions.allowed else [])]
        return _json({"name": "roost-detector", "version": VERSION, "extensions": extensions})

    async def _register(self, request: Request) -> Response:
        try:
            asked = json.loads(bytes(await self._body(request, limit=QUICK_JSON_BYTES)))
        except (ValueError, RecursionError):
            raise bad("request.json", "the request is no JSON", "Is it cut off?") from None
        self._regions.register(request.path_params["region"], asked)
        return _json({})

    async def _unregister(self, request: Request) -> Response:
        self._regions.unregister(request.path_params.get("region"))
        return _json({})

    async def _memory_status(self, request: Request) -> Response:
        return _json(self._regions.status(request.path_params.get("region")))

    async def _model_metadata(self, request: Request) -> Response:
        self._check_name(request)
        backend = self._model.loaded.backend
        return _json(
            v2.metadata(
                backend.shape, model=self._settings.name, version=VERSION, platform=backend.kind
            )
        )

    async def _show_metrics(self, _: Request) -> Response:
        self._metrics.ready(is_ready=self.why_not_ready is None)
        return Response(self._metrics.text(), headers={"content-type": prometheus.MEDIA_TYPE})

    def _check_name(self, request: Request) -> None:
        """Raises RequestError: 404."""
        name, version = request.path_params["model"], request.path_params.get("version", VERSION)
        if name != self._settings.name or version != VERSION:
            raise v2.unknown_model(name if version == VERSION else f"{name}, version {version}")


def _ok(why_not: str | None) -> int:
    return 200 if why_not is None else 503


def _json(content: Mapping[str, Any] | list[Any], status: int = 200) -> Response:
    return Response(
        json.dumps(content, allow_nan=False).encode(),
        status,
        headers={"content-type": "application/json"},
    )


def _no_route(request: Request, error: Exception) -> Response:
    """In JSON, like all other errors: what is not there, and what is there for others."""
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is for these
    status, path = HTTPStatus(error.status_code), request.url.path[:200]
    missing = status is HTTPStatus.NOT_FOUND
    answer = _problem(
        RequestError(
            status,
            "request.path" if missing else "request.method",
            f"there is no {path}" if missing else f"{path} is not for {request.method[:20]}",
            "Of V2 there is what /v2 says; the repository's, statistics and settings are not.",
        )
    )
    answer.headers.update(error.headers or {})
    return answer


def _problem(error: RequestError) -> Response:
    headers = {"content-type": "application/problem+json"}
    if error.status in (408, 413):
        headers["connection"] = "close"  # the rest of the body is not read
    return Response(json.dumps(error.body()).encode(), int(error.status), headers=headers)
