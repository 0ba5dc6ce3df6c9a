"""Which mounts are media, and the archives on them."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from agent.images import media, removable
from agent.images.media import Mount, find_mounts, look_through
from agent.images.removable import Media
from agent.protocol.images import Medium
from tests.real.docker_engine import DockerEngine

# As the kernel writes them (proc_pid_mountinfo(5)).
MOUNTS = r"""
22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
23 22 8:1 / /boot/efi rw,relatime shared:2 - vfat /dev/sda1 rw
24 22 0:5 / /proc rw - proc proc rw
25 22 8:17 / /media/STICK\040ONE rw,nosuid shared:3 - vfat /dev/sdb1 rw,utf8
26 22 8:17 / /mnt/again rw - vfat /dev/sdb1 rw
27 22 8:33 / /srv/usb rw - ext4 /dev/sdc1 rw
28 22 179:1 / /mnt/card rw - ext4 /dev/mmcblk0p1 rw
29 22 0:50 / /mnt/share rw - nfs4 plant:/images rw
30 22 8:18 / /data rw - xfs /dev/sdd2 rw
31 22 8:34 / /bootstick rw - exfat /dev/sde1 rw
32 22 8:35 / /dev/odd rw - vfat /dev/sdf1 rw
33 22 259:1 / /mnt/data rw - ext4 /dev/nvme1n1p1 rw
34 22 8:2 /srv /mnt/bound rw - ext4 /dev/sda2 rw
35 22 0:61 / /mnt/scratch rw - tmpfs tmpfs rw
36 22 0:62 / /media/pool rw - zfs tank/images rw
37 22 0:63 / /mnt/far rw - fuse.rclone /dev/fuse rw
38 22 253:0 / /run/media/maria/disk rw - xfs /dev/mapper/luks-1 rw
39 22 259:2 / /var/lib/docker rw - ext4 /dev/nvme1n1p2 rw
not a line of that file
"""


def tree(folder: Path) -> tuple[Path, Path]:
    """A mountinfo, and a /sys/dev/block for it."""
    mountinfo = folder / "mountinfo"
    mountinfo.write_text(MOUNTS, encoding="utf-8")
    block, devices = folder / "block", folder / "devices"
    block.mkdir()
    disks = {
        "8:2": ("pci0/sda/sda2", "0"),
        "8:17": ("pci0/usb1/1-1/sdb/sdb1", "0"),
        "8:33": ("pci0/usb2/2-1/sdc/sdc1", "0"),
        "179:1": ("mmc0/mmcblk0/mmcblk0p1", "1"),
        "8:18": ("pci0/sdd/sdd2", "0"),
    }
    for number, (path, flag) in disks.items():
        (devices / path).mkdir(parents=True)
        ((devices / path).parent / "removable").write_text(f"{flag}\n", encoding="ascii")
        (block / number).symlink_to(devices / path)
    return mountinfo, block


def test_which_mounts_are_media(tmp_path: Path) -> None:
    found = find_mounts(*tree(tmp_path))
    assert [(one.path, one.filesystem, one.removable) for one in found] == [
        ("/media/STICK ONE", "vfat", True),
        ("/srv/usb", "ext4", True),
        ("/mnt/card", "ext4", True),
        ("/mnt/share", "nfs4", False),
        ("/bootstick", "exfat", False),
        ("/mnt/data", "ext4", False),
        ("/media/pool", "zfs", False),
        ("/run/media/maria/disk", "xfs", False),
    ]
    assert found[0].device == "/dev/sdb1"


def test_a_system_that_itself_runs_from_a_stick(tmp_path: Path) -> None:
    mountinfo, block = tree(tmp_path)
    mountinfo.write_text("22 1 8:17 / / rw - ext4 /dev/sdb1 rw\n", encoding="utf-8")
    assert find_mounts(mountinfo, block) == []


def test_no_more_mounts_than_can_be_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "MOUNTS_LIMIT", 4)
    found = find_mounts(*tree(tmp_path))
    assert [one.path for one in found][-2:] == ["/mnt/card", "/mnt/share"]


def test_what_lies_near_the_top_is_found_before_what_is_deep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data disk has more files than are looked at."""
    monkeypatch.setattr(media, "ENTRIES_LIMIT", 20)
    for name in ("0", "1"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "app.tar").write_bytes(b"")
        for number in range(20):
            (tmp_path / name / "deep" / f"{number}").write_bytes(b"")
    found = look_through(mount(tmp_path))
    assert len(found.archives) == 2
    assert found.reason is not None


def mount(folder: Path, number: str = "8:17") -> Mount:
    return Mount(str(folder), "/dev/sdb1", "vfat", number, removable=True)


def test_archives_are_found_by_their_names(tmp_path: Path) -> None:
    names = ["a.tar", "B.TAR.GZ", "sub/c.tgz", "sub/sub/d.tar.zst", "e.bundle", "sub/f.tar.xz"]
    others = ["a.txt", "tar", "sub/sub/sub/deep.tar", ".hidden/g.tar", "x.tar.part"]
    for name in (*names, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "link.tar").symlink_to(tmp_path / "a.tar")
    os.mkfifo(tmp_path / "fifo.tar")
    medium = look_through(mount(tmp_path))
    assert [one.path for one in medium.archives] == sorted(str(tmp_path / name) for name in names)
    assert {one.size_bytes for one in medium.archives} == {5}
    assert medium.reason is None
    assert medium.free_bytes is not None


def test_a_name_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff.tar")).write_bytes(b"")
    (tmp_path / "a.tar").write_bytes(b"")
    medium = look_through(mount(tmp_path))
    assert [one.path for one in medium.archives] == [str(tmp_path / "a.tar")]
    assert "not UTF-8" in (medium.reason or "")
    assert medium.reason is not None
    medium.reason.encode()  # JSON can have it


def test_what_was_found_stays_where_a_folder_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tar").write_bytes(b"")
    (tmp_path / "bad").mkdir()
    scan = os.scandir

    def scandir(path: Path) -> object:
        if str(path).endswith("bad"):
            raise OSError(5, "Input/output error")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    medium = look_through(mount(tmp_path))
    assert [one.path for one in medium.archives] == [str(tmp_path / "a.tar")]
    assert medium.reason == f"{tmp_path}/bad cannot be read: Input/output error"


def test_a_machine_that_has_another_root_names_archives_as_it_has_them(tmp_path: Path) -> None:
    (tmp_path / "media/stick/deep").mkdir(parents=True)
    for name in ("a.tar", "deep/b.tar"):
        (tmp_path / "media/stick" / name).write_bytes(b"x")
    medium = look_through(mount(Path("/media/stick")), tmp_path)
    assert [one.path for one in medium.archives] == [
        "/media/stick/a.tar",
        "/media/stick/deep/b.tar",
    ]
    assert medium.reason is None


def test_one_that_is_gone_says_so(tmp_path: Path) -> None:
    medium = look_through(mount(tmp_path / "gone"))
    assert (medium.archives, medium.free_bytes) == ([], None)
    assert medium.reason == "it cannot be read: No such file or directory"


def test_one_with_very_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "ENTRIES_LIMIT", 10)
    for number in range(20):
        (tmp_path / f"{number}.tar").write_bytes(b"")
    medium = look_through(mount(tmp_path))
    assert len(medium.archives) == 10
    assert medium.reason == "only its first 10 files and folders were looked at"


async def test_a_dead_medium_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And takes one thread, however often it is asked for."""
    back, looked = threading.Event(), []

    def look(one: Mount, _root: Path) -> Medium:
        looked.append(one.path)
        if one.path == "/dead":
            back.wait()
        return media.unseen(one, None)

    mounts = [mount(Path("/dead"), "8:1"), mount(Path("/alive"), "8:2")]
    monkeypatch.setattr(removable, "find_mounts", lambda _mountinfo: mounts)
    monkeypatch.setattr(removable, "look_through", look)
    monkeypatch.setattr(removable, "MEDIUM_SECONDS", 0.1)
    found = Media()
    for _ in range(3):
        dead, alive = await found.look()
        assert alive.reason is None
        assert dead.reason == "it does not answer; if it was pulled out: umount -l /dead"
    assert (looked.count("/dead"), looked.count("/alive")) == (1, 3)
    back.set()
    while (await found.look())[0].reason:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    found.stop()


@pytest.mark.real("filesystem", "docker")
def test_a_real_filesystem_that_is_mounted(docker_engine: DockerEngine, short_folder: Path) -> None:
    """In mounts of its own, with the kernel's own mountinfo; only /sys is made up for the loop."""
    enter, stick = docker_engine.enter, short_folder / "my stick"
    disk = short_folder / "disk"
    stick.mkdir()
    enter("truncate", "-s", "16M", str(disk))
    enter("mkfs.ext4", "-q", str(disk))
    enter("mount", "-o", "loop", str(disk), str(stick))
    try:
        enter("sh", "-c", f"mkdir '{stick}/images' && echo hello >'{stick}/images/app.tar'")
        number = enter("mountpoint", "-d", str(stick)).stdout.strip()
        usb = short_folder / "devices" / "usb1" / "sdz" / "sdz1"
        usb.mkdir(parents=True)
        (short_folder / "block").mkdir()
        (short_folder / "block" / number).symlink_to(usb)
        root = Path(f"/proc/{docker_engine.enclosure.pid}")
        mounts = find_mounts(root / "mountinfo", short_folder / "block")
        [found] = [one for one in mounts if one.number == number]
        assert (found.path, found.filesystem, found.removable) == (str(stick), "ext4", True)
        medium = look_through(found._replace(path=f"{root}/root{stick}"))
        assert [Path(one.path).name for one in medium.archives] == ["app.tar"]
        assert medium.archives[0].size_bytes == 6
        assert medium.free_bytes is not None
        assert 0 < medium.free_bytes < 16 * 1024 * 1024
        # On a bus that says nothing of it, where people mount by hand.
        enter("mount", "--bind", str(stick), "/mnt")
        try:
            mounts = find_mounts(root / "mountinfo", short_folder / "no such bus")
            [found] = [one for one in mounts if one.number == number]
            assert (found.path, found.removable) == ("/mnt", False)
        finally:
            enter("umount", "/mnt")
    finally:
        enter("umount", str(stick))
