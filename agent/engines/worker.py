"""Builds one TensorRT engine: `python worker.py JOB.json`, JSON lines on its standard output.

It runs in other people's images: this one file, Python 3.8, the standard library, and whichever
of `tensorrt` (8.4 and newer) and `tensorrt_rtx` is there. What a version can do is found by
looking, never by its number. `python worker.py` alone says what is there.

A job's `action` is to build a plan and try it, or to check one that is there.

Events: versions, parsed, progress, message, built, checked, and at the end done, failed or
cancelled. Whatever libraries print goes to standard error.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import hashlib
import importlib
import json
import math
import mmap
import os
import random
import re
import resource
import signal
import struct
import sys
import threading
import time
import traceback
from typing import Any, Callable, Dict, Iterator, TextIO

Job = Dict[str, Any]

FLAVOURS = ("tensorrt", "tensorrt_rtx")
# How plans begin; byte 24 on is the version that built them.
MAGIC = {"tensorrt": b"ftrt", "tensorrt_rtx": b"vtrt"}
HEADER_BYTES = 28
# At most so many progress events a second go out, and so many messages of the builder in all.
PROGRESS_SECONDS = 0.2
# How long a call into TensorRT gets to end after a signal.
CANCEL_SECONDS = 1.0
MESSAGES = 200
TEXT_LIMIT = 2000
PROBLEMS = 20
# What allows TensorRT to compute in a type.
FLAGS_OF_TYPES = {"half": "FP16", "bf16": "BF16"}
# Of the JSON before a plan; and so many random values are made, and then repeated.
METADATA_LIMIT = 128 * 1024
RANDOM_BLOCK = 65521
# How an engine is tried, unless the job says otherwise.
VALIDATION: Job = {
    "iterations": 50,
    "warmup": 5,
    "inputs": None,  # a folder with NAME.bin of each; None: random
    "keep_outputs": None,  # a folder for NAME.bin of each
    "compare": None,  # a folder with NAME.bin of each
    "rtol": 1e-2,
    "atol": 1e-2,
    "onnxruntime": True,
    "not_finite": False,  # whether NaN and infinity may come out where nothing is compared
    "max_latency_ms": None,
    "batches": [],
    "cuda_graphs": False,  # whether to run it as a CUDA graph, too
}
DONE, FAILED, CANCELLED = 0, 1, 3
MACHINE = os.uname().machine
# Versions that others had trouble with: how they begin, on which machine (None: any), what, where.
KNOWN_BAD = (
    (
        "10.2.0",
        None,
        "its builder looks for a library of Windows (libnvinfer_builder_resource_win)",
        "github.com/ultralytics/ultralytics/pull/24367",
    ),
    (
        "10.13.3",
        "aarch64",
        "on Jetson Thor, engines of RT-DETR found wrong boxes; 10.15 does not have it",
        "github.com/ultralytics/ultralytics/issues/22873",
    ),
)


class RefusedError(Exception):
    """Why there is no engine."""

    def __init__(self, code: str, text: str, hint: str = "", **params: Any) -> None:
        super().__init__(text)
        text, hint = text[: TEXT_LIMIT * 10], hint[:TEXT_LIMIT]
        self.event = {"event": "failed", "code": code, "text": text, "hint": hint, **params}


class CancelledError(Exception):
    """Whoever asked for the engine does not want it any more."""


class Reporter:
    """Writes events, from any thread."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._lock = out, threading.Lock()

    def tell(self, event: str, **more: Any) -> None:
        line = json.dumps(dict({"event": event}, **more))
        with self._lock:
            self._out.write(line + "\n")
            self._out.flush()


def find_tensorrt(wanted: str | None) -> Any:
    """The module, or RefusedError that says what was looked for and what was found."""
    found: list[str] = []
    for name in (wanted,) if wanted else FLAVOURS:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            found.append("%s: %s" % (name, error))
        except Exception as error:  # noqa: BLE001 - libraries of theirs that do not load
            found.append("%s: %s: %s" % (name, type(error).__name__, error))
    raise RefusedError(
        "engine.no_tensorrt",
        "no TensorRT for %s (%s)" % (sys.executable, "; ".join(found)),
        "Install TensorRT or TensorRT-RTX for that Python, or name another one in agent.yaml.",
    )


def versions_of(trt: Any) -> dict[str, Any]:
    return {
        "flavour": trt.__name__,
        "tensorrt": str(trt.__version__),
        "python": "%d.%d.%d" % sys.version_info[:3],
        "module_file": getattr(trt, "__file__", None),
        "progress": hasattr(trt, "IProgressMonitor"),
        "precision_flags": [
            name.lower()
            for name in ("FP16", "BF16", "INT8", "FP8")
            if hasattr(trt.BuilderFlag, name)
        ],
        "compute_capabilities": sorted(
            name for name in getattr(_capabilities(trt), "__members__", ()) if name.startswith("SM")
        ),
        **look_at_gpu(),
    }


def look_at_gpu() -> dict[str, Any]:
    """How many GPUs the driver offers here, and the first, which is the one that is used."""
    driver, reason = find_gpu()
    if driver is None:
        return {"gpu": None, "no_gpu": reason, "device": None}
    try:
        return {"gpu": driver.devices(), "no_gpu": None, "device": driver.device()}
    except CudaError as error:
        return {"gpu": None, "no_gpu": str(error), "device": None}


def _capabilities(trt: Any) -> Any:
    return getattr(trt, "ComputeCapability", None)


# The driver, through libcuda.so.1: no other package can be assumed.

# What cuda.h calls CU_DEVICE_ATTRIBUTE_*.
MULTIPROCESSOR_COUNT, CAPABILITY_MAJOR, CAPABILITY_MINOR = 16, 75, 76
STREAM_NON_BLOCKING = 1
CAPTURE_THREAD_LOCAL = 1  # what other threads call meanwhile does not matter
# How it reads, in lower case, when there is too little memory.
NO_MEMORY = ("cuda_error_out_of_memory", "out of memory", "outofmemory", "could not be allocated")


class CudaError(Exception):
    """A call into the driver that went wrong; `name` is its CUDA_ERROR_*."""

    def __init__(self, call: str, name: str, text: str) -> None:
        super().__init__("%s: %s: %s" % (call, name, text))
        self.call, self.name = call, name


class Driver:
    """libcuda's functions, with errors by name. Raises CudaError where there is no driver."""

    def __init__(self, library: str = "libcuda.so.1") -> None:
        try:
            self._library = ctypes.CDLL(library)
        except OSError as error:
            why = str(error)[len(library) + 2 :] if str(error).startswith(library) else str(error)
            raise CudaError(library, "not loaded", why) from None
        self.call("cuInit", 0)

    def function(self, *names: str) -> Any:
        """The first of these that this driver has."""
        for name in names:
            if hasattr(self._library, name):
                return getattr(self._library, name)
        raise CudaError(names[0], "not found", "the driver is too old")

    def call(self, name: str, *arguments: Any) -> None:
        self.check(name, self.function(name)(*arguments))

    def check(self, name: str, code: int) -> None:
        if code:
            raise CudaError(name, self._words("cuGetErrorName", code) or str(code), self._why(code))

    def _why(self, code: int) -> str:
        return self._words("cuGetErrorString", code) or "the driver does not say more"

    def _words(self, name: str, code: int) -> str | None:
        text = ctypes.c_char_p()
        if self.function(name)(code, ctypes.byref(text)) or text.value is None:
            return None
        return text.value.decode("utf-8", "replace")

    def number(self, name: str, kind: Any, *arguments: Any) -> int:
        """What the function writes where its first argument points."""
        value = kind()
        self.call(name, ctypes.byref(value), *arguments)
        return int(value.value or 0)

    def devices(self) -> int:
        return self.number("cuDeviceGetCount", ctypes.c_int)

    def device(self, index: int = 0) -> dict[str, Any]:
        """What an engine depends on. Makes no context, so it takes no memory there."""
        handle = self.number("cuDeviceGet", ctypes.c_int, index)
        name = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", name, len(name), handle)

        def attribute(which: int) -> int:
            return self.number("cuDeviceGetAttribute", ctypes.c_int, which, handle)

        return {
            "name": name.value.decode("utf-8", "replace"),
            "compute_capability": "%d.%d"
            % (attribute(CAPABILITY_MAJOR), attribute(CAPABILITY_MINOR)),
            "multiprocessors": attribute(MULTIPROCESSOR_COUNT),
            "memory_bytes": self.number("cuDeviceTotalMem_v2", ctypes.c_size_t, handle),
        }


class UncapturedError(Exception):
    """Why what runs on a stream is no CUDA graph."""


class Gpu:
    """The primary context of a device, which TensorRT uses too, current in this thread.

    Whatever is taken is a `with` block and given back at its end. While another error is on its
    way, one of giving back is left out: it is the first that says why.
    """

    def __init__(self, driver: Driver, context: int) -> None:
        self._driver, self._context = driver, context
        self._copying: list[Any] = []  # what must live until the stream is done

    @classmethod
    @contextlib.contextmanager
    def opened(cls, driver: Driver, index: int = 0) -> Iterator[Gpu]:
        device = driver.number("cuDeviceGet", ctypes.c_int, index)
        release = driver.function("cuDevicePrimaryCtxRelease_v2", "cuDevicePrimaryCtxRelease")
        context = driver.number("cuDevicePrimaryCtxRetain", ctypes.c_void_p, device)
        gpu = cls(driver, context)
        with gpu.held(context, release.__name__, device):
            driver.call("cuCtxSetCurrent", ctypes.c_void_p(context))
            with gpu.held(context, "cuCtxSetCurrent", None):
                yield gpu

    @contextlib.contextmanager
    def held(self, thing: int, release: str, *arguments: Any) -> Iterator[int]:
        try:
            yield thing
        except BaseException:
            self._driver.function(release)(*arguments)
            raise
        self._driver.call(release, *arguments)

    def memory(self) -> tuple[int, int]:
        """Bytes: free, and in all."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._driver.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def allocated(self, size: int) -> contextlib.AbstractContextManager[int]:
        """The address of so many bytes there; of one at least, since CUDA gives no empty ones."""
        size = max(size, 1)
        address = self._driver.number("cuMemAlloc_v2", ctypes.c_uint64, ctypes.c_size_t(size))
        return self.held(address, "cuMemFree_v2", ctypes.c_uint64(address))

    def stream(self) -> contextlib.AbstractContextManager[int]:
        made = self._driver.number("cuStreamCreate", ctypes.c_void_p, STREAM_NON_BLOCKING)
        return self.held(made, "cuStreamDestroy_v2", ctypes.c_void_p(made))

    def event(self) -> contextlib.AbstractContextManager[int]:
        made = self._driver.number("cuEventCreate", ctypes.c_void_p, 0)
        return self.held(made, "cuEventDestroy_v2", ctypes.c_void_p(made))

    def put(self, address: int, data: bytes, stream: int) -> None:
        """Begin to copy there."""
        source = ctypes.c_char_p(data)
        self._copying.append(data)
        self._copy("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(address), source, len(data), stream)

    def get(self, address: int, into: bytearray, stream: int) -> None:
        """Begin to copy from there; `into` is filled when the stream is done."""
        target = (ctypes.c_char * len(into)).from_buffer(into)
        self._copying.append(target)
        self._copy("cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(address), len(into), stream)

    def _copy(self, name: str, target: Any, source: Any, size: int, stream: int) -> None:
        if size:
            self._driver.call(name, target, source, ctypes.c_size_t(size), ctypes.c_void_p(stream))

    def finish(self, stream: int) -> None:
        """Wait until all that was begun on the stream is done."""
        self._driver.call("cuStreamSynchronize", ctypes.c_void_p(stream))
        del self._copying[:]

    def mark(self, event: int, stream: int) -> None:
        self._driver.call("cuEventRecord", ctypes.c_void_p(event), ctypes.c_void_p(stream))

    @contextlib.contextmanager
    def graph(self, stream: int, begin: Callable[[], bool]) -> Iterator[int]:
        """What `begin` begins on the stream, which does not run now: `launch` runs it.

        Raises UncapturedError; whatever goes wrong in the block goes through.
        """
        with contextlib.ExitStack() as held:
            try:
                graph = held.enter_context(self._captured(stream, begin))
                count = ctypes.c_size_t()
                self._driver.call("cuGraphGetNodes", graph, None, ctypes.byref(count))
                if not count.value:
                    raise UncapturedError("nothing of it came onto the stream that was captured")
                made = self._instantiated(graph)
            except CudaError as error:
                raise UncapturedError(str(error)) from None
            yield held.enter_context(self.held(made.value or 0, "cuGraphExecDestroy", made))

    @contextlib.contextmanager
    def _captured(self, stream: int, begin: Callable[[], bool]) -> Iterator[ctypes.c_void_p]:
        driver, on, graph = self._driver, ctypes.c_void_p(stream), ctypes.c_void_p()
        end = driver.function("cuStreamEndCapture")  # the stream is of no other use before that
        driver.call("cuStreamBeginCapture_v2", on, CAPTURE_THREAD_LOCAL)
        try:
            begun = begin()
        except BaseException:
            if not end(on, ctypes.byref(graph)):
                driver.function("cuGraphDestroy")(graph)
            raise
        driver.check("cuStreamEndCapture", end(on, ctypes.byref(graph)))
        with self.held(graph.value or 0, "cuGraphDestroy", graph):
            if not begun:
                raise UncapturedError("it could not be begun while it was captured")
            yield graph

    def _instantiated(self, graph: ctypes.c_void_p) -> ctypes.c_void_p:
        made, flags = ctypes.c_void_p(), ctypes.c_ulonglong(0)
        older = ("cuGraphInstantiate_v2", "cuGraphInstantiate")  # before CUDA 11.4, and before 11
        name = self._driver.function("cuGraphInstantiateWithFlags", *older).__name__
        more = (None, None, ctypes.c_size_t(0)) if name in older else (flags,)
        self._driver.call(name, ctypes.byref(made), graph, *more)
        return made

    def launch(self, graph: int, stream: int) -> bool:
        """Begin to run it."""
        self._driver.call("cuGraphLaunch", ctypes.c_void_p(graph), ctypes.c_void_p(stream))
        return True

    def milliseconds(self, start: int, end: int) -> float:
        """Between two marks; waits for the second."""
        self._driver.call("cuEventSynchronize", ctypes.c_void_p(end))
        value = ctypes.c_float()
        self._driver.call(
            "cuEventElapsedTime", ctypes.byref(value), ctypes.c_void_p(start), ctypes.c_void_p(end)
        )
        return value.value


def find_gpu() -> tuple[Driver | None, str]:
    """The driver where it offers a GPU, or else why there is none to run on."""
    try:
        driver = Driver()
        if driver.devices():
            return driver, ""
    except CudaError as error:
        return None, str(error)
    return None, "the driver offers no GPU here"


class Phases:
    """From phases and steps that nest to one fraction that never goes back."""

    def __init__(self, report: Reporter) -> None:
        self._report, self._lock = report, threading.Lock()
        self._phases: dict[str, list[Any]] = {}  # name: parent, steps, done
        self._told_at, self._fraction = 0.0, 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        with self._lock:
            self._phases[name] = [parent, max(steps, 1), 0]
            self._tell(name)

    def step(self, name: str, number: int) -> None:
        with self._lock:
            if name in self._phases:
                self._phases[name][2] = number + 1
                self._tell(name)

    def finish(self, name: str) -> None:
        with self._lock:
            self._phases.pop(name, None)

    def _tell(self, name: str) -> None:
        fraction, now = 0.0, time.monotonic()
        at: str | None = name
        while at in self._phases:
            parent, steps, done = self._phases[at]
            fraction = min((done + fraction) / steps, 1.0)
            at = parent
        self._fraction = max(self._fraction, fraction)
        if now - self._told_at >= PROGRESS_SECONDS:
            self._told_at = now
            self._report.tell("progress", phase=name, fraction=round(self._fraction, 4))


def monitor_of(trt: Any, phases: Phases, cancelled: Callable[[], bool]) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            phases.step(phase_name, step)
            return not cancelled()

        def phase_finish(self, phase_name: str) -> None:
            phases.finish(phase_name)

    return Monitor()


class Log:
    """What TensorRT says. Errors are kept, since a call that fails says no more than None."""

    def __init__(self, trt: Any, report: Reporter) -> None:
        self.errors: list[str] = []
        self._report, self._left = report, MESSAGES
        log, warning = self, int(trt.ILogger.WARNING)

        class Logger(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, msg: str) -> None:
                level = int(severity)  # numbers: some 75000 messages come in a build of 12 s
                if level <= warning:
                    log.say(msg.strip()[:TEXT_LIMIT], level < warning)

        self.logger = Logger()

    def say(self, text: str, is_error: bool) -> None:
        if is_error:
            self.errors.append(text)
            del self.errors[:-MESSAGES]
        if self._left > 0:
            self._left -= 1
            more = "" if self._left else " [TensorRT's next messages are not told]"
            kind = "error" if is_error else "warning"
            self._report.tell("message", severity=kind, text=text + more)

    def note(self, text: str) -> None:
        """Of our own."""
        self._report.tell("message", severity="warning", text=text)


def parse(trt: Any, job: Job, network: Any, log: Log, report: Reporter) -> None:
    parser = trt.OnnxParser(network, log.logger)
    if hasattr(trt, "OnnxParserFlag") and (
        job["version_compatible"] or job["hardware_compatibility"] is not None
    ):
        # Such plans take no other form of it; newer versions have it so anyway.
        parser.set_flag(trt.OnnxParserFlag.NATIVE_INSTANCENORM)
    # By its path: external data is found beside it.
    if not parser.parse_from_file(job["onnx"]):
        problems = [_parser_problem(parser.get_error(n)) for n in range(parser.num_errors)]
        texts = [each["text"] for each in problems] or ["the ONNX parser refused the file"]
        of_a_node = any(each["node"] for each in problems)
        if log.errors and not of_a_node and not any(text in log.errors[0] for text in texts):
            texts.insert(0, log.errors[0])  # only there is a file with external data named
        raise RefusedError(
            "engine.onnx",
            "; ".join(texts),
            "Export the model anew; an operator that TensorRT lacks must be replaced in it.",
            problems=problems[:PROBLEMS],
        )
    if not network.num_outputs:
        raise RefusedError("engine.onnx", "the file has no outputs", "Is it an ONNX model?")
    report.tell(
        "parsed",
        layers=network.num_layers,
        inputs=[_tensor(network.get_input(n)) for n in range(network.num_inputs)],
        outputs=[_tensor(network.get_output(n)) for n in range(network.num_outputs)],
    )


def _tensor(tensor: Any) -> dict[str, Any]:
    try:
        shape = shape_of(tensor.shape)
    except ValueError:  # its rank is only known at run time
        shape = []
    return {"name": tensor.name, "shape": shape, "dtype": type_name(tensor.dtype)}


def _parser_problem(error: Any) -> dict[str, Any]:
    """What the parser says, with the node's name and operator where this version knows them."""

    def ask(name: str, unknown: Any) -> Any:
        return getattr(error, name)() if hasattr(error, name) else unknown

    node, operator = ask("node_name", "") or None, ask("node_operator", "") or None
    what = str(error.desc()).strip()[:TEXT_LIMIT]
    where = " ".join(each for each in (operator, node and "node %r" % node) if each)
    return {
        "node": node,
        "operator": operator,
        "index": error.node() if error.node() >= 0 else None,
        "code": str(error.code()).split(".")[-1],
        "text": "%s: %s" % (where, what) if where else what,
    }


def add_profiles(builder: Any, network: Any, config: Any, job: Job) -> None:
    inputs = {network.get_input(n).name: network.get_input(n) for n in range(network.num_inputs)}
    dynamic = {name for name, tensor in inputs.items() if any(size < 0 for size in tensor.shape)}
    for number, wanted in enumerate(job["profiles"], 1):
        profile = builder.create_optimization_profile()
        for name in wanted:
            if name not in inputs:
                raise _misfit("profile %d: the model has no input %r" % (number, name), inputs)
            ranges = [wanted[name][end] for end in ("min", "opt", "max")]
            if inputs[name].is_shape_tensor:  # then these are its values
                profile.set_shape_input(name, *ranges)
                continue
            _check_range(number, inputs[name], wanted[name])
            _check_order(number, name, ranges)
            if job.get("dla"):
                _check_fixed(number, name, ranges)
            profile.set_shape(name, *[tuple(each) for each in ranges])
        lacking = sorted(dynamic - set(wanted))
        if lacking:
            raise _misfit("profile %d lacks the dynamic input %r" % (number, lacking[0]), inputs)
        if config.add_optimization_profile(profile) < 0:
            raise _misfit("TensorRT does not take profile %d" % number, inputs)
    if dynamic and not job["profiles"]:
        raise _misfit("input %r is dynamic and there is no profile" % min(dynamic), inputs)


def _check_range(number: int, tensor: Any, wanted: dict[str, list[int]]) -> None:
    shape = list(tensor.shape)
    for end in ("min", "opt", "max"):
        asked = wanted[end]
        if len(asked) != len(shape) or any(
            size not in (-1, asked[axis]) for axis, size in enumerate(shape)
        ):
            raise _misfit(
                "profile %d: %s of %r is %s, the model has %s"
                % (number, end, tensor.name, asked, shape),
                {tensor.name: tensor},
            )


def _check_order(number: int, name: str, ranges: list[list[int]]) -> None:
    for smallest, best, largest in zip(*ranges):
        if not smallest <= best <= largest:
            raise RefusedError(
                "engine.profile",
                "profile %d: min, opt and max of %r do not ascend: %s" % (number, name, ranges),
                "Each size: min <= opt <= max.",
            )


def _check_fixed(number: int, name: str, ranges: list[list[int]]) -> None:
    """Else all of it is done on the GPU with gpu_fallback, and nothing says so but a warning."""
    if not ranges[0] == ranges[1] == ranges[2]:
        raise RefusedError(
            "engine.profile",
            "profile %d: a DLA takes no sizes that vary, as those of %r do: %s"
            % (number, name, ranges),
            "Give min, opt and max the same sizes, or leave dla out of the recipe.",
        )


def _misfit(text: str, inputs: dict[str, Any]) -> RefusedError:
    has = ", ".join("%s %s" % (name, list(tensor.shape)) for name, tensor in inputs.items())
    return RefusedError("engine.profile", text, "The model's inputs: %s; -1 is dynamic." % has)


def configure(trt: Any, config: Any, network: Any, job: Job, log: Log) -> None:
    """Everything but profiles. What this version cannot do is refused, nothing else is built."""
    _set_precision(trt, config, network, job, log)
    _set_memory(trt, config, job)
    if job["optimization_level"] is not None:
        _need(hasattr(config, "builder_optimization_level"), trt, "optimization_level")
        config.builder_optimization_level = job["optimization_level"]
    if job["version_compatible"]:
        _need(hasattr(trt.BuilderFlag, "VERSION_COMPATIBLE"), trt, "version_compatible")
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if job["hardware_compatibility"] is not None:
        name = job["hardware_compatibility"].upper()
        known = getattr(trt, "HardwareCompatibilityLevel", None)
        _need(hasattr(known, name), trt, "hardware_compatibility %s" % name.lower())
        config.hardware_compatibility_level = getattr(known, name)
    if job.get("sparsity"):
        _need(hasattr(trt.BuilderFlag, "SPARSE_WEIGHTS"), trt, "sparsity")
        config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
    if job.get("dla"):
        _use_dla(trt, config, network, job)
    if job["compute_capabilities"]:
        _build_for(trt, config, job["compute_capabilities"])


def check_dla(trt: Any, builder: Any, job: Job) -> None:
    """Raises RefusedError where the recipe asks for a DLA that is not here."""
    wanted = job.get("dla")
    if not wanted:
        return
    if trt.__name__ == "tensorrt_rtx":
        raise RefusedError(
            "engine.unsupported",
            "TensorRT-RTX is for GeForce and RTX GPUs, and builds for no DLA",
            "Leave dla out of the recipe, or build with TensorRT on the Jetson.",
        )
    cores = int(getattr(builder, "num_DLA_cores", 0) or 0)
    if wanted["core"] >= cores:
        what = "no DLA" if not cores else "DLA cores 0 to %d" % (cores - 1)
        raise RefusedError(
            "engine.unsupported",
            "the recipe asks for DLA core %d, and TensorRT %s finds %s here"
            % (wanted["core"], trt.__version__, what),
            "Only some Jetsons have a DLA, and not every TensorRT for them uses it: leave dla out"
            " of the recipe, which builds for the GPU%s."
            % (", or name another core" if cores else ""),
        )


def _use_dla(trt: Any, config: Any, network: Any, job: Job) -> None:
    known = hasattr(trt, "DeviceType") and hasattr(config, "default_device_type")
    _need(known and hasattr(config, "DLA_core"), trt, "dla")
    if job["precision"] == "model":
        types = _flags_of_types(network)
        if "FP16" not in types and not _has_quantization(trt, network):
            raise RefusedError(
                "engine.unsupported",
                "a DLA computes in fp16 and int8 only, and the ONNX has neither",
                "Ask for precision: fp16 where this TensorRT has it, or put it into the ONNX"
                " (python -m modelopt.onnx.autocast).",
            )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = job["dla"]["core"]
    if job["dla"]["gpu_fallback"]:
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _set_memory(trt: Any, config: Any, job: Job) -> None:
    """The workspace, and no more of the GPU than the budget; both in bytes."""
    workspace, budget = job["workspace_bytes"] or 0, job.get("gpu_memory_bytes") or 0
    if not workspace and not budget:
        return
    driver, _ = find_gpu()
    if driver is not None and not job["compute_capabilities"]:
        with Gpu.opened(driver) as gpu:
            free, total = gpu.memory()
        if workspace > total:
            raise RefusedError(
                "engine.recipe",
                "a workspace of %d MiB is more than the GPU has, %d" % (mib(workspace), mib(total)),
                "Ask for less; without workspace_bytes TensorRT decides.",
            )
        if budget > free:
            raise RefusedError(
                "engine.gpu_busy",
                "%d MiB of the GPU are free, the budget is %d" % (mib(free), mib(budget)),
                "Stop what runs there, or ask for less (gpu_memory_bytes).",
            )
    limit = min(limit for limit in (workspace, budget) if limit)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, limit)
    if budget and hasattr(trt.MemoryPoolType, "TACTIC_DRAM"):
        config.set_memory_pool_limit(trt.MemoryPoolType.TACTIC_DRAM, budget)


def mib(size: int) -> int:
    return size // (1024 * 1024)


def _build_for(trt: Any, config: Any, asked: list[str]) -> None:
    names = ["SM" + each.replace(".", "") for each in asked]
    for place, name in enumerate(names):
        _need(hasattr(_capabilities(trt), name), trt, "compute capability %s" % asked[place])
    config.num_compute_capabilities = len(names)
    for place, name in enumerate(names):
        config.set_compute_capability(getattr(trt.ComputeCapability, name), place)


def network_flags(trt: Any, job: Job) -> int:
    """As the ONNX has it: types are the ONNX's own, where this version can promise that."""
    known = trt.NetworkDefinitionCreationFlag
    # A version without flags for types takes those of the ONNX, whatever precision is asked for.
    typed = job["precision"] == "model" or not hasattr(trt.BuilderFlag, "FP16")
    names = ["EXPLICIT_BATCH"] + ["STRONGLY_TYPED"] * typed
    return sum(1 << int(getattr(known, name)) for name in names if hasattr(known, name))


def _set_precision(trt: Any, config: Any, network: Any, job: Job, log: Log) -> None:
    precision, calibration = job["precision"], job.get("calibration_cache")
    if precision == "model":
        if not hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
            _allow_what_is_there(trt, config, network)
        return
    quantized = _has_quantization(trt, network)
    names = ["FP16", "INT8"] if precision == "best" else [precision.upper()]
    lacking = [name for name in names if not hasattr(trt.BuilderFlag, name)]
    if lacking:
        if precision == "int8" and quantized:
            return  # Q/DQ says it all
        if precision.upper() in _flags_of_types(network):
            log.note("the ONNX is %s itself, and is built as it is" % precision)
            return
        raise RefusedError(
            "engine.unsupported",
            "%s %s has no precision flag %s, so it cannot make %s of a model that is something else"
            % (trt.__name__, trt.__version__, lacking[0], precision),
            "Put the precision into the ONNX itself (python -m modelopt.onnx.autocast makes fp16"
            " and bf16 of fp32, python -m modelopt.onnx.quantization int8), then build it with"
            " precision: model.",
        )
    if "INT8" in names and not quantized:
        if calibration is not None:
            _calibrate(trt, config, calibration)
        elif precision == "best":
            names.remove("INT8")  # without a scale for anything
        else:
            raise RefusedError(
                "engine.recipe",
                "int8 needs Q/DQ in the ONNX or a calibration cache, and there is neither",
                "Quantize the ONNX (python -m modelopt.onnx.quantization), or name a"
                " calibration_cache.",
            )
    elif calibration is not None:
        log.note("the calibration cache is not used: the ONNX or the precision does not ask for it")
    for name in names:
        config.set_flag(getattr(trt.BuilderFlag, name))


def _has_quantization(trt: Any, network: Any) -> bool:
    kinds = [getattr(trt.LayerType, name, None) for name in ("QUANTIZE", "DEQUANTIZE")]
    return any(network.get_layer(n).type in kinds for n in range(network.num_layers))


def _allow_what_is_there(trt: Any, config: Any, network: Any) -> None:
    """Older versions compute in fp32 whatever the ONNX has, unless a flag allows more."""
    quantized = _has_quantization(trt, network)
    for name in sorted(_flags_of_types(network) | ({"INT8"} if quantized else set())):
        if hasattr(trt.BuilderFlag, name):
            config.set_flag(getattr(trt.BuilderFlag, name))


def _flags_of_types(network: Any) -> set[str]:
    """Those that allow the types that its layers have."""
    found = set()
    for layer in (network.get_layer(n) for n in range(network.num_layers)):
        outputs = [layer.get_output(n) for n in range(layer.num_outputs)]
        types = {type_name(output.dtype) for output in outputs if output is not None}
        found |= {FLAGS_OF_TYPES.get(name, "") for name in types}
    return found - {""}


def _calibrate(trt: Any, config: Any, path: str) -> None:
    """With a calibrator that only reads a cache: there are no pictures here to calibrate with."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise RefusedError(
            "engine.recipe", "calibration cache %s: %s" % (path, error.strerror)
        ) from None
    # Its first line is TRT-8601-EntropyCalibration2, say.
    kind = data.split(b"\n")[0].decode("utf-8", "replace").strip().rpartition("-")[2]
    names = {
        "EntropyCalibration2": "IInt8EntropyCalibrator2",
        "EntropyCalibration": "IInt8EntropyCalibrator",
        "MinMaxCalibration": "IInt8MinMaxCalibrator",
    }
    if kind not in names:
        raise RefusedError(
            "engine.recipe",
            "calibration cache %s begins with %r, which is none of %s"
            % (path, kind[:80], ", ".join(names)),
            "Use the file that TensorRT's calibrator wrote.",
        )
    base: Any = getattr(trt, names[kind], None)
    if base is None or not hasattr(config, "int8_calibrator"):
        raise RefusedError(
            "engine.unsupported",
            "%s %s has no calibration any more" % (trt.__name__, trt.__version__),
            "Quantize the ONNX instead: python -m modelopt.onnx.quantization, then precision:"
            " model.",
        )

    class Calibrator(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: list[str]) -> None:
            return None

        def read_calibration_cache(self) -> bytes:
            return data

        def write_calibration_cache(self, cache: Any) -> None:
            pass

    config.int8_calibrator = Calibrator()


class TimingCache:
    """What TensorRT timed in other builds, in a file that builds share."""

    def __init__(self, trt: Any, config: Any, path: str | None, log: Log) -> None:
        self._config, self._path, self._log = config, path, log
        if path is None:
            return
        if trt.__name__ == "tensorrt_rtx":
            self._path = None
            log.note("TensorRT-RTX has no use for a timing cache")
        elif not self._take(read_cache(path, log)):
            log.note("the timing cache %s is of another TensorRT, and is begun anew" % path)
            del log.errors[:]
            self._take(b"")

    def _take(self, data: bytes) -> bool:
        cache = self._config.create_timing_cache(data)
        if cache is None:
            return False
        return bool(self._config.set_timing_cache(cache, ignore_mismatch=False))

    def write(self) -> None:
        """What is new, and what others wrote meanwhile."""
        if self._path is None:
            return
        cache = self._config.get_timing_cache()
        with locked(self._path):
            theirs = self._config.create_timing_cache(read_cache(self._path, self._log))
            if theirs is not None:
                cache.combine(theirs, ignore_mismatch=False)
            write_cache(self._path, memoryview(cache.serialize()), self._log)


def _need(there: bool, trt: Any, what: str) -> None:
    if not there:
        raise RefusedError(
            "engine.unsupported",
            "%s %s cannot do %s" % (trt.__name__, trt.__version__, what),
            "Leave it out of the recipe, or use an image with a TensorRT that can.",
        )


# Files: whole or not at all.


def write_file(path: str, data: Any, *, durable: bool) -> None:
    """On disk when it returns, if `durable`. Raises RefusedError `engine.storage`."""
    new = path + ".new"
    try:
        with open(new, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.rename(new, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise RefusedError(
            "engine.storage", "%s: %s" % (path, error.strerror), "Make room there, then try again."
        ) from None


def read_cache(path: str, log: Log) -> bytes:
    """Empty where there is none: an engine is as good without."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        log.note("the cache %s is not read: %s" % (path, error.strerror))
        return b""


def write_cache(path: str, data: Any, log: Log) -> None:
    try:
        write_file(path, data, durable=True)
    except RefusedError as error:
        log.note("the cache is not kept: %s" % error)


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """Nobody else writes the file meanwhile; the kernel lets go when we end."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # the cache cannot be written either, which is told
            fcntl.flock(held.enter_context(open(path + ".lock", "ab")), fcntl.LOCK_EX)
        yield


def read_header(data: Any, flavour: str) -> dict[str, Any]:
    """What the first bytes of a plan say. Raises RefusedError `engine.plan`."""
    start = bytes(data[:HEADER_BYTES])
    for name, magic in MAGIC.items():
        if name != flavour and start.startswith(magic):
            raise RefusedError(
                "engine.plan",
                "the plan was built by %s, and here is %s" % (name, flavour),
                "Each runs its own plans only: use the one that built it, or build it anew.",
            )
    if len(start) < HEADER_BYTES or not start.startswith(MAGIC[flavour]):
        raise RefusedError(
            "engine.plan",
            "the plan does not begin as plans do, but with %s" % (start[:8].hex() or "nothing"),
            "Is it a plan file, and whole?",
        )
    return {"serialization": struct.unpack_from("<I", start, 4)[0], "version": list(start[24:28])}


class Plan:
    """A plan file, mapped: it may be larger than one wants to hold twice.

    Ultralytics writes the model's metadata before the plan, as JSON behind its length, which
    TensorRT itself does not read; it is told, and left out. Raises RefusedError `engine.plan`.
    """

    def __init__(self, path: str, flavour: str) -> None:
        try:
            with open(path, "rb") as file:
                whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:  # ValueError: it is empty
            raise RefusedError("engine.plan", "%s: %s" % (path, error)) from None
        self.metadata = self._metadata(whole)
        length = struct.unpack_from("<I", whole)[0] if self.metadata is not None else -4
        self.data = whole[4 + length :]
        self.header = read_header(self.data, flavour)

    @staticmethod
    def _metadata(whole: memoryview) -> dict[str, Any] | None:
        if len(whole) < 8 or bytes(whole[4:5]) != b"{":
            return None
        length = struct.unpack_from("<I", whole)[0]
        if not 2 <= length <= METADATA_LIMIT:
            return None
        try:
            text = bytes(whole[4 : 4 + length]).decode("utf-8")
            metadata = json.loads(text, parse_constant=str)  # NaN is none of JSON's
        except ValueError:
            return None
        return metadata if isinstance(metadata, dict) else None


# Running an engine, by either generation of the API. Both speak of tensors by name here.

# Of one element, by TensorRT's name of the type.
BITS = {
    **dict.fromkeys(("float", "int32"), 32),
    **dict.fromkeys(("half", "bf16"), 16),
    **dict.fromkeys(("int8", "uint8", "bool", "fp8", "e8m0"), 8),
    **dict.fromkeys(("int4", "fp4"), 4),
    "int64": 64,
}


class UntriedError(Exception):
    """Why an engine that may well be good cannot be run by this worker."""


class ByName:
    """TensorRT 8.5 and newer, and TensorRT-RTX."""

    def __init__(self, trt: Any, engine: Any, context: Any) -> None:
        self._engine, self._context = engine, context
        names = [engine.get_tensor_name(n) for n in range(engine.num_io_tensors)]
        is_input = trt.TensorIOMode.INPUT
        self.inputs = [name for name in names if engine.get_tensor_mode(name) == is_input]
        self.outputs = [name for name in names if name not in self.inputs]
        device, linear = trt.TensorLocation.DEVICE, trt.TensorFormat.LINEAR
        self.on_host = {name for name in names if engine.get_tensor_location(name) != device}
        self.odd = {name for name in names if engine.get_tensor_format(name) != linear}

    def type(self, name: str) -> str:
        return type_name(self._engine.get_tensor_dtype(name))

    def whole(self, name: str) -> list[int]:
        """The engine's own shape; -1 is what may vary."""
        return shape_of(self._engine.get_tensor_shape(name))

    def ranges(self, name: str, profile: int) -> list[list[int]]:
        """Its smallest, best and largest shape."""
        shape = self.whole(name)
        if all(size >= 0 for size in shape):
            return [shape] * 3
        return [shape_of(each) for each in self._engine.get_tensor_profile_shape(name, profile)]

    def select(self, profile: int, stream: int) -> bool:
        return bool(self._context.set_optimization_profile_async(profile, stream))

    def reshape(self, name: str, shape: list[int]) -> bool:
        return bool(self._context.set_input_shape(name, tuple(shape)))

    def shape(self, name: str) -> list[int]:
        """As the inputs' shapes make it; -1 where only the data will."""
        return shape_of(self._context.get_tensor_shape(name))

    def limit(self, name: str) -> int:
        """The most bytes that an output whose shape the data makes can have."""
        if not hasattr(self._context, "get_max_output_size"):
            raise UntriedError("the data makes the shape of %r" % name)
        return int(self._context.get_max_output_size(name))

    def bind(self, addresses: dict[str, int]) -> bool:
        put = self._context.set_tensor_address
        return all(put(name, address) for name, address in addresses.items())

    def launch(self, stream: int) -> bool:
        return bool(self._context.execute_async_v3(stream))


class ByIndex:
    """TensorRT 8.4, where each profile has bindings of its own, and they have numbers."""

    def __init__(self, trt: Any, engine: Any, context: Any) -> None:
        self._engine, self._context = engine, context
        self._count = engine.num_bindings // max(engine.num_optimization_profiles, 1)
        self._numbers = {engine.get_binding_name(n): n for n in range(self._count)}
        self._first = 0  # of the profile's bindings
        self._bindings: list[int] = []
        self.inputs = [name for name, n in self._numbers.items() if engine.binding_is_input(n)]
        self.outputs = [name for name in self._numbers if name not in self.inputs]
        numbers, linear = self._numbers.items(), trt.TensorFormat.LINEAR
        self.on_host = {name for name, n in numbers if engine.is_shape_binding(n)}
        self.odd = {name for name, n in numbers if engine.get_binding_format(n) != linear}

    def type(self, name: str) -> str:
        return type_name(self._engine.get_binding_dtype(self._numbers[name]))

    def whole(self, name: str) -> list[int]:
        return shape_of(self._engine.get_binding_shape(self._numbers[name]))

    def ranges(self, name: str, profile: int) -> list[list[int]]:
        number = self._numbers[name]
        shape = self.whole(name)
        if all(size >= 0 for size in shape):
            return [shape] * 3
        return [shape_of(each) for each in self._engine.get_profile_shape(profile, number)]

    def select(self, profile: int, stream: int) -> bool:
        self._first = profile * self._count
        return bool(self._context.set_optimization_profile_async(profile, stream))

    def reshape(self, name: str, shape: list[int]) -> bool:
        number = self._first + self._numbers[name]
        return bool(self._context.set_binding_shape(number, tuple(shape)))

    def shape(self, name: str) -> list[int]:
        return shape_of(self._context.get_binding_shape(self._first + self._numbers[name]))

    def limit(self, name: str) -> int:
        raise UntriedError("the data makes the shape of %r" % name)

    def bind(self, addresses: dict[str, int]) -> bool:
        self._bindings = [0] * self._engine.num_bindings
        for name, address in addresses.items():
            self._bindings[self._first + self._numbers[name]] = address
        return True

    def launch(self, stream: int) -> bool:
        return bool(self._context.execute_async_v2(self._bindings, stream))


def tensors_of(api: Any, profiles: int) -> dict[str, Any]:
    """What goes in and comes out; and of each profile the smallest, best and largest of inputs."""

    def told(name: str) -> dict[str, Any]:
        return {
            "name": name,
            "shape": api.whole(name),
            "dtype": api.type(name),
            "host": name in api.on_host,
            "linear": name not in api.odd,
        }

    on_device = [name for name in api.inputs if name not in api.on_host]
    return {
        "inputs": [told(name) for name in api.inputs],
        "outputs": [told(name) for name in api.outputs],
        "profiles": [{name: api.ranges(name, n) for name in on_device} for n in range(profiles)],
    }


def check_runnable(api: Any) -> None:
    """Raises UntriedError."""
    for name in [*api.inputs, *api.outputs]:
        if name in api.on_host:
            raise UntriedError("%r is a shape tensor, which lies on the host" % name)
        if name in api.odd:
            raise UntriedError("%r is not laid out linearly" % name)


def type_name(dtype: Any) -> str:
    return str(dtype).split(".")[-1].lower()


def shape_of(dims: Any) -> list[int]:
    return [int(size) for size in dims]


def bytes_of(shape: list[int], dtype: str) -> int:
    if dtype not in BITS:
        raise UntriedError("its type %s is not known to this worker" % dtype)
    count = 1
    for size in shape:
        count *= size
    return (count * BITS[dtype] + 7) // 8


class Trial:
    """One set of input shapes of one profile. `kept`: its outputs are told and compared."""

    def __init__(self, profile: int, shapes: dict[str, list[int]], kept: bool) -> None:
        self.profile, self.shapes, self.kept = profile, shapes, kept
        first = next(iter(shapes.values()), [])
        self.batch = first[0] if first else 1


def trials_of(api: Any, profiles: int, batches: list[int]) -> list[Trial]:
    """Those of the batch sizes, or else of the smallest, best and largest of each profile.

    Kept is the first of the batch sizes, or else the best of the first profile.
    """
    found: list[Trial] = []
    for profile in range(profiles):
        ranges = {name: api.ranges(name, profile) for name in api.inputs}
        if batches:
            wanted = [_of_batch(ranges, batch) for batch in batches]
        else:
            wanted = [{name: ranges[name][end] for name in ranges} for end in (1, 0, 2)]
        seen: list[Any] = [None]
        for shapes in wanted:
            if shapes not in seen:
                seen.append(shapes)
                found.append(Trial(profile, shapes or {}, not found))
    if not found:
        raise RefusedError(
            "engine.profile",
            "no profile of the engine takes a batch of %s" % " or ".join(map(str, batches)),
            "Ask for batch sizes between the min and max of its profiles.",
        )
    return found


def _of_batch(ranges: dict[str, list[list[int]]], batch: int) -> dict[str, list[int]] | None:
    shapes = {}
    for name, (smallest, best, largest) in ranges.items():
        shapes[name] = list(best)
        if not best:
            continue
        if not smallest[0] <= batch <= largest[0] and smallest[0] != largest[0]:
            return None
        if smallest[0] != largest[0]:
            shapes[name][0] = batch
    sizes = [shape[0] for shape in shapes.values() if shape]
    return shapes if batch in sizes else None


# What goes into a run, and what comes out of it.


def file_name(tensor: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", tensor).lstrip(".") + ".bin"


def input_bytes(name: str, dtype: str, shape: list[int], folder: str | None) -> bytes:
    """Of the file in the folder, its items again and again; else random, the same each time."""
    size = bytes_of(shape, dtype)
    if folder is None:
        return _repeated(_random_block(name, dtype), size)
    path = os.path.join(folder, file_name(name))
    try:
        with open(path, "rb") as file:
            data = file.read(size)
    except OSError as error:
        raise RefusedError(
            "engine.inputs", "%s: %s" % (path, error.strerror), "Each input needs its file."
        ) from None
    item = bytes_of(shape[1:], dtype)
    if not data or not item or len(data) % item:
        raise RefusedError(
            "engine.inputs",
            "%s has %d bytes, an item of %r %s has %d" % (path, len(data), name, shape[1:], item),
            "The file holds whole items, as the engine takes them: %s." % dtype,
        )
    return _repeated(data, size)


def _repeated(block: bytes, size: int) -> bytes:
    return (block * (size // len(block) + 1))[:size]


def _random_block(name: str, dtype: str) -> bytes:
    """Floats from 0 to 1; whole numbers that are small, since they may be indexes."""
    made = random.Random("roost " + name)
    if dtype in ("float", "half", "bf16"):
        floats = array.array("f", (made.random() for _ in range(RANDOM_BLOCK)))
        if dtype == "half":
            return struct.pack("<%de" % len(floats), *floats)
        data = floats.tobytes()
        if dtype == "float":
            return data
        halves = bytearray(len(data) // 2)
        halves[0::2], halves[1::2] = data[2::4], data[3::4]
        return bytes(halves)
    if dtype in ("int32", "int64"):
        code = "i" if dtype == "int32" else "q"
        return array.array(code, (made.randrange(2) for _ in range(RANDOM_BLOCK))).tobytes()
    below = {"bool": 2, "fp8": 0x38}.get(dtype, 128)
    mask = 0x77 if dtype in ("int4", "fp4") else 0xFF
    return bytes(made.randrange(below) & mask for _ in range(RANDOM_BLOCK))


def numbers_of(data: Any, dtype: str) -> Any:
    """The values as Python numbers; None: of such a type there is nothing to compare."""
    codes = {"float": "f", "int32": "i", "int64": "q", "int8": "b", "uint8": "B", "bool": "B"}
    if dtype == "half":
        return struct.unpack("<%de" % (len(data) // 2), data)
    if dtype == "bf16":
        wide = bytearray(len(data) * 2)
        wide[2::4], wide[3::4] = data[0::2], data[1::2]
        data, dtype = wide, "float"
    if dtype not in codes:
        return None
    return array.array(codes[dtype], bytes(data))


class Output:
    """What came out under one name."""

    def __init__(self, name: str, shape: list[int], dtype: str, data: bytearray) -> None:
        self.name, self.shape, self.dtype, self.data = name, shape, dtype, data
        self.numbers = numbers_of(data, dtype)

    def not_finite(self) -> tuple[int | None, int | None]:
        """How many of its values are NaN, and how many infinite; None: nobody knows."""
        if self.numbers is None:
            return None, None
        if self.dtype not in ("float", "half", "bf16"):
            return 0, 0
        odd = [value for value in self.numbers if not math.isfinite(value)]
        nan = sum(value != value for value in odd)
        return nan, len(odd) - nan

    def told(self) -> dict[str, Any]:
        nan, infinite = self.not_finite()
        return {
            "name": self.name,
            "shape": self.shape,
            "dtype": self.dtype,
            "bytes": len(self.data),
            "sha256": hashlib.sha256(self.data).hexdigest(),
            "nan": nan,
            "infinite": infinite,
        }


def keep_outputs(folder: str, outputs: list[Output]) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise RefusedError("engine.storage", "%s: %s" % (folder, error.strerror)) from None
    for output in outputs:
        write_file(os.path.join(folder, file_name(output.name)), output.data, durable=False)


class Comparison:
    """How far our outputs are from others: |ours - theirs| <= atol + rtol x |theirs|.

    NaN and infinity are only like themselves.
    """

    def __init__(self, what: str, rtol: float, atol: float) -> None:
        self._what, self._rtol, self._atol = what, rtol, atol
        self._max_abs = self._max_rel = 0.0
        self._wrong: list[str] = []

    def add(self, name: str, ours: Any, theirs: Any) -> None:
        off = odd = 0
        for one, other in zip(ours, theirs):
            if one == other or (one != one and other != other):
                continue
            apart, size = abs(one - other), abs(other)
            if not math.isfinite(apart):
                odd += 1
                continue
            off += not apart <= self._atol + self._rtol * size
            self._max_abs = max(self._max_abs, apart)
            self._max_rel = max(self._max_rel, apart / size) if size else self._max_rel
        if off or odd:
            more = ", %d of them NaN or infinite on one side only" % odd if odd else ""
            self._wrong.append("%d of %d values of %r%s" % (off + odd, len(ours), name, more))

    def told(self) -> dict[str, Any]:
        reason = "; ".join(self._wrong)[:TEXT_LIMIT]
        return {
            "with": self._what,
            "ok": not self._wrong,
            "max_abs": self._max_abs,
            "max_rel": self._max_rel,
            "reason": "more than rtol %g, atol %g apart: %s" % (self._rtol, self._atol, reason)
            if reason
            else None,
        }


def compare(job: Job, options: Job, tries: Tries) -> tuple[dict[str, Any] | None, str | None]:
    """With ONNX Runtime where that is there, else with earlier outputs; or why with neither."""
    onnx = job.get("onnx") if options["onnxruntime"] else None
    ways: list[tuple[str, Callable[[], list[Any]]]] = [
        ("onnxruntime", lambda: _of_onnxruntime(onnx, tries.inputs, tries.outputs)),
        ("previous", lambda: _of_folder(options["compare"], tries.outputs)),
    ]
    reasons = []
    for what, ask in ways:
        try:
            theirs = ask()
        except UntriedError as why:
            reasons.append("%s: %s" % (what, why))
            continue
        comparison = Comparison(what, options["rtol"], options["atol"])
        for output, values in zip(tries.outputs, theirs):
            comparison.add(output.name, output.numbers, values)
        return comparison.told(), None
    return None, "; ".join(reasons)


def _of_folder(folder: str | None, outputs: list[Output]) -> list[Any]:
    if folder is None:
        raise UntriedError("there are no outputs of it")
    found = []
    for output in outputs:
        try:
            with open(os.path.join(folder, file_name(output.name)), "rb") as file:
                data = file.read(len(output.data) + 1)
        except OSError as error:
            raise UntriedError("%r: %s" % (output.name, error.strerror)) from None
        if len(data) != len(output.data):
            raise UntriedError("%r has another size now" % output.name)
        found.append(_comparable(output, numbers_of(data, output.dtype)))
    return found


def _of_onnxruntime(
    onnx: str | None, inputs: dict[str, tuple[bytes, str, list[int]]], outputs: list[Output]
) -> list[Any]:
    """Its values of our inputs, on the CPU."""
    if onnx is None:
        raise UntriedError("not asked for")
    try:
        numpy = importlib.import_module("numpy")
        runtime = importlib.import_module("onnxruntime")
    except ImportError:
        raise UntriedError("not installed") from None
    names = {"float": "float32", "half": "float16", "double": "float64"}
    try:
        session = runtime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
        feeds = {}
        for each in session.get_inputs():  # its type is "tensor(float)"; TensorRT may have another
            data, dtype, shape = inputs[each.name]
            given = numpy.frombuffer(data, names.get(dtype, dtype)).reshape(shape)
            wanted = each.type[len("tensor(") : -1]
            feeds[each.name] = given.astype(names.get(wanted, wanted))
        answers = session.run([output.name for output in outputs], feeds)
        values = [array.array("d", each.astype("float64").tobytes()) for each in answers]
    except Exception as error:  # noqa: BLE001 - of theirs, and no fault of the engine
        raise UntriedError("%s: %s" % (type(error).__name__, str(error)[:TEXT_LIMIT])) from None
    return [_comparable(output, each) for output, each in zip(outputs, values)]


def _comparable(output: Output, values: Any) -> Any:
    if output.numbers is None or values is None:
        raise UntriedError("%r is %s, which cannot be compared" % (output.name, output.dtype))
    if len(values) != len(output.numbers):
        raise UntriedError("%r has %d values" % (output.name, len(values)))
    return values


# Trying an engine on the GPU: a build that succeeds proves nothing about running.


class Tries:
    """Runs trials of one engine, and keeps what they show."""

    def __init__(
        self,
        gpu: Gpu,
        api: Any,
        options: Job,
        cancelled: Callable[[], bool],
        errors: list[str],
    ) -> None:
        """`errors` is where TensorRT's come."""
        self._gpu, self._api, self._options, self._cancelled = gpu, api, options, cancelled
        self._errors = errors
        self.latencies: list[dict[str, Any]] = []
        # Of the trial that is kept: bytes, type and shape by name, and what came out.
        self.inputs: dict[str, tuple[bytes, str, list[int]]] = {}
        self.outputs: list[Output] = []
        self.used = 0  # bytes of the GPU, the most that was seen

    def run(self, trial: Trial) -> None:
        gpu, api = self._gpu, self._api
        with contextlib.ExitStack() as held:
            stream = held.enter_context(gpu.stream())
            need(api.select(trial.profile, stream), "does not take profile %d" % trial.profile)
            inputs = self._inputs(trial)
            addresses = {}
            for name, (data, _, _) in inputs.items():
                addresses[name] = held.enter_context(gpu.allocated(len(data)))
                gpu.put(addresses[name], data, stream)
            sizes = {name: self._size(name) for name in api.outputs}
            for name, size in sizes.items():
                addresses[name] = held.enter_context(gpu.allocated(size))
            gpu.finish(stream)
            need(api.bind(addresses), "does not take the addresses of its tensors")
            start, end = held.enter_context(gpu.event()), held.enter_context(gpu.event())
            times = self._times(trial, stream, start, end, lambda: bool(api.launch(stream)))
            free, total = gpu.memory()
            self.used = max(self.used, total - free)
            if trial.kept:
                self.inputs = inputs
                self.outputs = [
                    self._output(name, addresses[name], size, stream)
                    for name, size in sizes.items()
                ]
            graph = self._graphed(trial, stream, start, end)
        self.latencies.append(dict(_latency(trial, times), **graph))

    def _graphed(self, trial: Trial, stream: int, start: int, end: int) -> dict[str, Any]:
        """How fast it is as a CUDA graph, or why it is none. It ran without before, as it must."""
        if not self._options["cuda_graphs"]:
            return {}
        gpu, api = self._gpu, self._api
        del self._errors[:]
        try:
            with gpu.graph(stream, lambda: bool(api.launch(stream))) as graph:
                times = self._times(trial, stream, start, end, lambda: gpu.launch(graph, stream))
        except (UncapturedError, CudaError) as error:
            return {"no_graph": "; ".join([str(error), *self._errors[:3]])[:TEXT_LIMIT]}
        return {"graph": _figures(trial, times)}

    def _inputs(self, trial: Trial) -> dict[str, tuple[bytes, str, list[int]]]:
        found = {}
        for name, shape in trial.shapes.items():
            need(self._api.reshape(name, shape), "does not take %s for %r" % (shape, name))
            dtype = self._api.type(name)
            data = input_bytes(name, dtype, shape, self._options["inputs"])
            found[name] = (data, dtype, shape)
        return found

    def _size(self, name: str) -> int:
        shape = self._api.shape(name)
        if any(size < 0 for size in shape):
            return int(self._api.limit(name))
        return bytes_of(shape, self._api.type(name))

    def _times(
        self, trial: Trial, stream: int, start: int, end: int, launch: Callable[[], bool]
    ) -> list[float]:
        """Milliseconds of each run that counts."""
        times = []
        for number in range(self._options["warmup"] + self._options["iterations"]):
            if self._cancelled():
                raise CancelledError
            self._gpu.mark(start, stream)
            need(launch(), "does not run with %s" % trial.shapes)
            self._gpu.mark(end, stream)
            took = self._gpu.milliseconds(start, end)
            if number >= self._options["warmup"]:
                times.append(took)
        return times

    def _output(self, name: str, address: int, size: int, stream: int) -> Output:
        data = bytearray(size)
        self._gpu.get(address, data, stream)
        self._gpu.finish(stream)
        return Output(name, self._api.shape(name), self._api.type(name), data)


def need(well: bool, what: str) -> None:
    if not well:
        raise UnfitError("the engine %s" % what)


def _latency(trial: Trial, times: list[float]) -> dict[str, Any]:
    return {
        "profile": trial.profile,
        "batch": trial.batch,
        "shapes": trial.shapes,
        "iterations": len(times),
        **_figures(trial, times),
    }


def _figures(trial: Trial, times: list[float]) -> dict[str, float]:
    times = sorted(times)
    mean = sum(times) / len(times)
    return {
        "p50_ms": _percentile(times, 0.50),
        "p99_ms": _percentile(times, 0.99),
        "mean_ms": round(mean, 4),
        "throughput": round(trial.batch * 1000 / mean, 2) if mean else 0.0,
    }


class UnfitError(Exception):
    """The engine does not do on this GPU what it should."""


def _percentile(ascending: list[float], part: float) -> float:
    """The nearest rank, in milliseconds."""
    return round(ascending[max(math.ceil(part * len(ascending)) - 1, 0)], 4)


class RuntimeCache:
    """What TensorRT-RTX compiles on the GPU when an engine first runs there, kept in a file."""

    def __init__(self, engine: Any, path: str | None, log: Log) -> None:
        self._engine, self._path, self._log = engine, path, log
        self._config = self._cache = None
        if path is None or not hasattr(engine, "create_runtime_config"):
            return
        self._config = engine.create_runtime_config()
        self._cache = self._config.create_runtime_cache()
        data = read_cache(path, log)
        if data and not self._cache.deserialize(data):
            log.note("the runtime cache %s does not fit, and is made anew" % path)
            self._cache = self._config.create_runtime_cache()
        self._config.set_runtime_cache(self._cache)

    def context(self) -> Any:
        if self._config is None:
            return self._engine.create_execution_context()
        return self._engine.create_execution_context(self._config)

    def write(self) -> None:
        if self._path is not None and self._cache is not None:
            with locked(self._path):
                write_cache(self._path, memoryview(self._cache.serialize()), self._log)


def check(trt: Any, job: Job, report: Reporter, cancelled: Callable[[], bool], log: Log) -> None:
    """Try the plan as far as it goes here, and tell it."""
    options = dict(VALIDATION, **(job.get("validation") or {}))
    plan = Plan(job["plan"], trt.__name__)
    told = {"header": plan.header, "metadata": plan.metadata, "gpu_memory": None}
    driver, reason = find_gpu()
    if driver is None:
        reason = "there is no GPU here to try it on: %s" % reason
        report.tell("checked", state="header", reason=reason, **told)
        return
    try:
        with Gpu.opened(driver) as gpu:
            free, total = gpu.memory()
            before = total - free
            found = _try_plan(trt, job, plan, gpu, options, cancelled, log)
            used = found.pop("used")
            free, total = gpu.memory()
            told["gpu_memory"] = {
                "before_bytes": before,
                "engine_bytes": max(used - before, 0),
                "after_bytes": total - free,
            }
    except (CudaError, UnfitError) as error:
        raise _unfit(error, log.errors) from None
    report.tell("checked", **dict(told, **found))
    _judge(found, options)


def _unfit(error: Exception, errors: list[str]) -> RefusedError:
    """With what TensorRT said of it."""
    words = "; ".join([str(error), *errors[:3]])
    return _of_memory(words) or RefusedError(
        "engine.unfit", words, "Build it for this GPU, with a TensorRT that supports it."
    )


def _of_memory(words: str) -> RefusedError | None:
    """Where these words tell that there was too little; TensorRT has no code for it."""
    if not any(each in words.lower() for each in NO_MEMORY):
        return None
    hint = "Free memory on the GPU, or make the workspace or the profiles smaller."
    return RefusedError("engine.memory", words, hint)


def _try_plan(
    trt: Any,
    job: Job,
    plan: Plan,
    gpu: Gpu,
    options: Job,
    cancelled: Callable[[], bool],
    log: Log,
) -> dict[str, Any]:
    """Everything that TensorRT holds is gone when this returns."""
    del log.errors[:]
    runtime = trt.Runtime(log.logger)
    if job.get("version_compatible") and hasattr(runtime, "engine_host_code_allowed"):
        runtime.engine_host_code_allowed = True  # such a plan brings its own runtime
    if job.get("dla"):
        runtime.DLA_core = job["dla"]["core"]
    engine = runtime.deserialize_cuda_engine(plan.data)
    if engine is None:
        raise UnfitError("TensorRT does not take the plan" + _validity(trt, runtime, plan))
    cache = RuntimeCache(engine, job.get("runtime_cache"), log)
    context = cache.context()
    if context is None:
        raise UnfitError("TensorRT makes no execution context of the engine")
    free, total = gpu.memory()
    api = (ByName if hasattr(engine, "num_io_tensors") else ByIndex)(trt, engine, context)
    profiles = max(int(engine.num_optimization_profiles), 1)
    tensors = tensors_of(api, profiles)
    found = {"state": "deserialised", "reason": None, "used": total - free, "tensors": tensors}
    if not options["iterations"]:
        return dict(found, reason="no iterations were asked for")
    try:
        check_runnable(api)
        tries = Tries(gpu, api, options, cancelled, log.errors)
        for trial in trials_of(api, profiles, options["batches"]):
            tries.run(trial)
    except UntriedError as why:
        return dict(found, reason=str(why))
    cache.write()
    if options["keep_outputs"] is not None:
        keep_outputs(options["keep_outputs"], tries.outputs)
    compared, why_not = compare(job, options, tries)
    return {
        "state": "ran",
        "reason": None,
        "used": max(tries.used, total - free),
        "tensors": tensors,
        "latencies": tries.latencies,
        "outputs": [output.told() for output in tries.outputs],
        "compared": compared,
        "not_compared": why_not,
    }


def _validity(trt: Any, runtime: Any, plan: Plan) -> str:
    """What TensorRT-RTX says of a plan without taking it; empty where it does not."""
    if not hasattr(runtime, "get_engine_validity"):
        return ""
    _, found = runtime.get_engine_validity(plan.data)
    known = getattr(trt, "EngineInvalidityDiagnostics", None)
    members = getattr(known, "__members__", {})
    names = [name for name, member in members.items() if int(member) & int(found)]
    return " (%s)" % ", ".join(names) if names else ""


def _judge(found: dict[str, Any], options: Job) -> None:
    compared, latencies = found.get("compared"), found.get("latencies")
    if compared is not None and not compared["ok"]:
        raise RefusedError(
            "engine.outputs",
            "the outputs are not those of %s: %s" % (compared["with"], compared["reason"]),
            "Use more precision, or allow more in the recipe's validation (rtol, atol).",
        )
    if compared is None and not options["not_finite"]:
        for output in found.get("outputs") or []:
            if output["nan"] or output["infinite"]:
                raise RefusedError(
                    "engine.outputs",
                    "of %r %d values are NaN and %d infinite, and there is nothing to compare with"
                    % (output["name"], output["nan"], output["infinite"]),
                    "Use more precision, or real inputs. Where the model is meant to do that:"
                    " validation: {not_finite: true}.",
                )
    limit = options["max_latency_ms"]
    slow = [each for each in latencies or [] if limit is not None and each["p99_ms"] > limit]
    if slow:
        raise RefusedError(
            "engine.latency",
            "99 of 100 runs of batch %d take up to %g ms, more than %g"
            % (slow[0]["batch"], slow[0]["p99_ms"], limit),
            "Was the GPU busy? Else less precision, a smaller batch, or a higher max_latency_ms.",
        )


# Building.


def build(trt: Any, job: Job, report: Reporter, cancelled: Callable[[], bool], log: Log) -> None:
    builder = trt.Builder(log.logger)
    check_dla(trt, builder, job)
    network = builder.create_network(network_flags(trt, job))
    parse(trt, job, network, log, report)
    config = builder.create_builder_config()
    configure(trt, config, network, job, log)
    add_profiles(builder, network, config, job)
    timing = TimingCache(trt, config, job.get("timing_cache"), log)
    if hasattr(trt, "IProgressMonitor"):
        monitor = monitor_of(trt, Phases(report), cancelled)
        config.progress_monitor = monitor
    del log.errors[:]
    started = time.monotonic()
    plan = builder.build_serialized_network(network, config)
    if cancelled():
        raise CancelledError
    if plan is None:
        words = "; ".join(log.errors[:3]) or "the builder gave no reason"
        hint = "The job's log has all that the builder said."
        raise _of_memory(words) or RefusedError("engine.build", words, hint)
    seconds = time.monotonic() - started
    timing.write()
    data = memoryview(plan)
    header = read_header(data, trt.__name__)
    # The agent makes all that it keeps of a build durable, once.
    write_file(job["plan"], data, durable=False)
    report.tell(
        "built",
        seconds=round(seconds, 3),
        plan_bytes=data.nbytes,
        header=header,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def work(argument: str | None, report: Reporter, cancelled: Callable[[], bool]) -> int:
    try:
        job: Job = {}
        if argument is not None:
            with open(argument, encoding="utf-8") as file:
                job = json.load(file)
        trt = find_tensorrt(job.get("flavour"))
        report.tell("versions", **versions_of(trt))
        if job:
            log = Log(trt, report)
            for begins, machine, what, where in KNOWN_BAD:
                if str(trt.__version__).startswith(begins) and machine in (None, MACHINE):
                    log.note("TensorRT %s: %s (%s)" % (trt.__version__, what, where))
            if hasattr(trt, "init_libnvinfer_plugins"):
                trt.init_libnvinfer_plugins(log.logger, "")
            if job.get("action", "build") == "build":
                build(trt, job, report, cancelled, log)
            check(trt, job, report, cancelled, log)
    except RefusedError as refused:
        report.tell(**refused.event)
        return FAILED
    except CancelledError:
        report.tell("cancelled")
        return CANCELLED
    except CudaError as error:
        report.tell(**_unfit(error, []).event)
        return FAILED
    except MemoryError:
        report.tell("failed", code="engine.memory", text="out of memory", hint="")
        return FAILED
    except Exception as error:  # noqa: BLE001 - TensorRT raises what it likes
        traceback.print_exc()
        text = "%s: %s" % (type(error).__name__, str(error)[:TEXT_LIMIT])
        report.tell("failed", code="engine.worker", text=text, hint="")
        return FAILED
    report.tell("done")
    return DONE


def main() -> int:
    # What the libraries print goes elsewhere, so that every line here is an event.
    report = Reporter(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    # No handler would hear a signal amid a call into the builder: a thread waits for it. The work
    # is in the main thread: glibc gives another one its memory in small bits, with a system call
    # for each (30000 of mprotect were seen in a build of 5 s).
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    stop, ended = threading.Event(), threading.Event()

    def hear() -> None:
        signal.sigwait({signal.SIGTERM})
        stop.set()
        if not ended.wait(CANCEL_SECONDS):
            # It is in a call that cannot be cancelled: TensorRT before 9, the parser.
            report.tell("cancelled")
            os._exit(CANCELLED)

    threading.Thread(target=hear, name="signals", daemon=True).start()
    code = work(sys.argv[1] if len(sys.argv) > 1 else None, report, stop.is_set)
    ended.set()
    return code


if __name__ == "__main__":
    sys.exit(main())
