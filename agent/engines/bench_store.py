"""Tables of benches, one file for each: `FOLDER/.benches/<job>.json`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent import durable
from agent.engines.store import unstorable
from agent.protocol.decoding import from_json
from agent.protocol.engine_figures import EngineBench

FOLDER = ".benches"
KEEP = 50


class BenchStore:
    """All methods block. They raise ProblemError `engine.storage` where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def keep(self, bench: EngineBench) -> None:
        """Write it, and remove the oldest where there are too many."""
        try:
            self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            durable.write_whole(
                self._folder / f"{bench.job}.json", msgspec.json.encode(bench), mode=0o644
            )
            for old in self.newest()[KEEP:]:
                (self._folder / f"{old.job}.json").unlink(missing_ok=True)
        except OSError as error:
            raise unstorable(error, self._folder) from None

    def find(self, job: str) -> EngineBench | None:
        """That of a job, as far as it is."""
        return next((each for each in self.newest() if each.job == job), None)

    def newest(self) -> list[EngineBench]:
        """All that can be read, the newest first."""
        found = []
        for file in self._folder.glob("*.json"):
            try:
                found.append(from_json(file.read_bytes(), EngineBench))
            except (OSError, msgspec.MsgspecError):
                continue  # it vanished, or another agent wrote it
        return sorted(found, key=lambda bench: bench.at, reverse=True)
