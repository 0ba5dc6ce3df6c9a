"""A whole machine as it comes: Debian with systemd, sshd and sudo, and no network.

It runs from a folder that tests/real/make-roots makes, below a layer that takes all that is
written, in namespaces of its own: processes, mounts, network, names, cgroups.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.real import roots
from tests.real.commands import run
from tests.real.enclosure import Enclosure

ROOTS = ("machine-trixie", "machine-bookworm")
WITH_DOCKER = "machine-docker"  # and no Python
# What the first lacks, and its accounts, it has from the second.
WITH_PODMAN = "docker-sid:machine-trixie"
START_SECONDS = 60
# Its user, who may use sudo without a password.
USER = "field"
PLACE = "/run/machine"

# In the enclosure: what the machine sees as /, and the folders that a kernel would give it.
_ROOT = f"""
set -eu
mkdir -p {PLACE}/upper {PLACE}/work {PLACE}/root
cd {PLACE}
mount -t overlay -o "lowerdir=$1,upperdir=upper,workdir=work" overlay root
for each in passwd group shadow gshadow; do cp "${{1##*:}}/etc/$each" root/etc; done
"""
# In its own namespaces. Only cgroup v2 is shown to it: that is what its systemd takes.
_BOOT = f"""
set -eu
cd {PLACE}/root
mount --bind . .
cd {PLACE}/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs -o mode=0755 tmpfs dev
mkdir dev/pts dev/shm
for node in null zero full random urandom tty; do
  touch dev/$node
  mount --bind /dev/$node dev/$node
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
pivot_root . mnt
umount --lazy /mnt
exec env -i container=roost-test PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
"""
_START = """
set -eu
mkdir -p "$1"
echo $$ >"$1/cgroup.procs"
shift
exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child -- sh -euc "$@"
"""


SYSTEMD = "/lib/systemd/systemd"
# Of a machine without it: what starts sshd and whatever else, and is never done.
INIT = """
mkdir -p /run/sshd
hostname bare
/usr/sbin/sshd
{}
touch /run/is-up
while :; do sleep 1; done
"""


class BareMachine:
    """Booted until it says so. `ssh` is the way in, as `field` or as root.

    `starts` None: systemd runs it; else INIT does, with that in it. Boots may differ in it.
    """

    def __init__(self, enclosure: Enclosure, root: str, starts: str | None = None) -> None:
        self.enclosure, self.folder, self.starts = enclosure, enclosure.folder, starts
        self._pid: int | None = None
        self._beside: Path | None = None  # its cgroup of v1
        lower = ":".join(str(roots.folder(each)) for each in root.split(":"))
        enclosure.enter("sh", "-c", _ROOT, "sh", lower)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "key"))
        self._make_user()

    @property
    def ssh(self) -> str:
        """As ROOST_SSH takes it; the machine is `node`, and `root-node` is root there."""
        net = f"nsenter --target={self.enclosure.pid} --net"
        return f"{net} ssh -F {self.folder / 'client'}"

    def boot(self) -> None:
        """Start it. Raises RuntimeError with its log's end."""
        cgroup = _unified() / f"roost-{self.folder.name}"
        log = self.folder / "boot.log"
        init = [SYSTEMD] if self.starts is None else ["/bin/sh", "-c", INIT.format(self.starts)]
        argv = ["sh", "-euc", _START, "sh", str(cgroup), _BOOT, "sh", *init]
        shell = self.enclosure.start(argv, log=log)
        deadline = time.monotonic() + START_SECONDS
        while not (found := _child(shell)) or not self._up(found):
            if time.monotonic() > deadline or self.enclosure.wait(shell) is not None:
                raise RuntimeError(f"the machine does not boot: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        self._pid = found
        key = self.enter("cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()
        (self.folder / "known").write_text(f"127.0.0.1 {key[0]} {key[1]}\n")
        (self.folder / "client").write_text(self._client())

    def slow_down(self, share: float) -> None:
        """It has such a share of one processor from now on. Raises OSError where that cannot be
        had: no cgroup hierarchy here shares out processors.
        """
        assert self._pid is not None
        period = 100_000  # microseconds
        quota, group = int(share * period), f"roost-{self.folder.name}"
        alone = _unified() / group / "cpu.max"
        if alone.exists():
            alone.write_text(f"{quota} {period}")
            return
        beside = Path("/sys/fs/cgroup/cpu") / group  # cgroup v1 has it
        beside.mkdir(exist_ok=True)
        self._beside = beside
        (beside / "cpu.cfs_period_us").write_text(str(period))
        (beside / "cpu.cfs_quota_us").write_text(str(quota))
        for pid in _below(self._pid):
            (beside / "cgroup.procs").write_text(str(pid))

    def power_cut(self) -> None:
        """Gone in the middle of whatever it does; what is on its disk stays."""
        assert self._pid is not None
        os.kill(self._pid, signal.SIGKILL)
        while Path(f"/proc/{self._pid}").exists():
            time.sleep(0.05)
        self._pid = None
        if self._beside is not None:
            while (self._beside / "cgroup.procs").read_text():
                time.sleep(0.05)
            self._beside.rmdir()
            self._beside = None

    def enter(self, *argv: str, check: bool = True, seconds: float = 60) -> str:
        """Run a command on it, as root; what it said. Raises CommandFailedError."""
        done = self.tried(*argv, check=check, seconds=seconds)
        return done.stdout

    def tried(
        self, *argv: str, check: bool = False, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """The same, with how it ended."""
        assert self._pid is not None
        way = ("nsenter", f"--target={self._pid}", "--all", "--")
        return run(*way, *argv, check=check, seconds=seconds)

    def path(self, path: str) -> Path:
        """A file on it, as seen from outside while it runs."""
        assert self._pid is not None
        return Path(f"/proc/{self._pid}/root") / path.lstrip("/")

    def _up(self, pid: int) -> bool:
        asking = ["systemctl", "is-system-running"]
        if self.starts is not None:
            asking = ["sh", "-c", "[ ! -e /run/is-up ] || echo running"]
        asked = subprocess.run(
            ["nsenter", f"--target={pid}", "--all", "--", *asking],
            capture_output=True,
            text=True,
            check=False,
        )
        # "degraded": it has no kernel modules to load.
        return asked.stdout.strip() in ("running", "degraded")

    def _make_user(self) -> None:
        """Before it boots, in what it will see as /."""
        key = (self.folder / "key.pub").read_text()
        place = f"{PLACE}/root"
        for home in (f"{place}/root", f"{place}/home/{USER}"):
            self.enclosure.enter("mkdir", "-p", "-m", "0700", f"{home}/.ssh")
            self.enclosure.enter("tee", f"{home}/.ssh/authorized_keys", text=key)
        self.enclosure.enter("chown", "-R", "1000:1000", f"{place}/home/{USER}")
        line = f"{USER}:x:1000:1000::/home/{USER}:/bin/bash\n"
        self.enclosure.enter("tee", "-a", f"{place}/etc/passwd", text=line)
        self.enclosure.enter("tee", "-a", f"{place}/etc/group", text=f"{USER}:x:1000:\n")
        shadow = f"{USER}:*:20000:0:99999:7:::\n"
        self.enclosure.enter("tee", "-a", f"{place}/etc/shadow", text=shadow)
        self.enclosure.enter("tee", f"{place}/etc/hostname", text="bare\n")
        may = f"{USER} ALL=(ALL) NOPASSWD: ALL\n"
        self.enclosure.enter("tee", f"{place}/etc/sudoers.d/{USER}", text=may)

    def _client(self) -> str:
        keys = (
            f"  IdentityFile {self.folder / 'key'}\n"
            "  IdentitiesOnly yes\n"
            "  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.folder / 'known'}\n"
            "  GlobalKnownHostsFile none\n"
            "  HostName 127.0.0.1\n"
        )
        return f"Host node\n  User {USER}\n{keys}Host root-node\n  User root\n{keys}"


def _unified() -> Path:
    """Where cgroup v2 is mounted: alone, or beside v1's hierarchies."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        words = line.split()
        if words[2] == "cgroup2":
            return Path(words[1])
    raise RuntimeError("this machine has no cgroup v2")


def _child(pid: int) -> int | None:
    """The first process below one, as this machine numbers it."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(found[0]) if found else None


def _below(pid: int) -> list[int]:
    """A process and all below it, as this machine numbers them."""
    found = [pid]
    for each in found:
        children = Path(f"/proc/{each}/task/{each}/children").read_text().split()
        found.extend(int(child) for child in children)
    return found
