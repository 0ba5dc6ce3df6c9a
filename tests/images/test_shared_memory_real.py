"""A KServe client whose tensors lie in shared memory with a real container of the detector."""

from __future__ import annotations

import gzip
import json
import subprocess

import pytest

from tests.images.conftest import Start
from tests.images.detector_side import PORT, Detector, in_client_python

pytestmark = [pytest.mark.real, pytest.mark.runtimes, pytest.mark.timeout(300)]


def told_by_client(detector: Detector) -> subprocess.CompletedProcess[str]:
    words = in_client_python(
        detector.engine, "shared_memory_requests.py", f"{detector.address}:{PORT}"
    )
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_a_kserve_client_with_shared_memory(start_detector: Start) -> None:
    detector = start_detector("--ipc=host", environment={"DETECTOR_SHARED_MEMORY_REGIONS": "1"})
    detector.wait_ready()
    done = told_by_client(detector)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "system_shared_memory" in told["server"]["extensions"]
    assert "'/roost-test' cannot be opened: Permission denied" in told["not_ours"]
    assert "'/roost-test' has 101888 bytes, the region ends at 101889" in told["longer"]
    assert "the region 'frames' is registered already" in told["twice"]
    assert "1 regions are registered already" in told["other"]
    assert told["status"] == [
        {"name": "frames", "key": "/roost-test", "offset": 0, "byte_size": 101888}
    ]
    assert told["answer"]["outputs"] == [
        {
            "name": "output0",
            "datatype": "FP32",
            "shape": [2, 7, 64],
            "parameters": {
                "shared_memory_region": "frames",
                "shared_memory_offset": 98304,
                "shared_memory_byte_size": 3584,
            },
        }
    ]
    assert told["red"] == [0, 4]
    assert told["same"]
    assert "[2, 3, 64, 64] of FP32 are 98304 bytes" in told["wrong_size"]
    assert "the file has 4096 bytes by now" in told["cut_off"]
    assert told["live"]
    assert "there is no region 'frames'" in told["gone"]
    assert told["left"] == []
    packed = gzip.compress(b'{"key": "' + bytes(1_000_000) + b'"}')
    path = "/v2/systemsharedmemory/region/frames/register"
    answer = detector.ask("POST", path, packed, {"Content-Encoding": "gzip"})
    assert (answer.status, answer.json["code"]) == (413, "request.too_large")
    assert detector.ready()


def test_shared_memory_is_off_unless_it_is_said(start_detector: Start) -> None:
    detector = start_detector("--ipc=host")
    detector.wait_ready()
    answer = detector.ask(
        "POST",
        "/v2/systemsharedmemory/region/frames/register",
        b'{"key": "/roost-test", "byte_size": 8}',
    )
    assert (answer.status, answer.json["code"]) == (403, "shared_memory.off")
    assert detector.ask("GET", "/v2/systemsharedmemory/status").status == 403
    assert detector.ask("GET", "/v2").json["extensions"] == ["binary_tensor_data"]
