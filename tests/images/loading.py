"""A steady load of JPEGs on a detector, from inside its network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.images.detector_side import IMAGES, PORT, Detector
from tests.real.runtime import PrivateRuntime

HERE = Path(__file__).parent
# 200 x 100, grey, with a red square from (50, 25) to (100, 50).
JPEG = IMAGES / "detector" / "sample" / "red.jpg"


def load(detector: Detector, rate: int, into: dict[str, Any]) -> AbstractContextManager[None]:
    """On one container."""
    return load_on(detector.engine, detector.address, PORT, rate, into)


@contextmanager
def load_on(
    engine: PrivateRuntime, host: str, port: int, rate: int, into: dict[str, Any]
) -> Iterator[None]:
    """JPEGs at that rate from inside the engine's network; `into` has the outcome at the end."""
    words = (*engine.enclosure.entering(), sys.executable, str(HERE / "detector_load.py"))
    process = subprocess.Popen(
        [*words, host, str(port), str(rate), str(JPEG)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield
    finally:
        said, _ = process.communicate()
    into.update(json.loads(said))
