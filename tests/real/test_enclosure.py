"""What is started inside an enclosure ends with the tests, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.real.enclosure import Enclosure
from tests.short_folders import FolderFactory

pytestmark = pytest.mark.real("ssh")

# A process that leaves its parent, as a container's shim does.
STRAY = ("sh", "-c", "setsid sleep 600 & setsid sh -c 'sleep 600' & exit 3")


def runs(pid: int) -> bool:
    """Whether a process is there and not a zombie that PID 1 has not collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int) -> bool:
    """Whether a process has ended, or ends within ten seconds."""
    deadline = time.monotonic() + 10
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not runs(pid)


def test_orphans_end_with_it(make_short_folder: FolderFactory) -> None:
    enclosure = Enclosure(make_short_folder(), network=True)
    pid = enclosure.start(STRAY, log=enclosure.folder / "log")
    assert enclosure.wait(pid, 10) == 3
    strays = enclosure.processes()
    assert strays
    enclosure.close()
    assert [stray for stray in strays if Path(f"/proc/{stray}").exists()] == []
    assert not enclosure.folder.exists()


def test_what_is_written_inside_stays_inside(make_short_folder: FolderFactory) -> None:
    enclosure = Enclosure(make_short_folder(), network=True)
    script = "echo x >/etc/roost-was-here; echo x >/var/lib/roost-was-here; ls -A /run; ip -o link"
    said = enclosure.enter("sh", "-c", script).stdout
    assert said.splitlines()[:2] == [".over", "lock"]
    assert "lo: <LOOPBACK,UP" in said
    assert "eth" not in said
    assert enclosure.enter("cat", "/etc/roost-was-here").stdout == "x\n"
    enclosure.close()
    for folder in ("/etc", "/var/lib"):
        assert not Path(folder, "roost-was-here").exists()


def test_a_program_that_is_not_there(make_short_folder: FolderFactory) -> None:
    enclosure = Enclosure(make_short_folder(), network=False)
    with pytest.raises(RuntimeError, match="no-such-program"):
        enclosure.start(["no-such-program"], log=enclosure.folder / "log")
    enclosure.close()


def test_it_ends_when_the_tests_are_killed(make_short_folder: FolderFactory) -> None:
    folder = make_short_folder()
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.real.enclosure import Enclosure\n"
        "enclosure = Enclosure(Path(sys.argv[1]), network=True)\n"
        "pid = enclosure.start(['sleep', '600'], log=Path(sys.argv[1], 'log'))\n"
        "print(enclosure.pid, pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
    ) as tests:
        assert tests.stdout
        keeper, inside = (int(word) for word in tests.stdout.readline().split())
        os.kill(tests.pid, signal.SIGKILL)
    assert gone(inside)
    assert gone(keeper)
    assert not folder.exists()
