"""Builds one TensorRT engine: `python worker.py JOB.json`, JSON lines on its standard output.

It runs in other people's images: this one file, Python 3.8, the standard library, and whichever
of `tensorrt` (8.4 and newer) and `tensorrt_rtx` is there. What a version can do is found by
looking, never by its number. `python worker.py` alone says what is there.

Events: versions, parsed, progress, message, built, checked, and at the end done, failed or
cancelled. Whatever libraries print goes to standard error.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import resource
import signal
import struct
import sys
import threading
import time
from typing import Any, Callable, Dict, Iterator, TextIO

FLAVOURS = ("tensorrt", "tensorrt_rtx")
# How plans begin; byte 24 on is the version that built them.
MAGIC = {"tensorrt": b"ftrt", "tensorrt_rtx": b"vtrt"}
HEADER_BYTES = 28
# At most so many progress events a second go out, and so many messages of the builder in all.
PROGRESS_SECONDS = 0.2
MESSAGES = 200
TEXT_LIMIT = 2000
DONE, FAILED, CANCELLED = 0, 1, 3

Job = Dict[str, Any]


class RefusedError(Exception):
    """Why there is no engine."""

    def __init__(self, code: str, text: str, hint: str = "", **params: Any) -> None:
        super().__init__(text)
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
OUT_OF_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY"


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
            raise CudaError(library, "not loaded", str(error)) from None
        self.call("cuInit", 0)

    def function(self, *names: str) -> Any:
        """The first of these that this driver has."""
        for name in names:
            if hasattr(self._library, name):
                return getattr(self._library, name)
        raise CudaError(names[0], "not found", "the driver is too old")

    def call(self, name: str, *arguments: Any) -> None:
        code = self.function(name)(*arguments)
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


def logger_of(trt: Any, report: Reporter, errors: list[str]) -> Any:
    """Errors are kept, since a build that fails says no more than None."""
    left = [MESSAGES]

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity > trt.ILogger.WARNING:
                return
            text = msg.strip()[:TEXT_LIMIT]
            if severity < trt.ILogger.WARNING:
                errors.append(text)
                del errors[:-MESSAGES]
            if left[0] > 0:
                left[0] -= 1
                kind = "warning" if severity == trt.ILogger.WARNING else "error"
                report.tell("message", severity=kind, text=text)

    return Log()


def parse(trt: Any, job: Job, network: Any, logger: Any, report: Reporter) -> None:
    parser = trt.OnnxParser(network, logger)
    # By its path: external data is found beside it.
    if not parser.parse_from_file(job["onnx"]):
        problems = [_parser_problem(parser.get_error(n)) for n in range(parser.num_errors)]
        raise RefusedError(
            "engine.onnx",
            "; ".join(each["text"] for each in problems) or "the ONNX parser refused the file",
            "Export the model anew; an operator that TensorRT lacks must be replaced in it.",
            problems=problems,
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
        shape = [int(size) for size in tensor.shape]
    except ValueError:  # its rank is only known at run time
        shape = []
    return {"name": tensor.name, "shape": shape, "dtype": str(tensor.dtype).split(".")[-1].lower()}


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
            _check_range(number, inputs[name], wanted[name])
            ranges = [tuple(wanted[name][end]) for end in ("min", "opt", "max")]
            profile.set_shape(name, *ranges)
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


def _misfit(text: str, inputs: dict[str, Any]) -> RefusedError:
    has = ", ".join("%s %s" % (name, list(tensor.shape)) for name, tensor in inputs.items())
    return RefusedError("engine.profile", text, "The model's inputs: %s; -1 is dynamic." % has)


def configure(trt: Any, config: Any, job: Job) -> None:
    """Everything but profiles. What this version cannot do is refused, nothing else is built."""
    _set_precision(trt, config, job["precision"])
    if job["workspace_bytes"] is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, job["workspace_bytes"])
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
    if job["compute_capabilities"]:
        _build_for(trt, config, job["compute_capabilities"])


def _build_for(trt: Any, config: Any, asked: list[str]) -> None:
    names = ["SM" + each.replace(".", "") for each in asked]
    for place, name in enumerate(names):
        _need(hasattr(_capabilities(trt), name), trt, "compute capability %s" % asked[place])
    config.num_compute_capabilities = len(names)
    for place, name in enumerate(names):
        config.set_compute_capability(getattr(trt.ComputeCapability, name), place)


def _set_precision(trt: Any, config: Any, precision: str) -> None:
    if precision == "model":
        return
    names = ("FP16", "INT8") if precision == "best" else (precision.upper(),)
    if not all(hasattr(trt.BuilderFlag, name) for name in names):
        raise RefusedError(
            "engine.unsupported",
            "%s %s has no precision flags, so it cannot make %s of a model that is something else"
            % (trt.__name__, trt.__version__, precision),
            "Put the precision into the ONNX itself (python -m modelopt.onnx.autocast makes fp16"
            " and bf16 of fp32), then build it with precision: model.",
        )
    for name in names:
        config.set_flag(getattr(trt.BuilderFlag, name))


def _need(there: bool, trt: Any, what: str) -> None:
    if not there:
        raise RefusedError(
            "engine.unsupported",
            "%s %s cannot do %s" % (trt.__name__, trt.__version__, what),
            "Leave it out of the recipe, or use an image with a TensorRT that can.",
        )


def write_plan(trt: Any, path: str, plan: Any) -> dict[str, Any]:
    """Whole or not at all under its name, and on disk. What its header says."""
    new = path + ".new"
    try:
        with open(new, "wb") as file:
            file.write(plan)
            file.flush()
            os.fsync(file.fileno())
        with open(new, "rb") as file:
            header = read_header(file.read(HEADER_BYTES), MAGIC[trt.__name__])
        os.rename(new, path)
    except OSError as error:
        if os.path.exists(new):
            os.unlink(new)
        raise RefusedError(
            "engine.storage", "%s: %s" % (path, error.strerror), "Make room there, then try again."
        ) from None
    return header


def read_header(data: bytes, magic: bytes) -> dict[str, Any]:
    if len(data) < HEADER_BYTES or not data.startswith(magic):
        raise RefusedError("engine.plan", "the builder's plan does not begin as plans do")
    return {"serialization": struct.unpack_from("<I", data, 4)[0], "version": list(data[24:28])}


def check_on_gpu(trt: Any, path: str, logger: Any, errors: list[str]) -> dict[str, Any]:
    """A build that succeeds proves nothing about running: deserialise it where it shall run."""
    driver, reason = find_gpu()
    if driver is None:
        return {"state": "header", "reason": "there is no GPU here to try it on: %s" % reason}
    del errors[:]
    with open(path, "rb") as file:
        engine = trt.Runtime(logger).deserialize_cuda_engine(file.read())
    if engine is None:
        raise RefusedError(
            "engine.unfit",
            "the engine was built, and cannot run on this GPU: %s" % (errors or ["no reason"])[0],
            "Build it for this GPU, with a TensorRT that supports it.",
        )
    return {"state": "deserialised", "reason": None}


def build(trt: Any, job: Job, report: Reporter, cancelled: Callable[[], bool]) -> None:
    errors: list[str] = []
    logger = logger_of(trt, report, errors)
    builder = trt.Builder(logger)
    explicit = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    network = builder.create_network(0 if explicit is None else 1 << int(explicit))
    parse(trt, job, network, logger, report)
    config = builder.create_builder_config()
    configure(trt, config, job)
    add_profiles(builder, network, config, job)
    if hasattr(trt, "IProgressMonitor"):
        monitor = monitor_of(trt, Phases(report), cancelled)
        config.progress_monitor = monitor
    started = time.monotonic()
    plan = builder.build_serialized_network(network, config)
    if cancelled():
        raise CancelledError
    if plan is None:
        raise RefusedError(
            "engine.build",
            (errors or ["the builder gave no reason"])[-1],
            "The job's log has all that the builder said.",
        )
    seconds = time.monotonic() - started
    header = write_plan(trt, job["plan"], memoryview(plan))
    report.tell(
        "built",
        seconds=round(seconds, 3),
        plan_bytes=plan.nbytes,
        header=header,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
    del plan
    report.tell("checked", **check_on_gpu(trt, job["plan"], logger, errors))


def work(argument: str | None, report: Reporter, cancelled: Callable[[], bool]) -> int:
    try:
        job: Job = {}
        if argument is not None:
            with open(argument, encoding="utf-8") as file:
                job = json.load(file)
        trt = find_tensorrt(job.get("flavour"))
        report.tell("versions", **versions_of(trt))
        if job:
            build(trt, job, report, cancelled)
    except RefusedError as refused:
        report.tell(**refused.event)
        return FAILED
    except CancelledError:
        report.tell("cancelled")
        return CANCELLED
    except MemoryError:
        report.tell("failed", code="engine.memory", text="out of memory", hint="")
        return FAILED
    report.tell("done")
    return DONE


def main() -> int:
    # What the libraries print goes elsewhere, so that every line here is an event.
    report = Reporter(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    codes: list[int] = []

    def run() -> None:
        codes.append(work(sys.argv[1] if len(sys.argv) > 1 else None, report, stop.is_set))

    # In a thread: a signal is heard in the main one only, and never amid a call into the builder.
    thread = threading.Thread(target=run, name="build")
    thread.start()
    thread.join()
    return codes[0] if codes else FAILED


if __name__ == "__main__":
    sys.exit(main())
