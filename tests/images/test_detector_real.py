"""The detector's image: built, run, asked rightly and wrongly, drained, given another model."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.console.cli.commands import roost
from tests.detector_made import colour_detector
from tests.images.conftest import Start
from tests.images.detector_side import (
    BASE,
    PORT,
    Answer,
    Built,
    Detector,
    build,
    in_client_python,
    refused,
)
from tests.images.loading import JPEG, load
from tests.waiting import wait_until

pytestmark = [pytest.mark.real, pytest.mark.runtimes, pytest.mark.timeout(300)]


RED = JPEG.read_bytes()
MIB = 1024 * 1024
NO_ENGINE = "not taken: tensorrt: ROOST_ENGINE is not set: no engine was handed to this container"


def test_it_is_small_and_the_lock_says_what_is_in_it(detector_image: Built) -> None:
    image = detector_image.image
    assert image["added_bytes"] <= 250 * MIB
    assert image["application_bytes"] <= 200_000
    assert image["diff_ids"][-1] == image["application_diff_id"]
    lock = json.loads((detector_image.images / "image-manifest.lock.json").read_text())["variants"]
    assert lock["cpu"]["image"] == image
    assert lock["cpu"]["base"]["name"] == BASE
    assert lock["cu118"] == {"base": None, "image": None, "why": "nobody has built it yet"}
    listed = detector_image.engine.docker(
        *("run", "--rm", "--entrypoint", "python3", image["tag"], "-c"),
        "from importlib.metadata import distributions as d;"
        "print(*(f'{e.name.lower()}=={e.version}' for e in d(path=['/opt/detector/lib'])))",
    )
    said = {name.replace("-", "_"): version for name, version in image["packages"].items()}
    found = dict(each.replace("-", "_").split("==") for each in listed.split())
    assert found == said
    about = json.loads(detector_image.engine.docker("inspect", image["tag"]))[0]["Config"]
    assert about["User"] == "10001:10001"
    assert about["StopSignal"] == "SIGTERM"
    assert about["Labels"]["org.opencontainers.image.base.name"] == BASE
    assert about["Labels"]["roost.variant"] == "cpu"


def test_its_packages_are_what_dpkg_and_the_lock_say(
    detector_image: Built, short_folder: Path
) -> None:
    engine, tag = detector_image.engine, detector_image.image["tag"]
    archive, file = short_folder / "image.tar", short_folder / "image.json"
    engine.docker("save", "--output", str(archive), tag, seconds=120)
    listed = roost(short_folder, "image", "sbom", archive, "-o", file)
    assert listed.code == 0, listed
    packages = json.loads(file.read_text())["packages"]
    urls = {each["externalRefs"][0]["referenceLocator"] for each in packages[1:]}
    form = r"${db:Status-Status} ${Package} ${Version}\n"
    query = ("run", "--rm", "--entrypoint=dpkg-query", tag, "--show", "--showformat", form)
    lines = [line.split() for line in engine.docker(*query).splitlines()]
    there = {
        f"{quote(name)}@{quote(version, safe='')}"
        for state, name, version in lines
        if state == "installed"
    }
    debs = {url.removeprefix("pkg:deb/debian/").split("?")[0] for url in urls if "/debian/" in url}
    assert debs == there
    assert len(debs) > 50
    locked = detector_image.image["packages"]
    pypi = {url.removeprefix("pkg:pypi/") for url in urls if "pkg:pypi/" in url}
    assert {f"{name.replace('_', '-')}@{version}" for name, version in locked.items()} <= pypi


def test_an_application_change_changes_the_last_layer_alone(detector_image: Built) -> None:
    """Also where nothing is cached, the same tree gives the same layer."""
    before = detector_image.image["diff_ids"]
    source = detector_image.images / "detector" / "server" / "boxes.py"
    text = source.read_text()
    source.write_text(text + "# another line\n")
    try:
        changed = built_again(detector_image)
    finally:
        source.write_text(text)
        source.touch()
    assert changed["diff_ids"][:-1] == before[:-1]
    assert changed["diff_ids"][-1] != before[-1]
    assert changed["tag"] != detector_image.image["tag"]
    anew = built_again(detector_image, "--no-cache")
    assert anew["application_diff_id"] == before[-1]
    assert anew["tag"] == detector_image.image["tag"]


def built_again(built: Built, *more: str) -> dict[str, Any]:
    done = build(built.engine, built.images, "--json", *more)
    assert done.returncode == 0, done.stderr
    image: dict[str, Any] = json.loads(done.stdout)["cpu"]["variant"]["image"]
    return image


def test_another_base_stops_the_build(detector_image: Built) -> None:
    built, lock = detector_image, detector_image.images / "image-manifest.lock.json"
    before = lock.read_bytes()
    document = json.loads(before)
    document["variants"]["cpu"]["base"]["diff_ids"] = ["sha256:" + "0" * 64]
    lock.write_text(json.dumps(document))
    try:
        refused = build(built.engine, built.images)
        assert refused.returncode == 1
        assert f"error: cpu: the base {BASE} is another one: it was" in refused.stderr
        assert "hint: If that is meant: --update-lock" in refused.stderr
        assert json.loads(lock.read_bytes()) == document
        allowed = build(built.engine, built.images, "--update-lock")
        assert allowed.returncode == 0
        assert json.loads(lock.read_bytes()) == json.loads(before)
    finally:
        lock.write_bytes(before)


def test_a_failing_step_is_told(detector_image: Built) -> None:
    done = build(detector_image.engine, detector_image.images, "--python", "3.12")
    assert done.returncode == 1
    assert "a command of the Dockerfile failed (code 1): the base has Python 3.11" in done.stderr
    assert "not built" in done.stdout


def test_it_finds_what_is_there(detector: Detector) -> None:
    answer = detector.detect(RED)
    assert answer.status == 200
    (found,) = answer.json["detections"]
    assert (found["label"], found["class"]) == ("red", 0)
    assert found["score"] > 0.9
    left, top, right, bottom = found["box"]
    # The cells of the model are 25 pixels of this picture.
    assert left < 60
    assert top < 35
    assert right > 90
    assert bottom > 40
    assert (answer.json["width"], answer.json["height"]) == (200, 100)
    assert answer.json["backend"] == "onnx-cpu"
    log = detector.log()
    assert log[0]["message"] == "this image has no CUDA: the model runs on the CPU"
    assert NO_ENGINE in [line["message"] for line in log]
    assert log[-1]["backend"] == "onnx-cpu"
    assert detector.metric('detector_request_seconds_count{route="/v1/detect",status="200"}') == 1
    assert detector.metric("detector_info{") == 1
    wait_until(lambda: health(detector) == "healthy")


def health(detector: Detector) -> str:
    return detector.engine.docker("inspect", "--format", "{{.State.Health.Status}}", detector.name)


def test_a_picture_is_looked_at_as_it_is_shown(detector: Detector) -> None:
    """EXIF says that it lies on its left side, or says nothing that can be understood."""
    tag = b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
    for entries, size in ((b"\x01\x00" + tag, (100, 200)), (b"\xff\xff" + tag, (100, 200))):
        exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + entries + bytes(4)
        segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
        answer = detector.detect(RED[:2] + segment + RED[2:])
        assert (answer.json["width"], answer.json["height"]) == size
        (found,) = answer.json["detections"]
        left, top, right, bottom = found["box"]
        # (50, 25) to (100, 50) lies turned at (50, 50) to (75, 100).
        assert left < 60 < 65 < right
        assert top < 60 < 90 < bottom
    broken = b"Exif\x00\x00II*\x00\xff\xff\xff\xff"
    segment = b"\xff\xe1" + (len(broken) + 2).to_bytes(2, "big") + broken
    assert detector.detect(RED[:2] + segment + RED[2:]).json["width"] == 200


def test_a_run_that_does_not_end_is_told(start_detector: Start) -> None:
    detector = start_detector(
        model=colour_detector(size=640, work=12),
        environment={"DETECTOR_MAX_BATCH": "1", "DETECTOR_STUCK_SECONDS": "0.05"},
    )
    detector.wait_ready()
    assert detector.ask("GET", "/healthz").status == 200
    answers: list[Answer] = []
    askers = [
        threading.Thread(target=lambda: answers.append(detector.detect(RED))) for _ in range(8)
    ]
    for asker in askers:
        asker.start()
    wait_until(lambda: detector.ask("GET", "/healthz").status == 503)
    for asker in askers:
        asker.join()
    assert [answer.status for answer in answers] == [200] * 8
    assert detector.ask("GET", "/healthz").json == {"live": True}
    assert detector.ready()


def test_a_kserve_client(detector: Detector) -> None:
    words = in_client_python(detector.engine, "v2_requests.py", f"{detector.address}:{PORT}")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [told[each] for each in ("live", "ready", "model_ready")] == [True, True, True]
    assert told["server"]["extensions"] == ["binary_tensor_data"]
    assert told["model"]["inputs"] == [
        {"name": "images", "datatype": "FP32", "shape": [-1, 3, 64, 64]}
    ]
    for way in ("binary", "json"):
        assert told[way] == {"shape": [2, 7, 64], "red": [0, 4], "id": "seven"}
    assert told["gzip"] == told["deflate"] == [2, 7, 64]
    assert told["beside_each_other"] == [[2, 7, 64]] * 20
    assert "it has no classes to be put in order" in told["classes"]
    assert told["configuration"] == "404: there is no /v2/models/detector/config"
    assert "the input has the shape [1, 3, 32, 32]" in told["wrong_shape"]
    assert "the input is INT32, the model takes FP32" in told["wrong_type"]
    assert "there is no input 'pictures'" in told["wrong_name"]
    assert "there is no model 'other'" in told["wrong_model"]
    assert told["other_ready"] == "False"


def test_what_is_wrong_is_told(start_detector: Start) -> None:
    detector = start_detector(
        environment={"DETECTOR_BODY_SECONDS": "1", "DETECTOR_JSON_LIMIT_BYTES": "1000"}
    )
    detector.wait_ready()
    scan = RED[RED.rindex(b"\xff\xda") : -2]
    for body, code in (
        (RED[:500], "image.damaged"),
        (b"GIF89a", "image.not_jpeg"),
        (RED[:-2] + scan * 100 + RED[-2:], "image.too_many_scans"),
        (of_size(20_000), "image.too_large"),
    ):
        answer = detector.detect(body)
        assert (answer.status, answer.json["code"]) == (400, code)
    for text, code in (
        (b"{", "request.json"),
        (b"[]", "input.count"),
        (
            b'{"inputs":[{"name":"images","datatype":"FP32","shape":[1,3,64,64],"data":[1]}]}',
            "input.size",
        ),
    ):
        answer = detector.ask("POST", "/v2/models/detector/infer", text)
        assert answer.status == 400
        assert answer.json["code"] == code
    answer = detector.ask("POST", "/v2/models/detector/infer", b'{"id": "' + bytes(1000))
    assert (answer.status, answer.json["code"]) == (413, "request.json_too_large")
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/v1/detect", 405)):
        answer = detector.ask(method, path)
        assert (answer.status, answer.json["status"]) == (status, status)
    # As most clients send: all of it, and only then they listen.
    answer = detector.ask("POST", "/v1/detect", bytes(65 * MIB))
    assert (answer.status, answer.json["code"]) == (413, "request.too_large")
    assert taken_of_an_endless_head(detector) < MIB
    huge = refused(detector, b"Content-Length: 1073741824\r\n\r\nsome")
    assert b" 413 " in huge
    assert b'"request.too_large"' in huge
    slow = refused(detector, b"Content-Length: 1000\r\n\r\nsome")
    assert b" 408 " in slow
    assert taken_of_an_endless_body(detector) < 256 * MIB
    assert detector.detect(RED).status == 200


def of_size(side: int) -> bytes:
    """The picture, which says that it is a larger one."""
    frame = RED.index(b"\xff\xc0") + 5
    return RED[:frame] + side.to_bytes(2, "big") * 2 + RED[frame + 4 :]


def taken_of_an_endless_head(detector: Detector) -> int:
    """How much it takes until it cuts the connection."""
    with detector.connect() as connection:
        connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: detector\r\n")
        line, taken = b"X-More: " + bytes(b"a" * 1000) + b"\r\n", 0
        while taken < 64 * MIB:
            try:
                connection.sendall(line * 10)
                # What it answers comes before the end of what we send.
                if connection.recv(1, socket.MSG_DONTWAIT):
                    return taken
            except BlockingIOError:
                pass
            except OSError:
                return taken
            taken += 10 * len(line)
        return taken


def taken_of_an_endless_body(detector: Detector) -> int:
    """How much of 1 GiB, whose length is not said before, it takes until it cuts the connection."""
    with detector.connect() as connection:
        connection.sendall(
            b"POST /v1/detect HTTP/1.1\r\nHost: detector\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"100000\r\n" + bytes(MIB) + b"\r\n"
        for number in range(1024):
            try:
                connection.sendall(chunk)
            except OSError:
                return number * MIB
        return 1024 * MIB


def test_it_waits_for_its_model_and_goes_on_with_the_one_before(start_detector: Start) -> None:
    detector = start_detector(model=b"no model")
    wait_until(lambda: any(each.startswith("no model: ") for each in detector.messages()))
    answer = detector.ask("GET", "/readyz")
    assert (answer.status, answer.json["ready"]) == (503, False)
    assert "onnx-cpu: ONNX Runtime: " in answer.json["reason"]
    assert detector.ask("GET", "/healthz").status == 200
    assert detector.detect(RED).status == 503
    # Who is shown a container's last words is shown why.
    assert "no model: " in detector.messages()[-2]
    assert "503 model.not_ready" in detector.messages()[-1]
    detector.place_model(colour_detector())
    detector.wait_ready()
    first = detector.detect(RED).json["model"]
    # One that is written in place, and looked at in between.
    whole = colour_detector(shift=4.0)
    path = detector.models / "detector.onnx"
    path.write_bytes(whole[: len(whole) // 2])
    stays = "the new model is not taken, the one before stays: "
    wait_until(lambda: any(each.startswith(stays) for each in detector.messages()))
    assert detector.detect(RED).json["model"] == first
    path.write_bytes(whole)
    wait_until(lambda: bool(detector.detect(RED).json["model"] != first))
    assert detector.ready()


def test_a_model_that_may_not_be_read_is_told_until_it_may(start_detector: Start) -> None:
    detector = start_detector(model=b"no model")
    path = detector.models / "detector.onnx"
    path.chmod(0o600)
    path.write_bytes(colour_detector())
    denied = "onnx-cpu: /models/detector.onnx: Permission denied"
    wait_until(lambda: any(each.endswith(denied) for each in detector.messages()))
    path.chmod(0o644)
    detector.wait_ready()


def test_no_request_is_lost_when_the_model_is_replaced(detector: Detector) -> None:
    outcome: dict[str, Any] = {}
    count = 'detector_request_seconds_count{route="/v1/detect"'
    first = detector.detect(RED).json["model"]

    def answered(more: int) -> None:
        before = detector.metric(count)
        wait_until(lambda: detector.metric(count) >= before + more)

    with load(detector, 200, outcome):
        answered(100)
        for shift, size in ((1.0, 64), (2.0, 128), (3.0, 64)):
            switches = detector.metric("detector_model_switches_total")
            detector.place_model(colour_detector(shift=shift, size=size))
            wait_until(
                lambda before=switches: detector.metric("detector_model_switches_total") > before  # type: ignore[misc]  # a default that is a number
            )
            answered(100)
    assert outcome["failed"] == []
    assert outcome["asked"] >= 400
    assert len(outcome["models"]) == 4
    assert first in outcome["models"]


def test_what_was_begun_is_answered_when_it_is_told_to_end(start_detector: Start) -> None:
    detector = start_detector(
        model=colour_detector(size=640, work=12),
        environment={"DETECTOR_MAX_BATCH": "1", "DETECTOR_DRAIN_SECONDS": "60"},
    )
    detector.wait_ready()
    answers: list[Answer] = []
    askers = [
        threading.Thread(target=lambda: answers.append(detector.detect(RED))) for _ in range(12)
    ]
    for asker in askers:
        asker.start()
    wait_until(lambda: detector.metric("detector_queue") >= 2)
    detector.engine.docker("stop", "--time=60", detector.name)
    for asker in askers:
        asker.join()
    assert [answer.status for answer in answers] == [200] * 12
    code = detector.engine.docker("inspect", "--format", "{{.State.ExitCode}}", detector.name)
    assert code == "0"
    assert "ended; all requests that were begun have their answers" in detector.messages()


def test_what_is_not_answered_in_time_is_cut_off_and_told(start_detector: Start) -> None:
    limits = {"DETECTOR_DRAIN_SECONDS": "0.5", "DETECTOR_BODY_SECONDS": "3600"}
    detector = start_detector(environment=limits)
    detector.wait_ready()
    with detector.connect() as connection:
        connection.sendall(b"POST /v1/detect HTTP/1.1\r\nHost: detector\r\n")
        connection.sendall(b"Content-Length: 1000\r\n\r\nsome")
        # Answered on another connection behind it: that one has begun.
        assert detector.detect(RED).status == 200
        detector.engine.docker("kill", "--signal=TERM", detector.name)
        detector.engine.docker("wait", detector.name)
    assert "ended; 1 requests were not answered in time" in detector.messages()


def test_requests_that_come_together_run_together(start_detector: Start) -> None:
    detector = start_detector(model=colour_detector(size=320, work=6))
    detector.wait_ready()
    runs, images = "detector_batch_size_count", "detector_batch_size_sum"
    answers: list[Answer] = []
    askers = [
        threading.Thread(target=lambda: answers.append(detector.detect(RED))) for _ in range(16)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert [answer.status for answer in answers] == [200] * 16
    assert detector.metric(images) == 16
    assert detector.metric(runs) < 16


def test_a_setting_that_is_wrong_ends_it_with_words(start_detector: Start) -> None:
    detector = start_detector(environment={"DETECTOR_MAX_BATCH": "many"})
    assert detector.engine.docker("wait", detector.name) == "2"
    assert detector.messages()[-1] == "DETECTOR_MAX_BATCH is 'many', which is no number"
