"""`python3 -m detector_server`: until SIGTERM, and then until all that was begun is answered."""

from __future__ import annotations

import math
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from .app import DetectorApp
from .batching import Batcher
from .choosing import ways
from .cuda import first_words, gpu_facts
from .direct import BodyProtocol
from .logs import start_logging
from .metrics import Metrics
from .model import Loaded, ModelInUse
from .settings import SettingError, read_settings

KEEP_ALIVE_SECONDS = 65


class Server(uvicorn.Server):
    """Not ready from the signal on."""

    app: DetectorApp

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.app.draining = True
        super().handle_exit(sig, frame)


def main() -> int:
    """The exit code: 0 ended when told to, 2 a setting is wrong, 3 it could not listen."""
    gpu = gpu_facts()
    image_cuda = os.environ.get("CUDA_VERSION") or None
    fields: dict[str, object] = {
        "cuda": image_cuda,
        "driver": gpu.driver,
        "driver_cuda": gpu.cuda,
        "tensorrt": os.environ.get("TENSORRT_VERSION") or None,
        "gpu": gpu.name,
        "backend": None,
        "model": None,
    }
    log = start_logging(fields)
    log.info(first_words(gpu, image_cuda))
    try:
        settings = read_settings(os.environ)
    except SettingError as error:
        log.error("%s", error)  # noqa: TRY400 - it is for people
        return 2
    metrics = Metrics(queued=lambda: batcher.queued)
    metrics.facts(fields)

    def changed(loaded: Loaded) -> None:
        fields["backend"], fields["model"] = loaded.backend.kind, loaded.digest
        metrics.facts(fields)

    model = ModelInUse(
        lambda without_gpu: ways(settings, without_gpu=without_gpu),
        _files(settings.engine, settings.onnx),
        on_gpu_loss=settings.on_gpu_loss,
        metrics=metrics,
        changed=changed,
    )
    batcher = Batcher(
        model.run,
        max_batch=settings.max_batch,
        max_delay=settings.max_delay,
        limit=settings.queue_limit,
    )
    detector = DetectorApp(settings, model, batcher, metrics)
    config = uvicorn.Config(
        detector.application(),
        host="0.0.0.0",  # noqa: S104 - in a container; who may reach it is the network's business
        port=settings.port,
        http=BodyProtocol,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
    )
    server = Server(config)
    server.app = detector
    # uvicorn raises the signal that ended it again, for whoever had it before: that is us.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, server.handle_exit)
    server.run()
    return 0 if server.started else 3


def _files(engine: Path | None, onnx: Path) -> list[Path]:
    return [onnx] if engine is None else [engine, onnx]


if __name__ == "__main__":
    sys.exit(main())
