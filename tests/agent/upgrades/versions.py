"""Two versions of the real agent below the real supervisor, in a folder instead of on a machine.

Both run this checkout's code; what a version has changed in it is a line that runs before.
"""

from __future__ import annotations

import json
import shutil
import socket
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from agent.kit import start
from tests.agent_process import AgentProcess

WAIT_SECONDS = 90.0  # three starts on a machine that others use, too
REPOSITORY = Path(__file__).parent.parent.parent.parent
T = TypeVar("T")


class Versions:
    """`agent` is the supervisor's process, and what it became."""

    def __init__(self, folder: Path, *, runtime: str | None = None) -> None:
        self.root = folder / "opt"
        self.root.mkdir()
        self.add("a-1")
        (self.root / start.CURRENT).symlink_to("a-1")
        program = self.root / "start"
        program.write_text(f"#!{sys.executable} -IS\n{Path(start.__file__).read_text()}")
        program.chmod(0o755)
        settings = {} if runtime is None else {"runtime": runtime}
        self.agent = AgentProcess(folder, settings, program=program)

    def add(self, name: str, line: str = "") -> None:
        """A version; `line` runs before its `main`."""
        place = self.root / name
        (place / "bin").mkdir(parents=True)
        about = {"id": name, "version": name.split("-", maxsplit=1)[0], "arch": "any"}
        (place / "kit.json").write_text(json.dumps(about))
        main = place / "bin" / "roost-agent"
        main.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(REPOSITORY)!r})\n{line}\n"
            "from agent.cli.main import main\nmain()\n"
        )
        main.chmod(0o755)

    @property
    def current(self) -> str:
        return (self.root / start.CURRENT).readlink().name

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(self.agent.sockets["admin"]))
        with self.agent.client("admin") as client:
            return client.request(method, path, json=body, headers=headers)

    def begin(self, name: str, **request: Any) -> dict[str, Any]:
        """The job that tries a version which lies there."""
        answer = self.ask("POST", "/v1/agent/upgrade", {"id": name, **request})
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/v1/agent/upgrade").json()
        return found

    def until(self, look: Callable[[], T | None]) -> T:
        """What `look` finds at last; an agent that is away for the moment is asked again."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            with warnings.catch_warnings():
                # httpcore leaves the socket open with which it could not connect.
                warnings.simplefilter("ignore", ResourceWarning)
                try:
                    found = look()
                except (OSError, httpx.HTTPError, KeyError):
                    found = None
            if found is not None:
                return found
            assert time.monotonic() < deadline, self.agent.log()
            time.sleep(0.05)

    def tried(self, name: str) -> dict[str, Any]:
        """Wait until that one answers on trial."""

        def look() -> dict[str, Any] | None:
            state = self.state()
            return state if (state["kit"], state["on_trial"]) == (name, True) else None

        return self.until(look)

    def ended(self, job: dict[str, Any]) -> dict[str, Any]:
        """Wait until the job has."""

        def look() -> dict[str, Any] | None:
            now: dict[str, Any] = self.ask("GET", f"/v1/jobs/{job['id']}").json()
            return now if now["state"] not in ("queued", "running") else None

        return self.until(look)

    def close(self) -> None:
        self.agent.close()
        shutil.rmtree(self.root, ignore_errors=True)
