"""What images in real runtimes need: their config, and files out of a container never started."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.protocol.compatibility import CompatLibrary, Found
from agent.protocol.problems import ProblemError
from tests.agent.containers.parts import docker
from tests.compat_library import compiled
from tests.real.busybox import IMAGE
from tests.real.podman_service import PodmanService
from tests.real.runtime import PrivateRuntime

TAG = "roost-test/needs:1"
STATUS = """\
Package: libnvinfer10
Status: install ok installed
Version: 10.8.0.43-1+cuda12.8
"""
COMPAT = CompatLibrary(
    path="/usr/local/cuda/compat/libcuda.so.575.57.08",
    driver_version="575.57.08",
    cuda_version="12.9",
    drivers=[535, 550, 560, 565, 570, 575],
    devices=[1, 2, 7, 8, 9, 10, 11, 12, 13, 14],
)


@pytest.fixture
def built(store: PrivateRuntime, tmp_path: Path) -> str:
    """An image as NVIDIA builds them: /usr/local/cuda is a link to a link."""
    command = store.podman if isinstance(store, PodmanService) else store.docker
    root = tmp_path / "root"
    compat = root / "usr/local/cuda-12.9/compat"
    compat.mkdir(parents=True)
    (compat / "libcuda.so.575.57.08").write_bytes(compiled(tmp_path, filler=3_000_000))
    (compat / "libcuda.so.1").symlink_to("libcuda.so.575.57.08")
    (root / "etc/alternatives").mkdir(parents=True)
    (root / "usr/local/cuda").symlink_to("/etc/alternatives/cuda")
    (root / "etc/alternatives/cuda").symlink_to("/usr/local/cuda-12.9")
    status = root / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(STATUS)
    container = command("create", IMAGE)
    for part in ("usr", "etc/alternatives", "var"):
        command("cp", str(root / part), f"{container}:/{Path(part).parent}")
    env = ["--change", "ENV CUDA_VERSION=12.9.1", "--change", "LABEL com.example=1"]
    command("commit", *env, container, TAG)
    command("rm", container)
    return command("image", "inspect", "--format", "{{.Id}}", TAG)


@pytest.mark.real
async def test_config_then_inside(images: DockerRuntime, store: PrivateRuntime, built: str) -> None:
    needs = await images.image_needs(built)
    assert needs.cuda == Found(version="12.9.1", where="env CUDA_VERSION")
    assert (needs.wants_gpu, needs.looked_inside, needs.compat) == (True, False, None)
    assert needs.unknown == dict.fromkeys(
        ("compat", "tensorrt"), "nobody has looked into the image"
    )
    # Two at once: one container, and nothing is left of it.
    both = await asyncio.gather(*(images.image_needs(built, inside=True) for _ in range(2)))
    assert both[0] == both[1]
    assert both[0].compat == COMPAT
    assert both[0].tensorrt == Found(
        version="10.8.0.43", where="dpkg libnvinfer10 in /var/lib/dpkg/status"
    )
    assert (both[0].looked_inside, both[0].unknown) == (True, {})
    assert await docker(store, "ps", "--all", "--quiet") == ""
    # It is kept: who does not look inside has it, too.
    assert await images.image_needs(built) == both[0]


@pytest.mark.real
async def test_nothing_of_the_kind(images: DockerRuntime, store: PrivateRuntime) -> None:
    needs = await images.image_needs(IMAGE, inside=True)
    assert (needs.wants_gpu, needs.looked_inside, needs.compat) == (False, True, None)
    assert set(needs.unknown) == {"cuda", "tensorrt"}
    with pytest.raises(ProblemError) as raised:
        await images.image_needs("none:1", inside=True)
    assert raised.value.code == "image.not_found"


@pytest.mark.real
async def test_who_waits_no_more_leaves_no_container(
    images: DockerRuntime, store: PrivateRuntime, built: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(*_: object, **__: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        raise ProblemError("runtime.refused", "it is asked once")

    monkeypatch.setattr("agent.containers.images_needs.layer_facts", slow)
    needs = await images.image_needs(built, inside=True)
    assert begun.is_set()
    assert needs.looked_inside is False
    assert needs.unknown["compat"] == (
        "nobody has looked into the image: the runtime says: it is asked once"
    )
    assert await docker(store, "ps", "--all", "--quiet") == ""
    look = asyncio.create_task(images.image_needs(built, inside=True))
    begun.clear()
    await begun.wait()
    look.cancel()
    await asyncio.gather(look, return_exceptions=True)
    assert await docker(store, "ps", "--all", "--quiet") == ""
