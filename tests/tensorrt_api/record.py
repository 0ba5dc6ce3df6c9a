"""Record the names and signatures of TensorRT's Python bindings, out of their wheels.

    pip download --no-deps --only-binary :all: -d /tmp/wheels tensorrt-cu12-bindings==11.4.0.106
    python -m tests.tensorrt_api.record /tmp/wheels/*.whl

TensorRT-RTX is recorded from the wheel that is installed for the tests, without an argument.

The bindings want TensorRT's libraries, which are not in these wheels. They are loaded over empty
libraries of the same names, in a process of its own, which is enough to ask them for their
docstrings and for nothing else. TensorRT 8.4 has no such wheel: its record is 8.6's, with only
those names that the bindings' own source and 8.4's list of new functions have.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "data" / "tensorrt_api"
# What worker.py could come to use; layers' own classes are left out.
CLASSES = (
    *("Builder", "IBuilderConfig", "INetworkDefinition", "ITensor", "ILayer"),
    *("IOptimizationProfile", "OnnxParser", "ParserError", "IHostMemory", "Runtime"),
    *("ICudaEngine", "IExecutionContext", "ITimingCache", "ILogger", "IProgressMonitor"),
    *("IInt8EntropyCalibrator2", "IInt8MinMaxCalibrator", "IInt8EntropyCalibrator"),
    *("IInt8LegacyCalibrator", "IRuntimeConfig", "IRuntimeCache"),
)
ENUMS = (
    *("BuilderFlag", "NetworkDefinitionCreationFlag", "MemoryPoolType", "DataType"),
    *("TensorIOMode", "TensorLocation", "TensorFormat", "LayerType", "ErrorCode"),
    *("HardwareCompatibilityLevel", "ComputeCapability", "EngineInvalidityDiagnostics"),
    *("OnnxParserFlag", "DeviceType"),
)
FUNCTIONS = ("init_libnvinfer_plugins",)

ASK = """
import importlib, json, re, sys
sys.path.insert(0, sys.argv[1])
module, classes, enums, functions = json.loads(sys.argv[2])
trt = importlib.import_module(module)

def signatures(function):
    lines = [line.strip() for line in (function.__doc__ or "").splitlines()]
    own = r"([0-9]+[.] )?(?=%s[(])" % function.__name__
    found = [re.sub(own, "", line, count=1) for line in lines if re.match(own, line)]
    found = [line for line in found if line != "%s(*args, **kwargs)" % function.__name__]
    return [line.replace(module + ".", "") for line in found]

def described(kind):
    methods, properties = {}, []
    for name in dir(kind):
        thing = getattr(kind, name)
        if name.startswith("_") and name != "__init__":
            continue
        if name.startswith("add_") and kind is trt.INetworkDefinition:
            continue
        if isinstance(thing, property):
            properties.append(name)
        elif callable(thing) and not isinstance(thing, type):
            methods[name] = signatures(thing)
    return {"methods": methods, "properties": properties}

def members(kind):
    return {name: int(value) for name, value in kind.__members__.items()}

told = {
    "classes": {name: described(getattr(trt, name)) for name in classes if hasattr(trt, name)},
    "enums": {name: members(getattr(trt, name)) for name in enums if hasattr(trt, name)},
    "functions": {name: signatures(getattr(trt, name)) for name in functions if hasattr(trt, name)},
}
told["enums"]["ILogger.Severity"] = members(trt.ILogger.Severity)
print(json.dumps(told))
"""

# TensorRT 8.4. The first source has 8.2's names, the second those that 8.4 added.
SOURCES_8_4 = (
    "the bindings' source in NVIDIA/TensorRT, python/src, commit 052281f0ab79 (8.2)",
    "the API reference of TensorRT 8.4.0, 'API Changes For TensorRT 8.4.0 EA'",
)
NOT_IN_8_4: dict[str, str] = {
    "IExecutionContext": r".*_tensor_.*|set_tensor_.*|get_tensor_.*|infer_shapes|set_input_shape"
    r"|execute_async_v3|.*_input_consumed_event|.*_output_allocator|get_max_output_size"
    r"|temporary_allocator|persistent_cache_limit|nvtx_verbosity|set_aux_streams",
    "ICudaEngine": r".*tensor.*|num_io_tensors|is_shape_inference_io|hardware_compatibility_level"
    r"|num_aux_streams",
    "IBuilderConfig": r".*preview_feature|builder_optimization_level|max_aux_streams"
    r"|hardware_compatibility_level|plugins_to_serialize",
    "Runtime": r"engine_host_code_allowed|load_runtime|tempfile_control_flags|temporary_directory"
    r"|get_plugin_registry",
    "Builder": r"get_plugin_registry",
    "OnnxParser": r".*flag.*|get_used_vc_plugin_libraries",
    "BuilderFlag": r"FP8|VERSION_COMPATIBLE|EXCLUDE_LEAN_RUNTIME|ENABLE_TACTIC_HEURISTIC",
    "DataType": r"FP8|UINT8",
    "MemoryPoolType": r"TACTIC_DRAM",
}
NEWER_THAN_8_4 = ("TensorIOMode", "HardwareCompatibilityLevel", "OnnxParserFlag")


def record(wheel: Path) -> dict[str, Any]:
    """What a wheel of bindings has, and where that is from."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        bindings = folder / "tensorrt_bindings" / "tensorrt.so"
        _empty_libraries(bindings, folder)
        # Its own __init__ looks for more than is asked for here.
        (bindings.parent / "__init__.py").write_text("")
        told = _ask("tensorrt_bindings.tensorrt", folder)
    name, version = wheel.name.split("-")[:2]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    source = f"wheel {name} {version}, {wheel.name}, sha256 {digest}"
    return {"flavour": "tensorrt", "version": version, "sources": [source], **told}


def record_installed() -> dict[str, Any]:
    """TensorRT-RTX, as it is installed here with all its libraries."""
    version = importlib.metadata.version("tensorrt-rtx")
    with tempfile.TemporaryDirectory() as empty:
        told = _ask("tensorrt_rtx_bindings.tensorrt_rtx", Path(empty))
    source = f"the package tensorrt-rtx {version}, as pip installs it"
    return {"flavour": "tensorrt_rtx", "version": version, "sources": [source], **told}


def _ask(module: str, folder: Path) -> dict[str, Any]:
    asked = json.dumps([module, CLASSES, ENUMS, FUNCTIONS])
    code = ASK
    if module.startswith("tensorrt_rtx"):  # its package loads its libraries
        code = "import tensorrt_rtx\n" + ASK
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), asked],
        env={**os.environ, "LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _empty_libraries(bindings: Path, folder: Path) -> None:
    """Every function that the bindings want, each of which answers 0."""
    wanted = _lines("nm", "-D", "--undefined-only", bindings)
    names = [line.split()[-1] for line in wanted if " U " in line and "@" not in line]
    source = folder / "empty.c"
    known = {"dlopen", "dlsym", "dlclose"}
    source.write_text(
        "".join(
            f"long {name}(void) {{ return 0; }}\n"
            for name in names
            if name not in known and not name.startswith(("Py", "_Py"))
        )
    )
    for line in _lines("readelf", "-d", bindings):
        if match := re.search(r"NEEDED.*\[(libnv[^]]+)\]", line):
            soname = match[1]
            command = ["gcc", "-w", "-fno-builtin", "-shared", "-fPIC", f"-Wl,-soname,{soname}"]
            subprocess.run([*command, "-o", folder / soname, source], check=True)


def _lines(*command: str | Path) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def as_8_4(newer: dict[str, Any]) -> dict[str, Any]:
    """8.6's record without what 8.4 did not have."""

    def kept(kind: str, name: str) -> bool:
        pattern = NOT_IN_8_4.get(kind)
        return pattern is None or not re.fullmatch(pattern, name)

    classes = {
        kind: {
            "methods": {name: lines for name, lines in has["methods"].items() if kept(kind, name)},
            "properties": [name for name in has["properties"] if kept(kind, name)],
        }
        for kind, has in newer["classes"].items()
    }
    enums = {
        kind: {name: value for name, value in members.items() if kept(kind, name)}
        for kind, members in newer["enums"].items()
        if kind not in NEWER_THAN_8_4
    }
    sources = [*newer["sources"], *SOURCES_8_4]
    return {**newer, "version": "8.4.0", "sources": sources, "classes": classes, "enums": enums}


def main() -> None:
    DATA.mkdir(parents=True, exist_ok=True)
    if not sys.argv[1:]:
        _write(record_installed())
    for wheel in map(Path, sys.argv[1:]):
        told = record(wheel)
        _write(told)
        if told["version"].startswith("8.6"):
            _write(as_8_4(told))


def _write(told: dict[str, Any]) -> None:
    rtx = "rtx-" if told["flavour"] == "tensorrt_rtx" else ""
    path = DATA / f"{rtx}{told['version']}.json"
    path.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
