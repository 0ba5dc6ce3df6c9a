"""What an image needs, read out of archives whose layers hide, replace and lie."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.archives.config_needs import needs_of_config
from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.archives.needs import look_into, read_needs
from agent.archives.needs_cache import NeedsCache
from agent.protocol.compatibility import CompatLibrary, Found, ImageNeeds
from agent.protocol.problems import ProblemError
from tests.archives_made import COMPRESS, Entry, Made, docker_archive, oci_archive, tar
from tests.compat_library import library, note

CUDA = "usr/local/cuda-12.9"
LIBRARY = f"{CUDA}/compat/libcuda.so.575.57.08"
COMPAT = CompatLibrary(
    path=f"/{LIBRARY}",
    driver_version="575.57.08",
    cuda_version="12.9",
    drivers=[535, 550, 560, 565, 570, 575],
    devices=[1, 2, 7, 8, 9, 10, 11, 12, 13, 14],
)
STATUS = b"""\
Package: libnvinfer10
Status: install ok installed
Version: 10.8.0.43-1+cuda12.8

Package: cuda-cudart-12-9
Status: install ok installed
Version: 12.9.79-1
"""


def made(
    *layers: Mapping[str, bytes] | Sequence[Entry],
    env: Mapping[str, str] | None = None,
    **more: Any,
) -> Made:
    """An image with these files in its layers and this environment."""
    image = Made([tar(layer) for layer in layers])
    words = msgspec.json.decode(image.config)
    words["config"]["Env"] = [f"{name}={value}" for name, value in (env or {}).items()]
    image.config = msgspec.json.encode(words)
    return image


def archive(tmp_path: Path, image: Made) -> ArchiveIndex:
    path = tmp_path / "image.tar"
    path.write_bytes(docker_archive([image]))
    return index_archive(path)


def needs(
    tmp_path: Path,
    *layers: Mapping[str, bytes] | Sequence[Entry],
    env: Mapping[str, str] | None = None,
) -> ImageNeeds:
    index = archive(tmp_path, made(*layers, env=env))
    return read_needs(index, index.images[0])


def of_env(**env: str) -> ImageNeeds:
    return needs_of_config(env, {}, os="linux", architecture="amd64")


# What the config says


def test_an_image_of_nvidia() -> None:
    found = of_env(
        CUDA_VERSION="12.2.2.009",
        CUDA_DRIVER_VERSION="535.104.05",
        NVIDIA_TENSORRT_VERSION="23.10",
        TRT_VERSION="8.6.1.6+cuda12.0.1.011",
        NVIDIA_PRODUCT_NAME="Triton Server",
        NVIDIA_REQUIRE_CUDA="cuda>=9.0",
        NVIDIA_REQUIRE_JETPACK_HOST_MOUNTS="",
        NVIDIA_VISIBLE_DEVICES="all",
    )
    assert found.wants_gpu
    assert found.cuda == Found(version="12.2.2.009", where="env CUDA_VERSION")
    assert found.tensorrt == Found(version="8.6.1.6+cuda12.0.1.011", where="env TRT_VERSION")
    assert found.bundled_driver == Found(version="535.104.05", where="env CUDA_DRIVER_VERSION")
    assert found.product == "Triton Server"
    assert found.requires == {"NVIDIA_REQUIRE_CUDA": "cuda>=9.0"}
    assert (found.requires_disabled, found.looked_inside, found.unknown) == (False, False, {})


def test_the_release_of_a_container_is_not_the_version_of_tensorrt() -> None:
    assert of_env(NVIDIA_TENSORRT_VERSION="23.10").tensorrt is None
    assert of_env(TENSORRT_VERSION="23.10").tensorrt is None
    assert of_env(TENSORRT_VERSION="10.3").tensorrt == Found(
        version="10.3", where="env TENSORRT_VERSION"
    )


def test_a_library_of_the_runtime_tells_its_release_by_two_numbers() -> None:
    assert of_env(NV_CUDA_CUDART_VERSION="12.4.127-1").cuda == Found(
        version="12.4", where="env NV_CUDA_CUDART_VERSION"
    )


def test_labels() -> None:
    labels = {"com.nvidia.cuda.version": "11.8.0", "com.nvidia.volumes.needed": "nvidia_driver"}
    found = needs_of_config({}, labels, os="linux", architecture="amd64")
    assert found.cuda == Found(version="11.8.0", where="label com.nvidia.cuda.version")
    assert found.wants_gpu


@pytest.mark.parametrize(
    ("env", "wants"),
    [
        ({}, False),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, True),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, False),
        ({"NVIDIA_VISIBLE_DEVICES": ""}, False),
        ({"NVIDIA_REQUIRE_CUDA": "cuda>=11"}, True),
        ({"CUDA_VERSION": "11.8"}, True),
    ],
)
def test_whether_it_wants_a_gpu(env: dict[str, str], wants: bool) -> None:
    assert of_env(**env).wants_gpu is wants


@pytest.mark.parametrize("text", ["1", "true", "T", "yes", "0", "false", ""])
def test_requirements_are_switched_off_by_what_go_calls_true(text: str) -> None:
    assert of_env(NVIDIA_DISABLE_REQUIRE=text).requires_disabled is (text in ("1", "true", "T"))


def test_what_is_no_version_is_told() -> None:
    found = of_env(CUDA_VERSION="new\x1b[2J")
    assert found.cuda is None
    assert found.unknown == {"cuda": "env CUDA_VERSION is 'new?[2J', which is no version"}


@pytest.mark.parametrize("config", [None, 1, [], {"Env": "A=1", "Labels": []}, {"Env": [1, "A"]}])
def test_configs_of_another_shape(tmp_path: Path, config: Any) -> None:
    image = Made([tar({"a": b""})])
    words = msgspec.json.decode(image.config)
    image.config = msgspec.json.encode({**words, "config": config})
    index = archive(tmp_path, image)
    found = read_needs(index, index.images[0])
    assert (found.wants_gpu, found.looked_inside, found.unknown) == (False, True, {})


# What lies in the layers


def test_all_that_is_looked_for(tmp_path: Path) -> None:
    layer = {LIBRARY: library(note()), "var/lib/dpkg/status": STATUS, "etc/passwd": b"root"}
    found = needs(tmp_path, layer)
    assert found.compat == COMPAT
    assert found.tensorrt == Found(
        version="10.8.0.43", where="dpkg libnvinfer10 in /var/lib/dpkg/status"
    )
    assert found.cuda == Found(
        version="12.9", where="dpkg cuda-cudart-12-9 in /var/lib/dpkg/status"
    )
    assert (found.wants_gpu, found.looked_inside, found.unknown) == (True, True, {})


@pytest.mark.parametrize("compression", list(COMPRESS))
@pytest.mark.parametrize("outer", list(COMPRESS))
def test_in_any_archive(tmp_path: Path, compression: str, outer: str) -> None:
    image = made({"a": bytes(100_000)}, {LIBRARY: library(note(), middle=3_000_000)})
    path = tmp_path / "image.tar"
    path.write_bytes(COMPRESS[outer](oci_archive([image], compression)))
    index = index_archive(path)
    assert read_needs(index, index.images[0]).compat == COMPAT


@pytest.mark.parametrize(
    "upper",
    [
        [Entry(f"{CUDA}/compat/.wh.libcuda.so.575.57.08")],
        [Entry("usr/local/.wh.cuda-12.9")],
        [Entry("./usr/local/.wh.cuda-12.9")],
        [Entry(".wh.usr")],
        [Entry(f"{CUDA}/compat/", kind=tarfile.DIRTYPE), Entry(f"{CUDA}/compat/.wh..wh..opq")],
        [Entry(f"{CUDA}/compat", target="/opt/compat", kind=tarfile.SYMTYPE)],
    ],
)
def test_an_upper_layer_takes_it_away(tmp_path: Path, upper: list[Entry]) -> None:
    found = needs(tmp_path, {LIBRARY: library(note())}, upper)
    assert (found.compat, found.looked_inside, found.unknown) == (None, True, {})


def test_a_folder_that_begins_anew(tmp_path: Path) -> None:
    """What an upper layer has in it counts, whatever comes first in the tar."""
    newer = f"{CUDA}/compat/libcuda.so.590.44.01"
    entries = [Entry(newer, library(note())), Entry(f"{CUDA}/compat/.wh..wh..opq")]
    found = needs(tmp_path, {LIBRARY: library(note())}, entries)
    assert found.compat is not None
    assert (found.compat.path, found.compat.driver_version) == (f"/{newer}", "590.44.01")


def test_what_lies_below_a_whiteout_of_something_else_stays(tmp_path: Path) -> None:
    upper = [Entry("usr/local/.wh.cuda-12.8"), Entry("usr/local/.wh.cuda-12"), Entry("a/.wh.usr")]
    assert needs(tmp_path, {LIBRARY: library(note())}, upper).compat == COMPAT


def test_an_upper_layer_replaces_it(tmp_path: Path) -> None:
    lower = {LIBRARY: library(note({"CUDA Version": "12.8"})), "var/lib/dpkg/status": STATUS}
    upper = {LIBRARY: library(note()), "var/lib/dpkg/status": b""}
    found = needs(tmp_path, lower, upper)
    assert (found.compat, found.tensorrt) == (COMPAT, None)


def test_layers_count_in_the_images_order_not_the_archives(tmp_path: Path) -> None:
    """An OCI layout has them by digest; here the archive's order is turned round."""
    image = made({LIBRARY: library(note())}, [Entry("usr/local/.wh.cuda-12.9")])
    index = archive(tmp_path, image)
    back = msgspec.structs.replace(
        index.images[0], diff_ids=list(reversed(index.images[0].diff_ids))
    )
    assert read_needs(index, index.images[0]).compat is None
    assert read_needs(index, back).compat == COMPAT


def test_of_several_the_one_that_cuda_means(tmp_path: Path) -> None:
    files = [
        Entry("usr/local/cuda-12.8/compat/libcuda.so.570.86.10", library(note())),
        Entry(LIBRARY, library(note())),
    ]
    links = [
        Entry("usr/local/cuda", target="/etc/alternatives/cuda", kind=tarfile.SYMTYPE),
        Entry("etc/alternatives/cuda", target="/usr/local/cuda-12.9", kind=tarfile.SYMTYPE),
    ]
    assert needs(tmp_path, files, links).compat == COMPAT
    found = needs(tmp_path, files)
    assert found.compat is None
    assert "which of these is used is not known" in found.unknown["compat"]
    circle = [Entry("usr/local/cuda", target="cuda", kind=tarfile.SYMTYPE)]
    assert needs(tmp_path, files, circle).compat is None


@pytest.mark.parametrize(
    "entry",
    [
        Entry(LIBRARY, target="../lib/libcuda.so.575.57.08", kind=tarfile.SYMTYPE),
        Entry(LIBRARY, target=LIBRARY, kind=tarfile.LNKTYPE),
    ],
)
def test_a_link_that_leads_nowhere(tmp_path: Path, entry: Entry) -> None:
    found = needs(tmp_path, [entry])
    assert found.compat is not None
    assert found.compat.drivers is None
    assert "is not looked into" in found.unknown["compat_note"]


def test_the_library_of_containers_that_link_it_at_their_start(tmp_path: Path) -> None:
    path = f"{CUDA}/compat/lib.real/libcuda.so.575.57.08"
    found = needs(tmp_path, {path: library(note())})
    assert found.compat == msgspec.structs.replace(COMPAT, path=f"/{path}")


def test_a_library_without_a_note(tmp_path: Path) -> None:
    found = needs(tmp_path, {LIBRARY: library(note(), section=".note.other")})
    assert found.compat == CompatLibrary(path=f"/{LIBRARY}", driver_version="575.57.08")
    assert found.unknown == {}


def test_a_library_that_is_none(tmp_path: Path) -> None:
    found = needs(tmp_path, {LIBRARY: b"#!/bin/sh"})
    assert found.compat == CompatLibrary(path=f"/{LIBRARY}", driver_version="575.57.08")
    assert found.unknown == {"compat_note": f"/{LIBRARY}: it is no ELF file of 64 bits"}


def test_a_package_without_its_library(tmp_path: Path) -> None:
    status = b"Package: cuda-compat-12-9\nVersion: 575.57.08-0ubuntu1\n"
    found = needs(tmp_path, {"var/lib/dpkg/status.d/cuda-compat-12-9": status})
    assert found.compat is None
    assert found.unknown["compat"].startswith("the package cuda-compat-12-9 575.57.08-0ubuntu1")


@pytest.mark.parametrize(
    ("path", "cuda", "tensorrt"),
    [
        ("usr/lib/python3/dist-packages/tensorrt-8.6.1.dist-info/METADATA", None, "8.6.1"),
        ("opt/venv/lib/site-packages/tensorrt_cu12_libs-10.3.0.dist-info/RECORD", None, "10.3.0"),
        ("a/site-packages/nvidia_cuda_runtime_cu12-12.1.105.dist-info/RECORD", "12.1", None),
        ("a/site-packages/nvidia_cuda_runtime-13.0.48.dist-info/RECORD", "13.0", None),
        ("usr/lib/x86_64-linux-gnu/libnvinfer.so.10.8.0", None, "10.8.0"),
        ("usr/local/cuda-11.8/lib64/libcudart.so.11.8.89", "11.8", None),
        ("a/site-packages/tensorrt_llm-0.10.0.dist-info/METADATA", None, None),
        ("a/site-packages/tensorrt_rtx-1.0.0.dist-info/METADATA", None, None),
        ("srv/tensorrt-8.6.1.dist-info/METADATA", None, None),
        ("usr/lib/libnvinfer.so.10", None, None),
    ],
)
def test_versions_in_names(
    tmp_path: Path, path: str, cuda: str | None, tensorrt: str | None
) -> None:
    found = needs(tmp_path, {path: b"x"})
    assert (found.cuda.version if found.cuda else None) == cuda
    assert (found.tensorrt.version if found.tensorrt else None) == tensorrt
    assert found.wants_gpu is bool(cuda or tensorrt)


def test_a_newer_runtime_than_the_base_image_says(tmp_path: Path) -> None:
    path = "usr/lib/python3/site-packages/nvidia_cuda_runtime_cu12-12.1.105.dist-info"
    wheel = {f"{path}/RECORD": b""}
    found = needs(tmp_path, wheel, env={"CUDA_VERSION": "11.8.0"})
    assert found.cuda == Found(version="12.1", where=f"/{path}")
    same = needs(tmp_path, wheel, env={"CUDA_VERSION": "12.1.1"})
    assert same.cuda == Found(version="12.1.1", where="env CUDA_VERSION")


def test_a_package_that_pip_took_away(tmp_path: Path) -> None:
    folder = "usr/lib/python3/site-packages"
    lower = {f"{folder}/tensorrt-8.6.1.dist-info/METADATA": b""}
    upper = [
        Entry(f"{folder}/.wh.tensorrt-8.6.1.dist-info"),
        Entry(f"{folder}/tensorrt-10.3.0.dist-info/METADATA"),
    ]
    found = needs(tmp_path, lower, upper)
    assert found.tensorrt == Found(version="10.3.0", where=f"/{folder}/tensorrt-10.3.0.dist-info")


def test_jetson_linux(tmp_path: Path) -> None:
    status = b"Package: nvidia-l4t-core\nVersion: 36.4.0-20240912212859\n"
    found = needs(tmp_path, {"var/lib/dpkg/status": status})
    assert found.l4t is not None
    assert found.l4t.version == "36.4.0"


def test_devices_and_pipes_in_a_layer(tmp_path: Path) -> None:
    entries = [
        Entry("dev/null", kind=tarfile.CHRTYPE),
        Entry("dev/sda", kind=tarfile.BLKTYPE),
        Entry("run/pipe", kind=tarfile.FIFOTYPE),
        Entry(LIBRARY, library(note())),
    ]
    assert needs(tmp_path, entries).compat == COMPAT


# What is wrong


def test_a_bundle_that_leaves_layers_to_another(tmp_path: Path) -> None:
    index = archive(tmp_path, made({"a": b"1"}, {LIBRARY: library(note())}))
    partial = msgspec.structs.replace(index, layers=index.layers[1:])
    found = read_needs(partial, index.images[0])
    assert (found.compat, found.looked_inside) == (COMPAT, False)
    assert found.unknown == dict.fromkeys(
        ("cuda", "tensorrt"), "1 of its layers are not in image.tar"
    )
    whole = NeedsCache(tmp_path / "kept").needs(partial, index.images[0], beside=[index])
    assert (whole.looked_inside, whole.unknown) == (True, {})


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (b"x" * 2000, "not a tar file"),
        (tar({"a": b"1"})[:512] + b"x" * 1024, "not valid"),
        (tar({"a": bytes(5000)})[:1024], "ends too early"),
        (tar([Entry("a", kind=b"S")]), "sparse"),
        (tar({LIBRARY: library(note())})[:700], "ends too early"),
    ],
)
def test_a_layer_that_is_no_tar(tmp_path: Path, layer: bytes, words: str) -> None:
    image = Made([tar({"var/lib/dpkg/status": STATUS}), layer])
    index = archive(tmp_path, image)
    found = read_needs(index, index.images[0])
    assert found.looked_inside is False
    assert found.tensorrt is not None
    assert "layer 2: " in found.unknown["compat"]
    assert words in found.unknown["compat"]


def test_packages_without_end(tmp_path: Path) -> None:
    found = needs(tmp_path, {"var/lib/dpkg/status": b"x" * 300_000})
    assert found.unknown["cuda"] == "/var/lib/dpkg/status: a line without end"


def test_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.archives.layer_facts.FILES_LIMIT", 3)
    monkeypatch.setattr("agent.archives.layer_walk.HIDDEN_LIMIT", 3)
    libraries = {f"lib/{n}/libnvinfer.so.10.0.{n}": b"" for n in range(4)}
    assert "of interest" in needs(tmp_path, libraries).unknown["compat"]
    hidden = {f"lib/.wh.{n}": b"" for n in range(4)}
    assert "hides more" in needs(tmp_path, hidden).unknown["compat"]


def test_names_that_lead_out_are_of_no_interest(tmp_path: Path) -> None:
    found = needs(tmp_path, {f"../{LIBRARY}": library(note()), f"a/../{LIBRARY}": b""})
    assert (found.compat, found.looked_inside) == (None, True)


def test_an_archive_that_changed(tmp_path: Path) -> None:
    index = archive(tmp_path, made({"a": b"1"}))
    Path(index.path).write_bytes(b"other")
    with pytest.raises(ProblemError, match="changed"):
        read_needs(index, index.images[0])


# Telling, ending, keeping


def test_it_tells_how_far_it_is_and_can_be_ended(tmp_path: Path) -> None:
    index = archive(tmp_path, made({"a": bytes(9_000_000)}, {LIBRARY: library(note())}))
    told: list[tuple[int, int]] = []
    look_into(index, set(index.images[0].diff_ids), heard=lambda *each: told.append(each))
    assert [total for _, total in told] == [sum(index.sizes.values())] * len(told)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) >= 4
    assert told[-1][0] == told[-1][1]

    class EnoughError(Exception):
        pass

    def ending(done: int, total: int) -> None:
        raise EnoughError

    with pytest.raises(EnoughError):
        look_into(index, set(index.images[0].diff_ids), heard=ending)


def test_kept_by_path_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = archive(tmp_path, made({LIBRARY: library(note())}))
    cache = NeedsCache(tmp_path / "kept")
    assert cache.needs(index, index.images[0]).compat == COMPAT

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was kept")

    monkeypatch.setattr("agent.archives.needs_cache.look_into", never)
    assert NeedsCache(tmp_path / "kept").needs(index, index.images[0]).compat == COMPAT
    changed = msgspec.structs.replace(index, modified_ns=1)
    with pytest.raises(AssertionError, match="it was kept"):
        cache.needs(changed, index.images[0])
    for file in (tmp_path / "kept").iterdir():
        file.write_bytes(b"{")
    with pytest.raises(AssertionError, match="it was kept"):
        cache.needs(index, index.images[0])
