"""A recorded surface, not TensorRT: the names and signatures of one version, and a toy behind them.

What the record (ROOST_TENSORRT_RECORD, see tests/tensorrt_api/record.py) does not have is not
there, and calls with other arguments than it has are TypeErrors, as with pybind11. Behind it:
"ONNX" files, or FILE.toy beside them, are JSON ({"inputs": {name: [type, shape]}, "outputs": ...,
"layers": [...]}), plans begin as real ones do and then have JSON, and an engine copies its first
input to each output: through the kernel of tests/libcuda_stub, 1 ms for an item, or on a GPU if
there is one (libcuda_on_gpu.py). It proves that
worker.py uses names and arguments that exist; it proves nothing about what TensorRT then does.
"""

# What stands for a module in C++ is made at run time and has no types to check; it runs on Python
# 3.8, and the names of its arguments are TensorRT's.
# mypy: ignore-errors
# ruff: noqa: A002, ARG005, B905, PTH110, PTH123, UP031

import ctypes
import json
import os
import time

from recorded import ENUMS, RECORD, kind_of

__version__ = RECORD["version"]
VERSION = [*map(int, RECORD["version"].split(".")), 0][:4]
globals().update((name, getattr(ENUMS, name)) for name in RECORD["enums"] if "." not in name)

# The logger, and what users derive from.

ILogger = kind_of("ILogger", {"log": lambda self, severity, msg: None})
ILogger.Severity = ENUMS.Severity
for _each in ENUMS.Severity:
    setattr(ILogger, _each.name, _each)
for _name in ("EntropyCalibrator2", "MinMaxCalibrator", "EntropyCalibrator", "LegacyCalibrator"):
    _kind = kind_of("IInt8" + _name, {})
    if _kind is not None:
        globals()["IInt8" + _name] = _kind
_kind = kind_of("IProgressMonitor", {})
if _kind is not None:
    IProgressMonitor = _kind


def init_libnvinfer_plugins(logger, namespace):
    return True


# Networks.


def _tensor(name, described):
    made = ITensor()
    made.name, made.shape = name, tuple(described[1])
    made.dtype = getattr(ENUMS.DataType, described[0])
    made.is_shape_tensor = name.startswith("host")
    return made


ITensor = kind_of("ITensor", {})
ILayer = kind_of("ILayer", {"get_output": lambda self, index: self._output})


def _layer(kind, dtype):
    made = ILayer()
    made.type, made.name, made.num_outputs = getattr(ENUMS.LayerType, kind), kind, 1
    made._output = _tensor("output", [dtype, [1]])
    return made


INetworkDefinition = kind_of(
    "INetworkDefinition",
    {
        "get_input": lambda self, index: self._inputs[index],
        "get_output": lambda self, index: self._outputs[index],
        "get_layer": lambda self, index: self._layers[index],
        "num_inputs": property(lambda self: len(self._inputs)),
        "num_outputs": property(lambda self: len(self._outputs)),
        "num_layers": property(lambda self: len(self._layers)),
    },
)


def _parser(self, network, logger):
    self._network, self._errors = network, []


def _parse_from_file(self, *arguments, **named):
    (path,) = [*arguments, *named.values()]
    toy = path + ".toy"  # beside an ONNX that is one
    with open(toy if os.path.exists(toy) else path) as file:
        model = json.load(file)
    if "error" in model:
        error = ParserError()
        error._says = model["error"]
        self._errors.append(error)
        return False
    network = self._network
    network._model = model
    network._inputs = [_tensor(name, each) for name, each in model["inputs"].items()]
    network._outputs = [_tensor(name, each) for name, each in model["outputs"].items()]
    network._layers = [_layer(*each) for each in model["layers"]]
    return True


OnnxParser = kind_of(
    "OnnxParser",
    {
        "set_flag": lambda self, flag: self._network._parser_flags.append(flag.name),
        "__init__": _parser,
        "parse_from_file": _parse_from_file,
        "get_error": lambda self, index: self._errors[index],
        "num_errors": property(lambda self: len(self._errors)),
    },
)
ParserError = kind_of(
    "ParserError",
    {
        "node": lambda self: self._says.get("node", -1),
        "desc": lambda self: self._says["desc"],
        "code": lambda self: next(iter(ENUMS.ErrorCode)),
        "node_name": lambda self: self._says.get("name", ""),
        "node_operator": lambda self: self._says.get("operator", ""),
    },
)


# Building.


def _set_shape(self, input, min, opt, max):
    self._shapes[input] = [list(min), list(opt), list(max)]


def _set_values(self, input, min, opt, max):
    self._values[input] = [min, opt, max]


def _profile(self):
    self._shapes, self._values = {}, {}


IOptimizationProfile = kind_of(
    "IOptimizationProfile",
    {"__init__": _profile, "set_shape": _set_shape, "set_shape_input": _set_values},
)


class _Memory(bytes):
    """IHostMemory: pybind11 gives it the buffer protocol, which a class in Python cannot have."""

    @property
    def nbytes(self):
        return len(self)


def _timing_cache(version, entries):
    made = ITimingCache()
    made._version, made._entries = version, sorted(entries)
    return made


def _create_timing_cache(self, serialized_timing_cache):
    data = bytes(serialized_timing_cache)
    if not data:
        return _timing_cache(__version__, [])
    known = json.loads(data)
    return _timing_cache(known["version"], known["entries"])


def _set_timing_cache(self, cache, ignore_mismatch):
    if cache._version != __version__:
        return False
    self._timing = cache
    return True


def _combine(self, input_cache, ignore_mismatch):
    if input_cache._version != self._version:
        return False
    self._entries = sorted({*self._entries, *input_cache._entries})
    return True


ITimingCache = kind_of(
    "ITimingCache",
    {
        "serialize": lambda self: _Memory(
            json.dumps({"version": self._version, "entries": self._entries}).encode()
        ),
        "combine": _combine,
    },
)


def _config(self):
    self._flags, self._pools, self._timing = set(), {}, None
    self._profiles, self._values = [], []


def _add_profile(self, profile):
    self._profiles.append(profile._shapes)
    self._values.append(profile._values)
    return len(self._profiles) - 1


IBuilderConfig = kind_of(
    "IBuilderConfig",
    {
        "__init__": _config,
        "set_flag": lambda self, flag: self._flags.add(flag.name),
        "set_compute_capability": lambda self, compute_capability, index: True,
        "get_flag": lambda self, flag: flag.name in self._flags,
        "set_memory_pool_limit": lambda self, pool, pool_size: self._pools.update(
            {pool.name: pool_size}
        ),
        "add_optimization_profile": _add_profile,
        "create_timing_cache": _create_timing_cache,
        "set_timing_cache": _set_timing_cache,
        "get_timing_cache": lambda self: self._timing,
    },
)


def _builder(self, logger):
    self._logger = logger


def _create_network(self, flags=0):
    made = INetworkDefinition()
    made._flags, made._inputs, made._outputs, made._layers = flags, [], [], []
    made._parser_flags = []
    return made


def _build(self, network, config):
    monitor = getattr(config, "progress_monitor", None)
    if monitor is not None:
        monitor.phase_start("Building", None, 4)
        for step in range(4):
            if not monitor.step_complete("Building", step):
                return None
        monitor.phase_finish("Building")
    for number in range(network._model.get("says", 0)):
        self._logger.log(ILogger.WARNING, "%05d" % number * 2000)
    os.write(1, b"what a library prints\n" * network._model.get("prints", 0))
    time.sleep(network._model.get("sleeps", 0))
    calibrator = getattr(config, "int8_calibrator", None)
    told = None
    if calibrator is not None:
        calibrator.get_batch_size()
        cached = calibrator.read_calibration_cache()
        told = bytes(cached).decode()
        calibrator.write_calibration_cache(cached)
    for said in network._model.get("fails_to_build", []):
        self._logger.log(ILogger.ERROR, said)
    if "fails_to_build" in network._model:
        return None
    if "meanwhile" in network._model:
        path, text = network._model["meanwhile"]
        with open(path, "w") as file:
            file.write(text)
    if config._timing is not None:
        config._timing._entries.append(network._model.get("timed", "convolution"))
    made = {
        "model": network._model,
        "profiles": config._profiles,
        "values": config._values,
        "network_flags": int(network._flags or 0),
        "flags": sorted(config._flags),
        "pools": config._pools,
        "parser_flags": network._parser_flags,
        "calibration": told,
        "dla": [config.default_device_type.name, config.DLA_core]
        if config.default_device_type is not None
        else None,
        "level": getattr(config, "builder_optimization_level", None),
    }
    body = json.dumps(made).encode()
    magic = {"tensorrt": b"ftrt", "tensorrt_rtx": b"vtrt"}[RECORD["flavour"]]
    return _Memory(magic + bytes(20) + bytes(VERSION) + len(body).to_bytes(4, "little") + body)


Builder = kind_of(
    "Builder",
    {
        "__init__": _builder,
        "create_network": _create_network,
        "create_builder_config": lambda self: IBuilderConfig(),
        "create_optimization_profile": lambda self: IOptimizationProfile(),
        "build_serialized_network": _build,
        "num_DLA_cores": property(
            lambda self: int(os.environ.get("ROOST_TENSORRT_DLA_CORES", "0"))
        ),
    },
)


# Running.


def _runtime(self, logger):
    self._logger = logger


def _deserialize(self, serialized_engine):
    data = bytes(serialized_engine)
    if list(data[24:28]) != VERSION:
        words = "toy: expecting library version %s got %s" % (list(data[24:28]), VERSION)
        self._logger.log(ILogger.ERROR, words)
        return None
    plan = json.loads(data[32:])
    if plan["model"].get("unfit"):
        self._logger.log(ILogger.ERROR, plan["model"]["unfit"])
        return None
    if plan["dla"] is not None and plan["dla"][1] != self.DLA_core:
        words = "toy: it is for DLA core %d" % plan["dla"][1]
        self._logger.log(ILogger.ERROR, words)
        return None
    engine = ICudaEngine()
    engine._plan = plan
    engine._logger = self._logger
    engine._tensors = {**plan["model"]["inputs"], **plan["model"]["outputs"]}
    engine._names = list(engine._tensors)
    engine.num_optimization_profiles = max(len(plan["profiles"]), 1)
    return engine


def _validity(self, buffer):
    found = ENUMS.EngineInvalidityDiagnostics
    fits = list(bytes(buffer)[24:28]) == VERSION
    return (0 if fits else 2, 0 if fits else int(found.VERSION_MISMATCH))


Runtime = kind_of(
    "Runtime",
    {
        "__init__": _runtime,
        "deserialize_cuda_engine": _deserialize,
        "get_engine_validity": _validity,
    },
)


def _is_input(engine, which):
    name = which if isinstance(which, str) else engine._names[which % len(engine._names)]
    return name in engine._plan["model"]["inputs"]


def _of(engine, which):
    return engine._tensors[which if isinstance(which, str) else engine._names[which]]


def _ranges(engine, which, profile):
    name = which if isinstance(which, str) else engine._names[which]
    return [tuple(shape) for shape in engine._plan["profiles"][profile][name]]


def _context(self, *arguments):
    made = IExecutionContext()
    made._engine, made._shapes, made._addresses, made._profile = self, {}, {}, 0
    return made


def _fill(self, blob):
    self._data = bytes(blob)
    return self._data.startswith(b"compiled")


def _runtime_cache(self):
    made = IRuntimeCache()
    made._data = b""
    return made


def _use_cache(self, cache=None):
    cache._data += b"compiled "
    return True


IRuntimeCache = kind_of(
    "IRuntimeCache",
    {"deserialize": _fill, "serialize": lambda self: _Memory(self._data)},
)
IRuntimeConfig = kind_of(
    "IRuntimeConfig",
    {"create_runtime_cache": _runtime_cache, "set_runtime_cache": _use_cache},
)
ICudaEngine = kind_of(
    "ICudaEngine",
    {
        "create_runtime_config": lambda self: IRuntimeConfig(),
        "create_execution_context": _context,
        "num_io_tensors": property(lambda self: len(self._names)),
        "get_tensor_name": lambda self, index: self._names[index],
        "get_tensor_mode": lambda self, name: (
            ENUMS.TensorIOMode.INPUT if _is_input(self, name) else ENUMS.TensorIOMode.OUTPUT
        ),
        "get_tensor_location": lambda self, name: (
            ENUMS.TensorLocation.HOST if name.startswith("host") else ENUMS.TensorLocation.DEVICE
        ),
        "get_tensor_format": lambda self, *which: ENUMS.TensorFormat.LINEAR,
        "get_tensor_dtype": lambda self, name: getattr(ENUMS.DataType, _of(self, name)[0]),
        "get_tensor_shape": lambda self, name: tuple(_of(self, name)[1]),
        "get_tensor_profile_shape": _ranges,
        "num_bindings": property(lambda self: len(self._names) * self.num_optimization_profiles),
        "get_binding_name": lambda self, index: (
            self._names[index % len(self._names)]
            + (" [profile %d]" % (index // len(self._names)) if index >= len(self._names) else "")
        ),
        "binding_is_input": _is_input,
        "is_shape_binding": lambda self, binding: False,
        "get_binding_format": lambda self, index: ENUMS.TensorFormat.LINEAR,
        "get_binding_dtype": lambda self, which: getattr(ENUMS.DataType, _of(self, which)[0]),
        "get_binding_shape": lambda self, which: tuple(_of(self, which)[1]),
        "get_profile_shape": lambda self, profile_index, binding: _ranges(
            self, binding, profile_index
        ),
    },
)


def _take(context, name, shape):
    engine = context._engine
    if engine._plan["profiles"]:
        least, _, most = engine._plan["profiles"][context._profile][name]
        if not all(low <= size <= high for low, size, high in zip(least, shape, most)):
            return False
    context._shapes[name] = list(shape)
    return True


def _shape(context, name):
    if name in context._shapes:
        return tuple(context._shapes[name])
    first = next(iter(context._shapes.values()), [1])
    return tuple(first[0] if size == -1 else size for size in _of(context._engine, name)[1])


def _select(context, profile_index, stream_handle):
    context._profile, context._shapes = profile_index, {}
    return profile_index < context._engine.num_optimization_profiles


def _run(context, addresses, stream):
    model = context._engine._plan["model"]
    if model.get("fails"):
        context._engine._logger.log(ILogger.ERROR, model["fails"])
        return False
    source = next(iter(model["inputs"]))
    shape = _shape(context, source)
    size = {"FLOAT": 4, "HALF": 2, "INT32": 4}[model["inputs"][source][0]]
    for each in shape:
        size *= each
    library = ctypes.CDLL("libcuda.so.1")
    for name in model["outputs"]:
        places = ctypes.c_uint64(addresses[name]), ctypes.c_uint64(addresses[source])
        copied = ctypes.c_size_t(size)
        if hasattr(library, "stub_kernel"):
            took = ctypes.c_double(shape[0])
            code = library.stub_kernel(*places, copied, took, ctypes.c_void_p(stream))
        else:  # on a real GPU
            code = library.cuMemcpyDtoDAsync_v2(*places, copied, ctypes.c_void_p(stream))
        if code:
            words = "toy: enqueue failed with %d" % code
            context._engine._logger.log(ILogger.ERROR, words)
            return False
    return True


def _run_bindings(self, bindings, stream_handle):
    engine = self._engine
    first = self._profile * len(engine._names)
    return _run(self, dict(zip(engine._names, bindings[first:])), stream_handle)


def _name(context, binding):
    names = context._engine._names
    if binding // len(names) != context._profile:
        raise RuntimeError("toy: binding %d is of another profile" % binding)
    return names[binding % len(names)]


def _set_address(self, name, memory):
    self._addresses[name] = memory
    return True


IExecutionContext = kind_of(
    "IExecutionContext",
    {
        "set_optimization_profile_async": _select,
        "set_input_shape": _take,
        "get_tensor_shape": _shape,
        "set_tensor_address": _set_address,
        "execute_async_v3": lambda self, stream_handle: _run(self, self._addresses, stream_handle),
        "set_binding_shape": lambda self, binding, shape: _take(self, _name(self, binding), shape),
        "get_binding_shape": lambda self, binding: _shape(self, _name(self, binding)),
        "execute_async_v2": _run_bindings,
    },
)
