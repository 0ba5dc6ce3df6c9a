"""ONNX Runtime's CUDA graphs: a run of the model as one launch, recorded for a few batch sizes.

Without them ONNX Runtime plans its convolutions anew whenever the input has another shape than in
the run before, which takes longer than a hundred runs: images/README.md has the figures.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime as ort

from .backend import Floats, Shape
from .cuda import CudaError, Stream

# The first run allocates, the second is recorded, the third is the first that was.
_RUNS = 3
# "No graph" for one run of a session that has them.
_NONE = "-1"


def batch_sizes(most: int) -> list[int]:
    """1, 2, 4 and so on up to `most`, which is one of them."""
    return [*(1 << power for power in range((most - 1).bit_length())), most]


class Graphs:
    """The graphs of one session, made with `enable_cuda_graph`, whose input's size is fixed.

    All is done in a thread of their own: ONNX Runtime knows a graph only in the thread that
    recorded it. Raises what ONNX Runtime raises, CudaError, and ValueError: its output is of
    another batch.

    Args:
        sizes: of batches.
    """

    def __init__(self, session: Any, shape: Shape, sizes: Sequence[int]) -> None:
        self._session: Any = session
        self._stream: Stream | None = None
        self._bound: dict[int, tuple[Any, Any]] = {}
        self._thread = ThreadPoolExecutor(1, "graphs")
        try:
            self._thread.submit(self._record, shape, sizes).result()
        except Exception:
            self.close()
            raise

    def _record(self, shape: Shape, sizes: Sequence[int]) -> None:
        self._stream = stream = Stream()
        most = max(sizes)
        size = [each for each in shape.input[1:] if each is not None]
        blank = np.zeros((most, *size), np.float32)
        names = [shape.output_name]
        (made,) = self._session.run(names, {shape.input_name: blank}, _options(_NONE))
        if made.shape[0] != most:
            raise ValueError(f"its output for {most} images has the shape {list(made.shape)}")
        self._each = made.shape[1:]
        self._in, self._out = stream.memory(blank.nbytes), stream.memory(made.nbytes)
        for count in sizes:
            binding = self._session.io_binding()
            given, wanted = [count, *size], [count, *self._each]
            binding.bind_input(shape.input_name, "cuda", 0, np.float32, given, self._in)
            binding.bind_output(shape.output_name, "cuda", 0, np.float32, wanted, self._out)
            self._bound[count] = binding, _options(str(count))
            for _ in range(_RUNS):
                self._session.run_with_iobinding(*self._bound[count])

    def run(self, images: Floats) -> Floats:
        """At most as many as were said. Raises what ONNX Runtime raises, and CudaError."""
        return self._thread.submit(self._run, images).result()

    def _run(self, images: Floats) -> Floats:
        stream = self._stream
        assert stream is not None  # noqa: S101 - it was recorded with it
        flat = np.ascontiguousarray(images)
        stream.to_gpu(self._in, flat.ctypes.data, flat.nbytes)
        # ONNX Runtime has a stream of its own.
        stream.wait()
        # What was there before runs along in a batch that is not full.
        count = min(size for size in self._bound if size >= len(flat))
        self._session.run_with_iobinding(*self._bound[count])
        made = np.empty((len(flat), *self._each), np.float32)
        stream.from_gpu(made.ctypes.data, self._out, made.nbytes)
        stream.wait()
        return made

    def close(self) -> None:
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _close(self) -> None:
        # What lives in the CUDA context goes before it.
        self._session = None
        self._bound = {}
        if self._stream is not None:
            with contextlib.suppress(CudaError):
                self._stream.close()


def _options(graph: str) -> Any:
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", graph)
    return options
