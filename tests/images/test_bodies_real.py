"""Bodies on a connection: in any pieces, with requests behind them, refused."""

from __future__ import annotations

import json
from io import BufferedReader
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from tests.images.conftest import Start
from tests.images.detector_side import Detector, refused
from tests.images.loading import JPEG
from tests.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.runtimes, pytest.mark.timeout(300)]


def test_a_body_in_any_pieces_and_a_request_right_behind_it(detector: Detector) -> None:
    """What the server reads past its parser ends where the body ends."""
    images = np.full((4, 3, 64, 64), 0.45, np.float32)
    images[2, :, 16:32, 16:32] = [[[1.0]], [[0.0]], [[0.0]]]
    asked, length = binary_request(images)
    live = b"GET /healthz HTTP/1.1\r\nHost: detector\r\n\r\n"
    cuts: list[list[int]] = [[], [1], [len(asked) - 1], [len(asked)], [len(asked) - 100_000]]
    cuts += [list(range(0, len(asked), 7001)), [length - 1, length, length + 1]]
    with detector.connect() as connection:
        file = connection.makefile("rb")
        for cut in cuts:
            whole = asked + live
            for start, end in pairwise([0, *cut, len(whole)]):
                connection.sendall(whole[start:end])
            body = answered(file)
            made = np.frombuffer(body[-4 * 4 * 7 * 64 :], np.float32).reshape(4, 7, 64)
            assert [int((each[4] > 0.9).sum()) for each in made] == [0, 0, 4, 0]
            assert answered(file) == b'{"live": true}'
    with detector.connect() as connection:
        connection.sendall(asked[: len(asked) // 2])
    gone = 'detector_request_seconds_count{route="/v2/models/{model}/infer",status="499"}'
    wait_until(lambda: detector.metric(gone) == 1)
    assert detector.detect(JPEG.read_bytes()).status == 200


def test_a_head_right_behind_a_body_is_counted_from_its_own_begin(detector: Detector) -> None:
    body = b"186a0\r\n" + bytes(100_000) + b"\r\n0\r\n\r\n"
    asked = (
        b"POST /v1/detect HTTP/1.1\r\nHost: detector\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    )
    with detector.connect() as connection:
        file = connection.makefile("rb")
        connection.sendall(asked + b"GET /healthz HT")
        assert file.readline() == b"HTTP/1.1 400 Bad Request\r\n"
        headers = dict(each.split(b": ") for each in iter(lambda: file.readline().strip(), b""))
        assert b"image.not_jpeg" in file.read(int(headers[b"content-length"]))
        connection.sendall(b"TP/1.1\r\nHost: detector\r\n\r\n")
        assert answered(file) == b'{"live": true}'


def test_what_comes_behind_a_body_that_is_refused_has_no_answer(start_detector: Start) -> None:
    detector = start_detector(environment={"DETECTOR_BODY_LIMIT_BYTES": "10"})
    detector.wait_ready()
    said = refused(
        detector, b"Content-Length: 11\r\n\r\n" + bytes(11) + b"GET /healthz HTTP/1.1\r\n\r\n"
    )
    assert said.count(b"HTTP/1.1") == 1
    assert b" 413 " in said
    assert not [line for line in detector.messages() if "Exception" in line]


def binary_request(images: npt.NDArray[np.float32]) -> tuple[bytes, int]:
    """The whole request, and where in it the tensor begins."""
    tensor = {
        "name": "images",
        "shape": list(images.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": images.nbytes},
    }
    said = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    words = json.dumps(said).encode()
    lines = (
        "POST /v2/models/detector/infer HTTP/1.1",
        "Host: detector",
        f"Content-Length: {len(words) + images.nbytes}",
        f"Inference-Header-Content-Length: {len(words)}",
    )
    head = "\r\n".join([*lines, "", ""]).encode() + words
    return head + images.tobytes(), len(head)


def answered(file: BufferedReader) -> bytes:
    """The body of the next answer, which is 200."""
    assert file.readline() == b"HTTP/1.1 200 OK\r\n"
    headers = dict(each.split(b": ") for each in iter(lambda: file.readline().strip(), b""))
    return file.read(int(headers[b"content-length"]))
