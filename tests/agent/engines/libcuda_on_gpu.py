"""worker.py's libcuda layer against a real driver: `python tests/agent/engines/libcuda_on_gpu.py`.

Standard library, worker.py and files of tests/ alone. It takes at most 1 GiB of the first visible
GPU and gives it back. Ends with 0 (all held), 1 (something did not) or 2 (there is no GPU here:
loudly nothing was tested).
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MIB = 1024 * 1024


def load_worker() -> Any:
    """worker.py as a module, wherever this runs."""
    path = Path(__file__).resolve().parents[3] / "agent" / "engines" / "worker.py"
    spec = importlib.util.spec_from_file_location("worker", path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules["worker"] = module
    spec.loader.exec_module(module)
    return module


worker = load_worker()


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def refused(*names: str) -> Iterator[None]:
    """The block must end in a CudaError of one of these names."""
    try:
        yield
    except worker.CudaError as error:
        say(f"    as it should: {error}")
        told = error
    else:
        raise AssertionError(f"not refused: {names}")
    if told.name not in names:
        raise told


def what_it_is(driver: Any) -> None:
    device = driver.device()
    say(f"    {device}")
    major, minor = device["compute_capability"].split(".")
    assert int(major) >= 3, device
    assert int(minor) >= 0, device
    assert device["multiprocessors"] > 0, device
    assert device["memory_bytes"] > 256 * MIB, device
    assert driver.devices() >= 1


def memory_is_counted(driver: Any) -> None:
    with worker.Gpu.opened(driver) as gpu:
        before, total = gpu.memory()
        with gpu.allocated(512 * MIB) as address:
            assert address
            during, _ = gpu.memory()
        after, _ = gpu.memory()
    say(f"    MiB free: {before // MIB}, {during // MIB} with 512 taken, {after // MIB} after")
    assert abs(total - driver.device()["memory_bytes"]) < 64 * MIB, total
    assert before - during >= 512 * MIB
    assert after > during, "it was not given back"


def bytes_come_back(driver: Any) -> None:
    data = bytes(random.Random(5).getrandbits(8) for _ in range(65521)) * (64 * MIB // 65521)
    with contextlib.ExitStack() as held:
        gpu = held.enter_context(worker.Gpu.opened(driver))
        stream = held.enter_context(gpu.stream())
        start, end = held.enter_context(gpu.event()), held.enter_context(gpu.event())
        address = held.enter_context(gpu.allocated(len(data)))
        back = bytearray(len(data))
        gpu.mark(start, stream)
        gpu.put(address, data, stream)
        gpu.get(address, back, stream)
        gpu.mark(end, stream)
        gpu.finish(stream)
        took = gpu.milliseconds(start, end)
    say(f"    {len(data) // MIB} MiB there and back in {took:.3f} ms")
    assert bytes(back) == data
    assert took > 0


def a_part_of_memory(driver: Any) -> None:
    with contextlib.ExitStack() as held:
        gpu = held.enter_context(worker.Gpu.opened(driver))
        stream = held.enter_context(gpu.stream())
        address = held.enter_context(gpu.allocated(4096))
        gpu.put(address, bytes(4096), stream)
        gpu.put(address + 1000, b"roost", stream)
        back = bytearray(8)
        gpu.get(address + 999, back, stream)
        gpu.finish(stream)
    assert bytes(back) == b"\0roost\0\0", back


def too_much_memory(driver: Any) -> None:
    total = driver.device()["memory_bytes"]
    with (
        refused("CUDA_ERROR_OUT_OF_MEMORY"),
        worker.Gpu.opened(driver) as gpu,
        gpu.allocated(total * 2),
    ):
        pass


def freed_twice(driver: Any) -> None:
    with (
        refused("CUDA_ERROR_INVALID_VALUE"),
        worker.Gpu.opened(driver) as gpu,
        gpu.allocated(4096) as address,
    ):
        driver.call("cuMemFree_v2", ctypes.c_uint64(address))


def an_event_that_never_was(driver: Any) -> None:
    with (
        refused("CUDA_ERROR_INVALID_HANDLE"),
        worker.Gpu.opened(driver) as gpu,
        gpu.event() as start,
        gpu.event() as end,
    ):
        gpu.milliseconds(start, end)


def a_copy_from_nowhere(driver: Any) -> None:
    with (
        refused("CUDA_ERROR_INVALID_VALUE", "CUDA_ERROR_ILLEGAL_ADDRESS"),
        worker.Gpu.opened(driver) as gpu,
        gpu.stream() as stream,
    ):
        gpu.get(4096, bytearray(16), stream)
        gpu.finish(stream)


def a_device_that_is_not_there(driver: Any) -> None:
    with refused("CUDA_ERROR_INVALID_DEVICE"):
        driver.device(driver.devices())


def no_context(driver: Any) -> None:
    with worker.Gpu.opened(driver) as gpu:
        pass
    with refused("CUDA_ERROR_INVALID_CONTEXT", "CUDA_ERROR_CONTEXT_IS_DESTROYED"):
        gpu.memory()


def nothing_stays_behind(driver: Any) -> None:
    """Errors in the midst of a run, again and again: the free memory stays what it was."""
    with worker.Gpu.opened(driver) as gpu:
        before, _ = gpu.memory()
        for _ in range(50):
            with contextlib.suppress(RuntimeError), contextlib.ExitStack() as held:
                held.enter_context(gpu.stream())
                held.enter_context(gpu.event())
                held.enter_context(gpu.allocated(256 * MIB))
                raise RuntimeError
        after, _ = gpu.memory()
    say(f"    MiB free: {before // MIB} before, {after // MIB} after 50 runs of 256")
    assert before - after < 256 * MIB


def a_driver_that_has_no_such_call(driver: Any) -> None:
    with refused("not found"):
        driver.call("cuOfNextYear")


def a_graph_runs_again(driver: Any) -> None:
    """What is captured does not run; launched it does, each time anew."""
    size, wrote = 4096, b"\x5a" * 4096
    with contextlib.ExitStack() as held:
        gpu = held.enter_context(worker.Gpu.opened(driver))
        stream = held.enter_context(gpu.stream())
        first = held.enter_context(gpu.allocated(size))
        second = held.enter_context(gpu.allocated(size))

        def clear() -> None:
            for address in (first, second):
                gpu.put(address, bytes(size), stream)
            gpu.finish(stream)

        def read() -> bytes:
            back = bytearray(size)
            gpu.get(second, back, stream)
            gpu.finish(stream)
            return bytes(back)

        def begin() -> bool:
            on, count = ctypes.c_void_p(stream), ctypes.c_size_t(size)
            there, then = ctypes.c_uint64(first), ctypes.c_uint64(second)
            driver.call("cuMemsetD8Async", there, ctypes.c_ubyte(0x5A), count, on)
            driver.call("cuMemcpyDtoDAsync_v2", then, there, count, on)
            return True

        clear()
        with gpu.graph(stream, begin) as graph:
            assert read() == bytes(size), "it ran while it was captured"
            for time in (1, 2):
                gpu.launch(graph, stream)
                assert read() == wrote, f"launch {time}"
                clear()
                assert read() == bytes(size)
        say(f"    {size} bytes set and copied by a graph, twice")


def what_is_no_graph(driver: Any) -> None:
    """It is said why, and the stream can be used as before."""
    with contextlib.ExitStack() as held:
        gpu = held.enter_context(worker.Gpu.opened(driver))
        stream = held.enter_context(gpu.stream())
        address = held.enter_context(gpu.allocated(16))

        def waits() -> bool:
            gpu.finish(stream)
            return True

        refusals: tuple[tuple[Callable[[], bool], str], ...] = (
            (waits, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"),
            (lambda: False, "could not be begun"),
            (lambda: True, "nothing of it came"),
        )
        for begin, words in refusals:
            told = "captured"
            try:
                with gpu.graph(stream, begin):
                    pass
            except worker.UncapturedError as error:
                told = str(error)
            assert words in told, told
            say(f"    as it should: {told}")
            back = bytearray(16)
            gpu.put(address, b"roost" + bytes(11), stream)
            gpu.get(address, back, stream)
            gpu.finish(stream)
            assert back.startswith(b"roost")


def an_engine_is_tried(driver: Any) -> None:
    """worker.py whole, over both generations of TensorRT's API: recorded, and a copy for an engine.

    See tests/tensorrt_api. What is real here is the GPU: memory, copies, streams, events.
    """
    sizes = {"min": [1, 3, 640, 640], "opt": [4, 3, 640, 640], "max": [8, 3, 640, 640]}
    tensor = ["FLOAT", [-1, 3, 640, 640]]
    model = {"inputs": {"images": tensor}, "outputs": {"same": tensor}, "layers": []}
    put_in = worker.input_bytes("images", "float", sizes["opt"], None)
    for version in ("8.4.0", "10.13.3.9"):
        with tempfile.TemporaryDirectory() as folder:
            events = run_worker(Path(folder), version, model, sizes)
        checked = next(event for event in events if event["event"] == "checked")
        latencies = [
            (each["batch"], each["p50_ms"], each["p99_ms"]) for each in checked["latencies"]
        ]
        graphs = [
            (each["batch"], each.get("graph", each)["p50_ms"]) for each in checked["latencies"]
        ]
        memory = {name: size // MIB for name, size in checked["gpu_memory"].items()}
        say(f"    as {version}: (batch, p50, p99 ms) {latencies}, MiB {memory}")
        say(f"    as CUDA graphs: (batch, p50 ms) {graphs}")
        assert checked["state"] == "ran", checked
        assert all(each["graph"]["p50_ms"] > 0 for each in checked["latencies"]), checked
        assert [batch for batch, _, _ in latencies] == [4, 1, 8]
        assert all(0 < p50 <= p99 for _, p50, p99 in latencies)
        (output,) = checked["outputs"]
        assert output["sha256"] == hashlib.sha256(put_in).hexdigest(), "other bytes came back"
        assert checked["gpu_memory"]["engine_bytes"] >= 2 * 8 * 3 * 640 * 640 * 4


def run_worker(
    folder: Path, version: str, model: dict[str, Any], sizes: dict[str, list[int]]
) -> list[dict[str, Any]]:
    """Its events, when it went well."""
    tests = Path(__file__).resolve().parents[2]
    (folder / "model.onnx").write_text(json.dumps(model))
    unset = ("workspace_bytes", "optimization_level", "hardware_compatibility")
    job = {
        "onnx": str(folder / "model.onnx"),
        "plan": str(folder / "model.plan"),
        "precision": "model",
        "profiles": [{"images": sizes}],
        "version_compatible": False,
        "compute_capabilities": [],
        "validation": {"cuda_graphs": True},
        **dict.fromkeys(unset),
    }
    (folder / "job.json").write_text(json.dumps(job))
    environment = {
        **os.environ,
        "PYTHONPATH": str(tests / "tensorrt_api" / "fake"),
        "ROOST_TENSORRT_RECORD": str(tests / "data" / "tensorrt_api" / f"{version}.json"),
    }
    command = [sys.executable, "-B", worker.__file__, str(folder / "job.json")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


CHECKS: tuple[Callable[[Any], None], ...] = (
    what_it_is,
    memory_is_counted,
    bytes_come_back,
    a_part_of_memory,
    too_much_memory,
    freed_twice,
    an_event_that_never_was,
    a_copy_from_nowhere,
    a_device_that_is_not_there,
    no_context,
    nothing_stays_behind,
    a_driver_that_has_no_such_call,
    a_graph_runs_again,
    what_is_no_graph,
    an_engine_is_tried,
)


def main() -> int:
    driver, reason = worker.find_gpu()
    if driver is None:
        say(f"NOTHING WAS TESTED: {reason}")
        return 2
    say(f"versions would say: {worker.look_at_gpu()}")
    failed = 0
    for check in CHECKS:
        say(check.__name__)
        try:
            check(driver)
        except Exception:  # noqa: BLE001 - the other checks are told, too
            failed += 1
            say(f"  FAILED\n{traceback.format_exc()}")
    say(f"{len(CHECKS) - failed} of {len(CHECKS)} held")
    return 1 if failed else 0


if __name__ == "__main__":
    # CUDA orders devices as nvidia-smi does, so that "the first" is one that can be looked up.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    sys.exit(main())
