"""What the server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .rate import Rate

_LATENCY = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)
FPS_SECONDS = 10.0
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """In a registry of their own."""

    def __init__(self, *, queued: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.latency = Histogram(
            "detector_request_seconds",
            "A request, from its first byte to its answer",
            ["route", "status"],
            buckets=_LATENCY,
            registry=self._registry,
        )
        self.inference = Histogram(
            "detector_inference_seconds",
            "One run of the model",
            ["backend"],
            buckets=_LATENCY,
            registry=self._registry,
        )
        self.batch = Histogram(
            "detector_batch_size",
            "Images in one run of the model",
            buckets=_BATCHES,
            registry=self._registry,
        )
        self.switches = Counter(
            "detector_model_switches", "Models taken into use", registry=self._registry
        )
        self.failures = Counter(
            "detector_inference_failures", "Runs that failed", ["why"], registry=self._registry
        )
        queue = Gauge("detector_queue", "Images that wait", registry=self._registry)
        queue.set_function(queued)
        fps = Gauge(
            "detector_fps",
            f"Images a second over the last {FPS_SECONDS:g} s",
            registry=self._registry,
        )
        self._rate = Rate(FPS_SECONDS)
        fps.set_function(self._rate.per_second)
        self._ready = Gauge("detector_ready", "1 when ready", registry=self._registry)
        self._info: Gauge | None = None

    def ran(self, backend: str, count: int, seconds: float) -> None:
        """One run of the model."""
        self.inference.labels(backend).observe(seconds)
        self.batch.observe(count)
        self._rate.add(count)

    def ready(self, *, is_ready: bool) -> None:
        """Whether it is ready."""
        self._ready.set(int(is_ready))

    def facts(self, fields: Mapping[str, object]) -> None:
        """What runs the model now; unknown is an empty label."""
        if self._info is None:
            self._info = Gauge(
                "detector_info",
                "What runs the model",
                list(fields),
                registry=self._registry,
            )
        self._info.clear()
        self._info.labels(*("" if each is None else str(each) for each in fields.values())).set(1)

    def text(self) -> bytes:
        """For /metrics."""
        return bytes(generate_latest(self._registry))
