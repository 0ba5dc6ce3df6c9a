"""Asks a detector, and a bare ONNX Runtime beside it: run by `tests.bench.detector`.

detector_client.py latency HOST PORT SIZE COUNT MODEL JPEG SINK_HOST SERVER_PID
detector_client.py throughput HOST PORT SIZE SECONDS
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort

CLIENTS = 16
WARM_UP = 30
SINK_PORT = 8081  # detector_sink.py's
SHARED = Path("/dev/shm/roost-bench")


class Asker:
    """One connection; each request is one image as a binary tensor, as tritonclient sends it."""

    def __init__(self, host: str, port: int, size: int) -> None:
        self.images = np.full((1, 3, size, size), 0.5, np.float32)
        tensor = {
            "name": "images",
            "shape": list(self.images.shape),
            "datatype": "FP32",
            "parameters": {"binary_data_size": self.images.nbytes},
        }
        asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
        head = json.dumps(asked).encode()
        self.body = head + self.images.tobytes()
        self._headers = {"Inference-Header-Content-Length": str(len(head))}
        self._connection = http.client.HTTPConnection(host, port, timeout=60)

    def share(self, path: Path, output: int) -> None:
        """From now on `ask_shared` has its tensors there; the output has so many bytes."""
        size = self.images.nbytes
        path.write_bytes(self.images.tobytes() + bytes(output))
        path.chmod(0o666)
        region = {"key": path.name, "byte_size": size + output}
        where = "/v2/systemsharedmemory/region/bench"
        self._post(f"{where}/register", json.dumps(region).encode(), {})
        given = {
            "name": "images",
            "shape": list(self.images.shape),
            "datatype": "FP32",
            "parameters": {"shared_memory_region": "bench", "shared_memory_byte_size": size},
        }
        lies = {"shared_memory_region": "bench", "shared_memory_offset": size}
        wanted = {"name": "output0", "parameters": lies | {"shared_memory_byte_size": output}}
        self._shared = json.dumps({"inputs": [given], "outputs": [wanted]}).encode()

    def ask_shared(self) -> None:
        """Raises RuntimeError: another answer than 200."""
        self._post("/v2/models/detector/infer", self._shared, {})

    def ask(self) -> int:
        """The length of the answer. Raises RuntimeError: it is another than 200."""
        return self._post("/v2/models/detector/infer", self.body, self._headers)

    def detect(self, jpeg: bytes) -> None:
        """Raises RuntimeError: another answer than 200."""
        self._post("/v1/detect", jpeg, {})

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        self._connection.request("POST", path, body, headers)
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(said[:200].decode(errors="replace"))
        return len(said)


class Mover:
    """One connection to what takes so many bytes and gives so many back, and does nothing else."""

    def __init__(self, host: str, there: bytes, back: int) -> None:
        self._connection = socket.create_connection((host, SINK_PORT), timeout=60)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.sendall(len(there).to_bytes(8, "big") + back.to_bytes(8, "big"))
        self._there, self._back = there, bytearray(back)

    def move(self) -> None:
        self._connection.sendall(self._there)
        rest = memoryview(self._back)
        while rest:
            rest = rest[self._connection.recv_into(rest) :]


def session_of(model: str | bytes) -> ort.InferenceSession:
    """As the server makes it: what turns idly after a run takes time from whatever comes next."""
    options = ort.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model, options)


def latency(
    asker: Asker, count: int, model: str, jpeg: str, sink: str, pid: int
) -> dict[str, float]:
    """All in turn, so that each has the same machine: milliseconds, the medians.

    `beside` and `without_way` are medians of the differences within a turn.
    """
    session, picture = session_of(model), Path(jpeg).read_bytes()
    mover = Mover(sink, asker.body, asker.ask())
    (output,) = session.run(None, {"images": asker.images})
    asker.share(SHARED, output.nbytes)
    work: dict[str, Callable[[], object]] = {
        "served": asker.ask,
        "bare": lambda: session.run(None, {"images": asker.images}),
        "moved": mover.move,
        "shared": asker.ask_shared,
        "detected": lambda: asker.detect(picture),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    cpu = dict.fromkeys(work, 0.0)
    own = 0.0
    for number in range(count + WARM_UP):
        for name, do in work.items():
            before, own_before = processor_seconds(pid), time.process_time()
            began = time.perf_counter()
            do()
            took = time.perf_counter() - began
            if number < WARM_UP:
                continue
            times[name].append(took)
            cpu[name] += processor_seconds(pid) - before
            if name == "bare":
                own += time.process_time() - own_before
    made = {name: np.array(each) * 1e3 for name, each in times.items()}
    told = {name: float(np.median(each)) for name, each in made.items()}
    beside = made["served"] - made["bare"]
    told["beside"] = float(np.median(beside))
    told["without_way"] = float(np.median(beside - made["moved"]))
    told["shared_beside"] = float(np.median(made["shared"] - made["bare"]))
    told["detected_beside"] = float(np.median(made["detected"] - made["bare"]))
    spent = {"server": cpu["served"], "shared": cpu["shared"], "bare": own}
    return told | {f"{name}_cpu": each / count * 1e3 for name, each in spent.items()}


def processor_seconds(pid: int) -> float:
    """What a process took of processors so far, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def throughput(askers: list[Asker], seconds: float) -> dict[str, float]:
    """Answers a second with all of them asking at once."""
    counts = [0] * len(askers)
    ended = threading.Event()

    def work(number: int) -> None:
        while not ended.is_set():
            askers[number].ask()
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(each,)) for each in range(len(askers))]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    ended.set()
    for thread in threads:
        thread.join()
    return {"rate": sum(counts) / (time.perf_counter() - began)}


def main() -> None:
    what, host, port, size, count, *more = sys.argv[1:]
    askers = [Asker(host, int(port), int(size)) for _ in range(CLIENTS)]
    if what == "latency":
        model, jpeg, sink, pid = more
        try:
            told = latency(askers[0], int(count), model, jpeg, sink, int(pid))
        finally:
            SHARED.unlink(missing_ok=True)
    else:
        told = throughput(askers, float(count))
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
