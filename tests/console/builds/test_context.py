"""What a build gets, and the lock of what came out."""

from __future__ import annotations

import io
import json
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError
from agent.rules.tables import built_in
from agent.rules.versions import numbers
from console.builds.context import labels_of, render, write_context
from console.builds.lock import (
    Lock,
    LockedVariant,
    check_base,
    locked_base,
    packages_of,
    read_lock,
    record,
)
from console.builds.matrix import Variant, read_matrix

IMAGES = Path(__file__).parent.parent.parent.parent / "images"
MATRIX = read_matrix(IMAGES / "matrix.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "detector"
    (made / "server").mkdir(parents=True)
    (made / "server" / "one.py").write_text("1\n")
    for left_out in ("__pycache__/one.pyc", ".one.py.swp", "one.py~", ".git/config"):
        (made / "server" / left_out).parent.mkdir(exist_ok=True)
        (made / "server" / left_out).write_text("1\n")
    (made / "Dockerfile").write_bytes((IMAGES / "detector" / "Dockerfile").read_bytes())
    (made / "requirements.txt").write_text(
        "a==1.0 \\\n    --hash=sha256:11\n"
        "b==2.0 ; python_version < '3.11' \\\n    --hash=sha256:22\n"
    )
    return made


VARIANT = Variant(name="cpu", base="b:1", python="3.11", requirements="requirements.txt")


def context_of(folder: Path, variant: Variant = VARIANT) -> tuple[str, dict[str, bytes]]:
    out = io.BytesIO()
    digest = write_context(render(folder, variant), None, out)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        return digest, {
            each.name: file.read() for each in tar if (file := tar.extractfile(each)) is not None
        }


def test_the_same_tree_makes_the_same_bytes(folder: Path) -> None:
    first, _ = context_of(folder)
    os.utime(folder / "server" / "one.py", (1, 1))
    (folder / "server" / "one.py").chmod(0o600)
    assert context_of(folder)[0] == first
    (folder / "server" / "one.py").write_text("2\n")
    assert context_of(folder)[0] != first


def test_what_is_in_it(folder: Path) -> None:
    _, files = context_of(folder)
    assert set(files) == {"Dockerfile", "requirements.txt", "app.tar"}
    assert files["requirements.txt"] == b"a==1.0 --hash=sha256:11\n"
    assert packages_of(files["requirements.txt"]) == {"a": "1.0"}
    with tarfile.open(fileobj=io.BytesIO(files["app.tar"])) as tar:
        entries = tar.getmembers()
    place = "opt/detector/app/detector_server"
    assert [each.name for each in entries] == [
        "opt",
        "opt/detector",
        "opt/detector/app",
        place,
        f"{place}/one.py",
    ]
    assert {(each.mtime, each.uid, each.gid) for each in entries} == {(0, 0, 0)}


def test_a_variant_that_needs_no_package(folder: Path) -> None:
    (folder / "requirements.txt").write_text("a==1.0 ; python_version < '3'\n")
    assert packages_of(render(folder, VARIANT).requirements) == {}


@pytest.mark.parametrize("name", ["Dockerfile", "requirements.txt"])
def test_a_file_that_is_no_text_is_told(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\xff\xfe")
    with pytest.raises(ProblemError) as raised:
        render(folder, VARIANT)
    assert raised.value.code == "build.files"
    assert f"{name}: it is no text" in raised.value.detail


def test_wheels_go_along_and_none_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="no wheels lie there"):
        write_context(render(folder, VARIANT), tmp_path, io.BytesIO())
    (tmp_path / "a-1.0-py3-none-any.whl").write_bytes(b"a")
    out = io.BytesIO()
    write_context(render(folder, VARIANT), tmp_path, out)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        assert tar.getnames()[-2:] == ["wheelhouse", "wheelhouse/a-1.0-py3-none-any.whl"]


def test_a_disk_that_is_full_is_told(folder: Path) -> None:
    with (
        open("/dev/full", "wb", buffering=0) as full,  # noqa: PTH123 - a raw file
        pytest.raises(ProblemError, match="No space left") as raised,
    ):
        write_context(render(folder, VARIANT), None, full)
    assert raised.value.code == "console.unwritable"


@pytest.mark.parametrize("variant", MATRIX.variants, ids=lambda each: each.name)
def test_every_variant_can_be_rendered_and_fits_what_is_known_of_drivers(variant: Variant) -> None:
    rendered = render(IMAGES / MATRIX.folder, variant)
    text = rendered.dockerfile.decode()
    labels = labels_of(variant, rendered, base=variant.base)
    packages = packages_of(rendered.requirements)
    assert {"starlette", "uvicorn", "numpy", "pillow"} <= packages.keys()
    if variant.cuda is None:
        assert "CUDA_VERSION" not in text
        return
    assert f'ENV CUDA_VERSION="{variant.cuda}"' in text
    assert labels["com.nvidia.cuda.version"] == variant.cuda
    tables = built_in()
    major = variant.cuda.split(".")[0]
    if variant.minimum_driver is not None:
        assert variant.minimum_driver == tables.driver_floors[major].driver
    for capability in variant.compute_capabilities:
        row = tables.gpu_architectures[capability]
        first, own = numbers(row.first_cuda), numbers(variant.cuda)
        assert first is not None
        assert own is not None
        assert first <= own
        last = row.last_cuda
        assert last is None or int(last.split(".")[0]) >= int(major)


@pytest.mark.parametrize("variant", MATRIX.variants, ids=lambda each: each.name)
def test_onnx_runtime_is_built_for_the_variant_s_cuda(variant: Variant) -> None:
    """Of the wheels on PyPI 1.19 was the first for CUDA 12, and 1.27 for CUDA 13.

    So say their own metadata: NVIDIA's packages that the extra `cuda` asks for.
    """
    packages = packages_of(render(IMAGES / MATRIX.folder, variant).requirements)
    version = packages.get("onnxruntime-gpu")
    assert (version is None) == (variant.name in ("cpu", "jetson"))
    if version is None or variant.cuda is None:
        return
    minor = int(version.split(".")[1])
    built_for = 13 if minor >= 27 else 12 if minor >= 19 else 11
    assert str(built_for) == variant.cuda.split(".")[0]


def test_a_base_that_changed_is_told(tmp_path: Path) -> None:
    before = image("1", "sha256:" + "a" * 64, "sha256:" + "b" * 64)
    now = image("2", "sha256:" + "a" * 64, "sha256:" + "c" * 64)
    locked = locked_base("b:1", before)
    check_base(locked, before, variant="cpu", name="b:1")
    check_base(None, now, variant="cpu", name="b:1")
    with pytest.raises(ProblemError) as raised:
        check_base(locked, now, variant="cpu", name="b:1")
    assert raised.value.code == "build.base_changed"
    assert "of which the first 1 are the same" in raised.value.detail
    with pytest.raises(ProblemError, match="it was called b:1"):
        check_base(locked, before, variant="cpu", name="c:1")


def image(digit: str, *diff_ids: str) -> NodeImage:
    return NodeImage(id=f"sha256:{digit * 64}", diff_ids=list(diff_ids), size_bytes=10)


def test_the_lock_says_of_each_variant_whether_it_was_built(tmp_path: Path) -> None:
    file = tmp_path / "lock.json"
    assert read_lock(file) == Lock()
    lock = record(file, "cpu", LockedVariant(why="for a test"), MATRIX)
    written = json.loads(file.read_text())["variants"]
    assert list(written) == list(lock.variants) == [each.name for each in MATRIX.variants]
    assert {name: each["why"] for name, each in written.items()} == {
        each.name: "for a test" if each.name == "cpu" else "nobody has built it yet"
        for each in MATRIX.variants
    }
    file.write_text("{")
    with pytest.raises(ProblemError) as raised:
        read_lock(file)
    assert raised.value.code == "build.files"


def test_builds_beside_each_other_keep_what_the_others_wrote(tmp_path: Path) -> None:
    file = tmp_path / "lock.json"

    def build(name: str) -> None:
        for number in range(20):
            lock = record(file, name, LockedVariant(why=f"{name} {number}"), MATRIX)
            assert lock.variants[name].why == f"{name} {number}"

    names = [each.name for each in MATRIX.variants]
    with ThreadPoolExecutor(len(names)) as threads:
        list(threads.map(build, names))
    assert {name: each.why for name, each in read_lock(file).variants.items()} == {
        name: f"{name} 19" for name in names
    }


def test_the_lock_of_the_repository_is_of_this_matrix(tmp_path: Path) -> None:
    file = IMAGES / "image-manifest.lock.json"
    again = tmp_path / "lock.json"
    again.write_bytes(file.read_bytes())
    record(again, "cpu", read_lock(file).variants["cpu"], MATRIX)
    assert again.read_bytes() == file.read_bytes()
