"""Asks a detector, and a bare ONNX Runtime beside it: run by `tests.bench.detector`.

python -m tests.bench.detector_client latency|throughput HOST PORT SIZE COUNT [MODEL]
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time

import numpy as np
import onnxruntime as ort

CLIENTS = 16
WARM_UP = 30


class Asker:
    """One connection; each request is one image as a binary tensor."""

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
        self._body = head + self.images.tobytes()
        self._headers = {"Inference-Header-Content-Length": str(len(head))}
        self._connection = http.client.HTTPConnection(host, port, timeout=60)

    def ask(self) -> None:
        """Raises RuntimeError: another answer than 200."""
        self._connection.request("POST", "/v2/models/detector/infer", self._body, self._headers)
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(said[:200].decode(errors="replace"))


def latency(asker: Asker, model: str, count: int) -> dict[str, float]:
    """In turn, so that both have the same machine: milliseconds, the medians."""
    session = ort.InferenceSession(model)
    served, bare = [], []
    for number in range(count + WARM_UP):
        began = time.perf_counter()
        asker.ask()
        between = time.perf_counter()
        session.run(None, {"images": asker.images})
        ended = time.perf_counter()
        if number >= WARM_UP:
            served.append(between - began)
            bare.append(ended - between)
    return {
        "served": float(np.median(served)) * 1e3,
        "bare": float(np.median(bare)) * 1e3,
        "served_best": float(np.min(served)) * 1e3,
    }


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
    what, host, port, size, count, *model = sys.argv[1:]
    askers = [Asker(host, int(port), int(size)) for _ in range(CLIENTS)]
    if what == "latency":
        told = latency(askers[0], model[0], int(count))
    else:
        told = throughput(askers, float(count))
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
