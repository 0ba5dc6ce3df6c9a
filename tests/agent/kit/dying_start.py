"""agent/kit/start.py in a process that kills itself before the Nth thing that it does to the world.

`python dying_start.py START N ARGUMENT...`; N 0: it lives. What it does is counted, not timed.
"""

from __future__ import annotations

import itertools
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

START = sys.argv[1]
deeds = itertools.count(1)
LAST = int(sys.argv[2])


def dying(real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        if next(deeds) == LAST:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)

    return call


for name in ("rename", "unlink", "execv"):
    setattr(os, name, dying(getattr(os, name)))
subprocess.Popen = dying(subprocess.Popen)  # type: ignore[assignment,misc]
sys.argv[:] = [START, *sys.argv[3:]]
runpy.run_path(START, run_name="__main__")
