"""The files by which the agent and its supervisor (agent/kit/start.py) speak of an upgrade."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent.durable import sync_folder, write_whole
from agent.kit.start import (
    COPY_SUFFIX,
    CURRENT,
    LAST,
    START_VARIABLE,
    TRIAL,
    TRIAL_VARIABLE,
)
from agent.protocol.decoding import from_json
from agent.protocol.upgrades import LastUpgrade


class Trial(msgspec.Struct, kw_only=True):
    """`trial.json`. The supervisor counts the starts, and either side may say that it goes back."""

    id: str
    version: str | None = None
    was: str
    job: str
    seconds: float
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

    def begin(self, trial: Trial) -> None:
        """From the next start on. What another upgrade kept of the database is removed first."""
        if trial.database is not None:
            copy = Path(trial.database + COPY_SUFFIX)
            copy.unlink(missing_ok=True)
            sync_folder(copy.parent)
        write_whole(self.root / TRIAL, msgspec.json.encode(trial), mode=0o644)

    def confirm(self, trial: Trial, *, at: float) -> None:
        """The one on trial is current from now on; that is so once the link has moved."""
        part = self.root / f".{CURRENT}.confirm"
        part.unlink(missing_ok=True)
        part.symlink_to(trial.id)
        part.replace(self.root / CURRENT)
        sync_folder(self.root)
        last = LastUpgrade(
            id=trial.id,
            version=trial.version,
            was=trial.was,
            job=trial.job,
            outcome="done",
            at=at,
        )
        write_whole(self.root / LAST, msgspec.json.encode(last), mode=0o644)
        (self.root / TRIAL).unlink(missing_ok=True)
        sync_folder(self.root)

    def give_up(self, trial: Trial, why: str) -> None:
        """The supervisor goes back when this agent has ended."""
        trial.back = why
        write_whole(self.root / TRIAL, msgspec.json.encode(trial), mode=0o644)
