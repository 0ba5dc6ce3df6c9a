"""The files by which the agent and its supervisor (agent/kit/start.py) speak of an upgrade."""

from __future__ import annotations

import logging
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent.durable import sync_folder, write_whole
from agent.kit import start as starting
from agent.kit.start import (
    COPY_SUFFIX,
    CURRENT,
    LAST,
    START_VARIABLE,
    TRIAL,
    TRIAL_VARIABLE,
    UP_SECONDS,
)
from agent.protocol.decoding import from_json
from agent.protocol.problems import ProblemError
from agent.protocol.upgrades import LastUpgrade

# Which kit ran when a job first did.
FIRST = "first-upgrade.json"
# Of a program that starts another one, on a machine with much to do.
REHEARSAL_SECONDS = 30.0
_TOY = b"import sys\nprint(*sys.argv[1:])\n"

log = logging.getLogger(__name__)


class Trial(msgspec.Struct, kw_only=True):
    """`trial.json`. The supervisor counts the starts, and either side may say that it goes back."""

    id: str
    version: str | None = None
    was: str
    job: str
    seconds: float
    up_seconds: float = UP_SECONDS
    confirmed: bool = False
    database: str | None = None  # whose copy is put back where it goes back
    starts: int = 0
    back: str | None = None  # why
    ended: str = ""  # how the last start did, in words


class TrialFiles:
    """One folder such as /opt/roost. All methods block, and raise OSError."""

    def __init__(self, root: Path, *, tried: str | None) -> None:
        """`tried` is the id of the kit that this agent runs from on trial; None: it is current."""
        self.root, self.tried = root, tried

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> TrialFiles | None:
        """Those of the supervisor that started this agent; None: none did."""
        start = environment.get(START_VARIABLE)
        if not start:
            return None
        return cls(Path(start).parent, tried=environment.get(TRIAL_VARIABLE))

    @property
    def start(self) -> Path:
        """The supervisor's program."""
        return self.root / "start"

    def current(self) -> str | None:
        """The kit's id that the next start runs, unless one is on trial."""
        try:
            return (self.root / CURRENT).readlink().name
        except OSError:
            return None

    def trial(self) -> Trial | None:
        """The one under way."""
        try:
            return from_json((self.root / TRIAL).read_bytes(), Trial)
        except (OSError, msgspec.MsgspecError):
            return None

    def last(self) -> LastUpgrade | None:
        """How the last one ended."""
        try:
            return from_json((self.root / LAST).read_bytes(), LastUpgrade)
        except (OSError, msgspec.MsgspecError):
            return None

    def first(self, job: str, *, again: bool) -> str | None:
        """Which kit was current when that job first asked; it is written down then.

        None: it asks `again`, and nothing is written down. The agent went and came anew, perhaps on
        a copy of its database in which the job still runs.
        """
        path = self.root / FIRST
        try:
            noted = from_json(path.read_bytes(), _First)
        except (OSError, msgspec.MsgspecError):
            noted = None
        if noted is None or noted.job != job:
            if again:
                return None
            noted = _First(job=job, was=self.current())
            write_whole(path, msgspec.json.encode(noted), mode=0o644)
        return noted.was

    def begin(self, trial: Trial) -> None:
        """From the next start on. What another one kept of the database is not its own."""
        if trial.database is not None:
            self.keep_copy(Path(trial.database))
        write_whole(self.root / TRIAL, msgspec.json.encode(trial), mode=0o644)

    def withdraw(self, job: str) -> None:
        """The trial that this job began is none."""
        trial = self.trial()
        if trial is not None and trial.job == job:
            (self.root / TRIAL).unlink(missing_ok=True)
            sync_folder(self.root)

    def confirm(self, trial: Trial) -> None:
        """It is wanted. It has still to start all that it does."""
        trial.confirmed = True
        write_whole(self.root / TRIAL, msgspec.json.encode(trial), mode=0o644)

    def finish(self, trial: Trial, *, at: float) -> None:
        """The one on trial is current from now on; that is so once the link has moved.

        Raises:
            OSError: it has not moved. What fails after that is told in the log: the next start
                finds the rest.
        """
        part = self.root / f".{CURRENT}.confirm"
        part.unlink(missing_ok=True)
        part.symlink_to(trial.id)
        part.replace(self.root / CURRENT)
        last = LastUpgrade(
            id=trial.id,
            version=trial.version,
            was=trial.was,
            job=trial.job,
            outcome="done",
            at=at,
        )
        try:
            sync_folder(self.root)
            write_whole(self.root / LAST, msgspec.json.encode(last), mode=0o644)
            if trial.database is not None:
                self.keep_copy(Path(trial.database))
            (self.root / TRIAL).unlink(missing_ok=True)
            sync_folder(self.root)
            self._renew()
        except OSError:
            log.exception("agent %s is current, and not all of that was written down", trial.id)

    def rehearse(self) -> str | None:
        """Why what came with this version cannot start agents on this machine; None: it can.

        It has a toy to start, in a folder of its own: nothing else has tried it before it is
        needed, at the next boot.
        """
        try:
            with tempfile.TemporaryDirectory(
                prefix=".rehearsal", suffix=".part", dir=self.root
            ) as name:
                toy = Path(name) / CURRENT / "bin" / "roost-agent"
                toy.parent.mkdir(parents=True)
                # By the same Python: an image of the agent may have no shell.
                toy.write_bytes(self._python() + _TOY)
                toy.chmod(0o755)
                program = Path(name) / self.start.name
                program.write_bytes(self._own_start())
                program.chmod(0o755)
                done = subprocess.run(
                    [program, "serve"],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=REHEARSAL_SECONDS,
                    check=False,
                )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"what starts agents could not be tried: {error}"
        if done.returncode == 0 and done.stdout == b"serve\n":
            return None
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return f"its own {self.start.name} does not start agents: {''.join(last)[-200:]}"

    def _own_start(self) -> bytes:
        """What came with this version, for the Python that the one there runs with."""
        return self._python() + Path(starting.__file__).read_bytes()

    def _python(self) -> bytes:
        """The first line of a program there."""
        with self.start.open("rb") as file:
            return file.readline()

    def _renew(self) -> None:
        """What starts agents finds the current version's own; the unit is that version's."""
        found = re.search(rb"^FINDS = (\d+)$", self.start.read_bytes(), re.MULTILINE)
        if found is None or int(found[1]) < starting.FINDS:
            write_whole(self.start, self._own_start(), mode=0o755)
        starting.renew_unit(str(self.root))

    def give_up(self, trial: Trial, why: str) -> None:
        """The supervisor goes back when this agent has ended."""
        trial.back = why
        write_whole(self.root / TRIAL, msgspec.json.encode(trial), mode=0o644)

    def keep_copy(self, database: Path) -> None:
        """What the last upgrade kept of the database is that of the kit that ran before it.

        Where that upgrade was not done it is nobody's, and is removed.
        """
        copy, last = Path(f"{database}{COPY_SUFFIX}"), self.last()
        if not copy.exists():
            return
        done = last is not None and last.outcome == "done" and last.id == self.current()
        if last is not None and last.was and done:
            copy.replace(copy_of(database, last.was))
        else:
            copy.unlink()
        sync_folder(copy.parent)

    def forget_copies(self, database: Path) -> None:
        """Those of kits that are kept no longer."""
        copies = Path(f"{database}{COPY_SUFFIX}-")
        for copy in copies.parent.glob(f"{copies.name}*"):
            if not (self.root / copy.name[len(copies.name) :] / "kit.json").exists():
                copy.unlink(missing_ok=True)

    def check_schema(self, database: Path, kit: str) -> None:
        """Raises ProblemError `upgrade.schema`: that kit cannot read the database any more."""
        self.keep_copy(database)
        copy = copy_of(database, kit)
        if copy.exists():
            raise ProblemError(
                "upgrade.schema",
                f"the database was changed since agent {kit} ran, which cannot read it any more;"
                f" as it was then it lies in {copy}",
                params={"kit": kit, "copy": str(copy)},
                hint="What came since would be lost. If that is wanted: roost node uninstall, which"
                f" keeps the data; put the copy in the place of {database.name}, and remove its"
                " -wal and -shm; then roost node install with that kit.",
            )


class _First(msgspec.Struct, kw_only=True):
    job: str
    was: str | None


def copy_of(database: Path, kit: str) -> Path:
    """Where the database lies as that kit left it, if its schema was changed after that."""
    return Path(f"{database}{COPY_SUFFIX}-{kit}")
