"""Starts the agent that is `current`, or one on trial, which goes back unless it is confirmed.

The installer puts it at /opt/roost/start, and systemd runs it. There it is only what finds the one
that came with the current version, and has that do the work: so the way that agents are started and
tried changes with `current`, in the same step, and back with it. Where that cannot even be loaded
this one does it. Standard library only, and what Python 3.6 can read.

Beside it lie `current`, a link to a version's folder; `trial.json` while another one is tried;
`last-upgrade.json`, what became of the last one. All that it writes is whole and on disk before it
goes on, and everything is decided anew from these files at each start: killed at any moment it ends
in the one version or in the other. An upgrade is done when `current` leads to it, and not before:
that is when it was confirmed, and all of it has started.
"""

import ctypes
import functools
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from types import FrameType
from typing import Any, Dict, List, Optional

TRIAL, LAST, CURRENT = "trial.json", "last-upgrade.json", "current"
# What the agent is told: where this file is, and that it is on trial.
START_VARIABLE, TRIAL_VARIABLE = "ROOST_START", "ROOST_TRIAL"
# What an agent on trial keeps before it changes the schema of its database.
COPY_SUFFIX = ".before"
# Of a version's folder that the installer has put aside.
OLD_SUFFIX = ".old.part"
STARTS = 3
SECONDS = 60.0  # after each of them, until it is confirmed
UP_SECONDS = 180.0  # from then, or from a start after it, until all of it has started
LOOK_SECONDS = 0.1
END_SECONDS = 5.0
WORDS_SECONDS = 5.0  # until all that it said was heard
LAST_WORDS = 200
PR_SET_PDEATHSIG = 1
# Where a version has its own of this file and of the unit: in the wheel that it was unpacked from.
KIT = os.path.join("lib", "agent", "kit")
UNIT = "/etc/systemd/system/roost-agent.service"
# One that is lower, or has none, does not look for the current version's: it is replaced.
FINDS = 1

Trial = Dict[str, Any]


class Supervisor:
    """Starts what is to run from one folder, with these arguments."""

    def __init__(self, start: str, arguments: List[str]) -> None:
        self.start, self.root, self.arguments = start, os.path.dirname(start), arguments
        self.child = None  # type: Optional[subprocess.Popen[bytes]]
        self.stopping = False
        self.failed = False  # nothing may run before this is mended; systemd tries again

    def run(self) -> int:
        """Until the agent on trial has ended; where none is, it becomes the current one."""
        while True:
            trial = self.trial()
            if trial is None:
                self.become_current()
            elif self.current() == trial["id"]:
                self.settle(trial, "done", None)
            elif trial.get("back") is not None:
                self.go_back(trial)
            elif trial["starts"] >= STARTS:
                trial["back"] = "it ended %d times before it was %s%s" % (
                    trial["starts"],
                    "up" if trial.get("confirmed") else "confirmed",
                    trial.get("ended", ""),
                )
                self.tried(trial)
            else:
                trial["starts"] += 1
                if self.tried(trial):
                    status = self.attempt(trial)
                    if status is not None and (self.stopping or self.trial() is None):
                        return status
            if self.failed:
                return 1

    def attempt(self, trial: Trial) -> Optional[int]:
        """Start it and watch it until it ends; its exit status, None: it could not be started."""
        program = os.path.join(self.root, trial["id"], "bin", "roost-agent")
        environment = dict(os.environ)
        environment[START_VARIABLE], environment[TRIAL_VARIABLE] = self.start, trial["id"]
        try:
            self.child = subprocess.Popen(
                [program, *self.arguments],
                env=environment,
                stderr=subprocess.PIPE,
                preexec_fn=functools.partial(die_with, os.getpid()),
            )
        except (OSError, subprocess.SubprocessError) as error:
            trial["back"] = "it does not start: %s" % error
            self.tried(trial)
            return None
        if self.stopping:
            self.child.terminate()
        heard = Heard(self.child.stderr)
        heard.start()
        say("%s is on trial, start %d of %d" % (trial["id"], trial["starts"], STARTS))
        seconds, what = float(trial.get("seconds", SECONDS)), "confirmed"
        began = time.monotonic()
        while self.child.poll() is None and self.current() != trial["id"]:
            if what == "confirmed" and (self.trial() or {}).get("confirmed"):
                began, what = time.monotonic(), "up"
                seconds = float(trial.get("up_seconds", UP_SECONDS))
            if time.monotonic() > began + seconds and not self.stopping:
                self.end()
                trial["back"] = "it was not %s within %g s" % (what, seconds)
            time.sleep(LOOK_SECONDS)
        status = self.child.wait()
        self.child = None
        heard.join(WORDS_SECONDS)
        if status < 0:
            status = 128 - status
        there = self.trial()
        if self.current() != trial["id"] and there is not None and there["id"] == trial["id"]:
            say("%s on trial ended with exit status %d" % (trial["id"], status))
            # What it wrote there itself stays.
            there["ended"] = ", the last time with exit status %d" % status
            if heard.last:
                there["ended"] += ": " + heard.last
            if there.get("back") is None and trial.get("back") is not None:
                there["back"] = trial["back"]
            if self.stopping and there["starts"] > 0:
                there["starts"] -= 1  # it was stopped, and did not crash
            self.tried(there)
        return status

    def end(self) -> None:
        """The one on trial, for sure."""
        child = self.child
        if child is None:
            return
        child.terminate()
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def go_back(self, trial: Trial) -> None:
        say("%s goes back to %s: %s" % (trial["id"], self.current(), trial["back"]))
        try:
            put_back(trial.get("database"))
        except OSError as error:
            # The older agent may not be able to read what the newer one has made of it.
            say("it cannot go back yet, the database could not be put back: %s" % error)
            self.failed = True
            return
        self.settle(trial, "returned", trial["back"])

    def settle(self, trial: Trial, outcome: str, why: Optional[str]) -> None:
        """The trial is over, whatever the disk says to it."""
        about = {"outcome": outcome, "why": why, "at": time.time()}
        for key in ("id", "version", "was", "job"):
            about[key] = trial.get(key)
        last = self.read(LAST) or {}
        if outcome == "returned":
            # To what the current one can go back is not forgotten for one that did not stay.
            current, before = ("id", "was") if last.get("outcome") == "done" else ("was", "before")
            if last.get(current) == about["was"]:
                about["before"] = last.get(before)
        try:
            if last.get("job") != trial.get("job") or outcome != "done":
                self.write(LAST, about)
        except OSError as error:
            say("it cannot be written down how the upgrade ended: %s" % error)
        try:
            os.unlink(os.path.join(self.root, TRIAL))
            sync_folder(self.root)
        except OSError as error:
            say("%s stays: %s" % (TRIAL, error))
            self.become_current()

    def tried(self, trial: Trial) -> bool:
        """Write down how far it is. What cannot be counted is not tried."""
        try:
            self.write(TRIAL, trial)
        except OSError as error:
            trial["back"] = "its trial cannot be written down: %s" % error
            self.go_back(trial)
            return False
        return True

    def become_current(self) -> None:
        """This very process, so that systemd's main process is the agent."""
        if self.stopping:
            sys.exit(0)
        os.environ[START_VARIABLE] = self.start
        os.environ.pop(TRIAL_VARIABLE, None)
        self.put_back_folder()
        program = os.path.join(self.root, CURRENT, "bin", "roost-agent")
        os.execv(program, [program, *self.arguments])

    def put_back_folder(self) -> None:
        """The current version's, where the installer was cut between two renames."""
        name = self.current()
        if name is None or os.path.exists(os.path.join(self.root, name)):
            return
        # Where both are there the new one is whole: see take_place in installer.py.
        for suffix in (".part", OLD_SUFFIX):
            left = os.path.join(self.root, "." + name + suffix)
            if os.path.exists(os.path.join(left, "kit.json")):
                say("%s takes the place that %s lacks" % (left, name))
                os.rename(left, os.path.join(self.root, name))
                sync_folder(self.root)
                return

    def current(self) -> Optional[str]:
        try:
            return os.path.basename(os.readlink(os.path.join(self.root, CURRENT)))
        except OSError:
            return None

    def trial(self) -> Optional[Trial]:
        """What is tried; None: nothing that can be read."""
        found = self.read(TRIAL)
        if found is None or not isinstance(found.get("id"), str):
            return None
        if not isinstance(found.get("starts"), int):
            return None
        return found

    def read(self, name: str) -> Optional[Dict[str, Any]]:
        try:
            with open(os.path.join(self.root, name), encoding="utf-8") as file:
                found = json.load(file)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def write(self, name: str, content: Dict[str, Any]) -> None:
        path = os.path.join(self.root, name)
        part = os.path.join(self.root, "." + name + ".start")
        with open(part, "w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, path)
        sync_folder(self.root)

    def signalled(self, number: int, _frame: Optional[FrameType]) -> None:
        """The agent on trial is told what this was told."""
        self.stopping = True
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(number)


class Heard(threading.Thread):
    """Passes on what the agent on trial says, and remembers its last words."""

    def __init__(self, source: Any) -> None:
        super().__init__(daemon=True)
        self.source, self.last = source, ""

    def run(self) -> None:
        for line in self.source:
            try:
                sys.stderr.buffer.write(line)
                sys.stderr.buffer.flush()
            except (OSError, ValueError):
                pass  # nobody hears this; the one on trial must not wait for it
            text = line.decode("utf-8", "replace").strip()
            if text and not text.startswith("hint:"):
                self.last = text[-LAST_WORDS:]


def put_back(database: Optional[str]) -> None:
    """The database as it was before its schema was changed, if it was."""
    if not database or not os.path.exists(database + COPY_SUFFIX):
        return
    # What these have belongs to the newer one.
    for suffix in ("-wal", "-shm"):
        if os.path.exists(database + suffix):
            os.unlink(database + suffix)
    folder = os.path.dirname(database)
    sync_folder(folder)
    os.rename(database + COPY_SUFFIX, database)
    sync_folder(folder)


def sync_folder(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def die_with(parent: int) -> None:
    """Nobody watches an agent on trial whose supervisor was killed: it must not go on."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def say(text: str) -> None:
    print("roost start: " + text, file=sys.stderr, flush=True)


def renew_unit(root: str, unit: str = UNIT) -> None:
    """The unit becomes the current version's, unless somebody has changed it by hand.

    systemd reads it at the next boot: a reload can take running containers their GPUs. Raises
    OSError.
    """
    there, own = content(unit), content(os.path.join(root, CURRENT, KIT, os.path.basename(unit)))
    if there is None or own in (None, there):
        return
    versions = [os.path.join(root, name, KIT, os.path.basename(unit)) for name in os.listdir(root)]
    if there in [content(path) for path in versions]:
        folder, name = os.path.split(unit)
        part = os.path.join(folder, "." + name + ".part")
        with open(part, "wb") as file:
            file.write(own or b"")
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.rename(part, unit)
        sync_folder(folder)
        say("from the next boot on %s is the current version's" % unit)


def content(path: str) -> Optional[bytes]:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def of_current(root: str) -> Optional[Any]:
    """What starts and tries agents, as the current version has it. None: it cannot be loaded."""
    path = os.path.join(root, CURRENT, KIT, "start.py")
    if not os.path.exists(path):
        return None
    try:
        found = runpy.run_path(path)
        return found.get("supervise") or found["main"]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, agents are started
        say("%s cannot be used: %s" % (path, error))
        return None


def main() -> int:
    root = os.path.dirname(os.path.abspath(sys.argv[0]))
    try:
        renew_unit(root)
    except OSError as error:
        say("%s stays as it is: %s" % (UNIT, error))
    found = of_current(root)
    if found is not None:
        try:
            return int(found())
        except Exception as error:
            say("the current version's own start fails: %s" % error)
            if has_child():  # on trial: it ends with this process, and its start was counted
                raise
    return supervise()


def has_child() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def supervise() -> int:
    supervisor = Supervisor(os.path.abspath(sys.argv[0]), sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.signalled)
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
