"""What is installed in images of real runtimes: the same as their archives say."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from agent.archives.indexing import index_archive
from agent.archives.package_lists import NO_DATABASE, packages_of
from agent.containers.docker_runtime import DockerRuntime
from agent.protocol.problems import ProblemError
from tests.agent.containers.parts import docker
from tests.archives_made import Entry, Made, docker_archive, tar
from tests.real.busybox import IMAGE
from tests.real.runtime import PrivateRuntime

TAG = "roost.local/test/packages:1"
STATUS = (
    "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
)
VENV = "opt/venv/lib/python3.11/site-packages"
BELOW = {
    "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
    "var/lib/dpkg/status": STATUS.format(name="libc6", version="2.36-9").encode(),
    "var/lib/dpkg/info/python3-x.list": b"/usr/lib/python3/dist-packages/x-1.egg-info\n",
    "usr/lib/python3/dist-packages/x-1.egg-info": b"Name: x\nVersion: 1\n",
    f"{VENV}/old-1.dist-info/METADATA": b"Name: old\nVersion: 1\n",
    f"{VENV}/kept-2.dist-info/METADATA": b"Name: kept\nVersion: 2\n",
    "srv/node_modules/y/package.json": b'{"name": "y", "version": "3.0.0"}',
    "big": bytes(9_000_000),
}
OVER = {
    "var/lib/dpkg/status": STATUS.format(name="libc6", version="2.36-10").encode(),
    f"{VENV}/.wh.old-1.dist-info": b"",
}


@pytest.fixture
async def archive(images: DockerRuntime, tmp_path: Path) -> Path:
    """An image of two layers, loaded; the second takes away from the first."""
    file = tmp_path / "image.tar"
    # A mark of this kind needs the folder that it stands in.
    folder = [Entry(name, content) for name, content in OVER.items()]
    file.write_bytes(docker_archive([Made([tar(BELOW), tar(folder)], [TAG])]))
    await images.load_image(iter([file.read_bytes()]))
    return file


@pytest.mark.real
async def test_as_the_archive_says(
    images: DockerRuntime, store: PrivateRuntime, archive: Path
) -> None:
    index = index_archive(archive)
    expected = packages_of(index, index.images[0])
    heard: list[tuple[int, int]] = []
    found = await images.image_packages(TAG, lambda *told: heard.append(told))
    assert found == expected
    assert [(each.kind, each.name, each.version, each.part_of) for each in found.packages] == [
        ("deb", "libc6", "2.36-10", ""),
        ("npm", "y", "3.0.0", ""),
        ("pypi", "kept", "2", ""),
        ("pypi", "x", "1", "deb python3-x"),
    ]
    assert (found.os_id, found.os_version, found.unknown) == ("debian", "12", [])
    assert heard
    assert all(done <= total for done, total in heard)
    assert await docker(store, "ps", "--all", "--quiet") == ""


@pytest.mark.real
async def test_nothing_to_read_is_said(images: DockerRuntime) -> None:
    found = await images.image_packages(IMAGE, lambda *_: None)
    assert (found.packages, found.unknown) == ([], [NO_DATABASE])
    with pytest.raises(ProblemError) as raised:
        await images.image_packages("none:1", lambda *_: None)
    assert raised.value.code == "image.not_found"


@pytest.mark.real
async def test_who_cancels_leaves_no_container(
    images: DockerRuntime, store: PrivateRuntime, archive: Path
) -> None:
    begun, go_on, ended = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    told = 0

    def heard(_done: int, _total: int) -> None:
        nonlocal told
        told += 1
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(30)
        ended.set()

    reading = asyncio.create_task(images.image_packages(TAG, heard))
    await begun.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    go_on.set()
    await asyncio.to_thread(ended.wait, 30)
    assert await docker(store, "ps", "--all", "--quiet") == ""


@pytest.mark.real
async def test_containers_are_followed_meanwhile(
    images: DockerRuntime, store: PrivateRuntime, archive: Path
) -> None:
    """Docker answers nothing about a container while it is read."""
    go_on = threading.Event()
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()

    def heard(_done: int, _total: int) -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(30)

    reading = asyncio.create_task(images.image_packages(TAG, heard))
    await begun.wait()
    try:
        changed = asyncio.Event()
        images.on_change(changed.set)
        made = await docker(store, "create", "--name", "another", IMAGE)
        while made not in images.containers():
            changed.clear()
            await changed.wait()
        assert [each.name for each in images.containers().values()] == ["another"]
    finally:
        go_on.set()
        await reading
        await docker(store, "rm", "another")
