"""What `systemctl daemon-reload` leaves behind: a real systemd, as a user's manager."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.doctor.reloads import ReloadWatch
from tests.real.enclosure import Enclosure

pytestmark = pytest.mark.real("systemd")


class Manager:
    """A systemd that has nothing to do."""

    def __init__(self, folder: Path) -> None:
        self._enclosure = Enclosure(folder, network=False)
        self._run = folder / "run"
        self.folder = self._run / "systemd"
        # It wants a machine that systemd has booted.
        self._enclosure.enter("mkdir", "-p", "/run/systemd/system", str(self._run))
        self._enclosure.enter("chmod", "0700", str(self._run))
        own = {"XDG_RUNTIME_DIR": str(self._run), "HOME": str(folder), "PATH": "/usr/bin:/bin"}
        self._words = [f"{name}={value}" for name, value in own.items()]
        argv = ["/lib/systemd/systemd", "--user", "--unit=basic.target", "--log-target=console"]
        log = folder / "log"
        self._pid = self._enclosure.start(argv, log=log, env=own)
        while self._systemctl("is-active", "basic.target") != "active":
            assert self._enclosure.wait(self._pid) is None, log.read_text()
            time.sleep(0.05)

    def reload(self) -> None:
        """`systemctl daemon-reload`; it has done so when this returns."""
        self._systemctl("daemon-reload", check=True)

    def close(self) -> None:
        self._enclosure.close()

    def _systemctl(self, *words: str, check: bool = False) -> str:
        said = self._enclosure.enter(
            "env", "-i", *self._words, "systemctl", "--user", *words, check=check
        )
        return said.stdout.strip()


@pytest.fixture
def manager(short_folder: Path) -> Iterator[Manager]:
    manager = Manager(short_folder)
    yield manager
    manager.close()


def test_a_reload_is_seen(manager: Manager) -> None:
    watch = ReloadWatch(manager.folder)
    watch.look()
    before = watch.now()
    watch.look()
    assert watch.still_holds(before)
    for _ in range(2):
        manager.reload()
        before = watch.now()
        watch.look()
        assert not watch.still_holds(before)
