"""A process that writes to a timing cache, as worker.py does: `CACHE NAME COUNT`.

The cache is JSON, a list of names, in place of TensorRT's own; all else is the worker's.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from agent.engines import worker

AMID_SECONDS = 0.002  # between what is read and what is written: others get their chance


class _Cache:
    def __init__(self, data: bytes) -> None:
        self.names: set[str] = set(json.loads(data or b"[]"))

    def combine(self, theirs: _Cache, *, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.names |= theirs.names
        time.sleep(AMID_SECONDS)
        return True

    def serialize(self) -> bytes:
        return json.dumps(sorted(self.names)).encode()


class _Config:
    def create_timing_cache(self, data: bytes) -> _Cache:
        return _Cache(data)

    def set_timing_cache(self, cache: _Cache, *, ignore_mismatch: bool) -> bool:
        self._cache = cache
        return not ignore_mismatch

    def get_timing_cache(self) -> _Cache:
        return self._cache


class _TensorRT:
    __name__ = "tensorrt"


def main(path: str, name: str, count: int) -> None:
    """Begins when it is told to; each time a build's worth, and one entry more."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    log: Any = None  # it says nothing where nothing goes wrong
    for number in range(count):
        config = _Config()
        cache = worker.TimingCache(_TensorRT(), config, path, log)
        config.get_timing_cache().names = {f"{name} {number}"}  # it was begun before any other
        cache.write()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
