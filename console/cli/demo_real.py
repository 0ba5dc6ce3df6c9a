"""`roost demo --real`: the detector's image behind a gateway on this machine's own Docker."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib
import os
import shutil
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import yaml

from agent.protocol.problems import ProblemError
from console.cli.own_agent import (
    CONFIG,
    agent_yaml,
    own_agent,
    runtime_settings,
    short_place,
    until_ready,
)
from console.cli.release_new import built, release_text
from console.fleet.inventory import Inventory, NodeEntry
from console.fleet.links import Links, stated_owner

NODE, NAME = "here", "detector"
REQUESTS_A_SECOND = 20
TELL_SECONDS = 10.0
PATIENCE_SECONDS = 10.0
# What goes beside the release so that nobody waits for ten minutes.
FAST = {
    "soak": "10s",
    "weights": [10, 50, 100],
    "waves": [{"nodes": 1}],
    "analysis": {"conditions": [{"error_rate": {"at_most": "2%", "least": 20}}, "restarts"]},
}
LAST_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def real_demo(images: Path, *, gateway: str, port: int) -> int:
    """Runs until a signal; then the container, its proxy and all files go again.

    Args:
        images: the folder whose lock says which image was built.
        gateway: an image with HAProxy.

    Raises:
        ProblemError: `build.files`, `console.agent_missing`, `console.usage`, `demo.real`.
    """
    image = built(images)[0]
    with tempfile.TemporaryDirectory(prefix="roost-", dir=short_place()) as name:
        folder = Path(name)
        picture = _write_files(folder, images, image, port)
        traffic = {"image": gateway, "run_by": "container"}
        settings = {"traffic": traffic, **runtime_settings(os.environ)}
        (folder / CONFIG).write_text(agent_yaml(folder, NODE, settings), "utf-8")
        with own_agent(folder, NODE) as started:
            asyncio.run(_ready(started))
            fleet = msgspec.to_builtins(Inventory(nodes=[started]))
            (folder / "fleet.yaml").write_text(yaml.safe_dump(fleet, sort_keys=False), "utf-8")
            os.environ["ROOST_STATE"] = str(folder / "rollouts")
            with _deployed(folder):
                _tell(folder, port)
                _keep_asking(port, picture)
    return 0


def _write_files(folder: Path, images: Path, image: str, port: int) -> bytes:
    """The releases and the model; a picture to ask about. Raises ProblemError `build.files`."""
    sample = images / "detector" / "sample"
    models = folder / "models"
    try:
        models.mkdir(mode=0o755)
        models.chmod(0o755)
        shutil.copyfile(sample / "colours.onnx", models / "detector.onnx")
        picture = (sample / "red.jpg").read_bytes()
    except OSError as error:
        raise ProblemError(
            "build.files",
            f"{error.filename}: {error.strerror}",
            hint="`roost demo --real` wants the whole images/ folder: --images DIR",
        ) from None
    text = release_text(NAME, [image], file="one.yaml", gpu=False, strategy="weighted", port=port)
    document = yaml.safe_load(text)
    document["x-roost"]["rollout"] = FAST
    service = document["services"][NAME]
    service["volumes"] = [f"{models}:/models:ro"]
    service["x-roost"]["soak"] = "2s"
    changes: dict[str, dict[str, str]] = {
        "one": {},
        "good": {"DETECTOR_LABELS": "red,green,blue"},
        "bad": {"DETECTOR_ONNX": "/models/none.onnx"},
    }
    for name, environment in changes.items():
        service["environment"] = environment
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    return picture


async def _ready(entry: NodeEntry) -> None:
    client = Links(os.environ, owner=stated_owner()).client(entry)
    try:
        await until_ready(client)
    finally:
        await client.close()


@contextlib.contextmanager
def _deployed(folder: Path) -> Iterator[None]:
    """Raises ProblemError `demo.real`: it does not run."""
    if _roost(folder, "workload", "apply", str(folder / "one.yaml"), "--to", f"@{NODE}", "--yes"):
        raise ProblemError(
            "demo.real",
            "the detector was not deployed: see above",
            hint="Its image and the gateway's must be in this machine's Docker: docker images",
        )
    try:
        yield
    finally:
        _roost(folder, "workload", "rm", NODE, NAME, "--yes")


def _roost(folder: Path, *arguments: str) -> int:
    command = importlib.import_module("console.cli.main").cli
    words = ["--fleet", str(folder / "fleet.yaml"), *arguments]
    try:
        code = command.main(args=words, prog_name="roost", standalone_mode=False)
    except ProblemError as problem:
        importlib.import_module("console.cli.failures").tell(problem)
        return 1
    return code if isinstance(code, int) else 0


def _tell(folder: Path, port: int) -> None:
    click.echo(
        f"The detector answers at http://127.0.0.1:{port}/v1/detect, {REQUESTS_A_SECOND} times a"
        " second. In another terminal:\n\n"
        f"  export ROOST_FLEET={folder}/fleet.yaml ROOST_STATE={folder}/rollouts\n"
        f"  cd {folder}\n"
        f"  roost rollout plan good.yaml --to @{NODE}     # a canary that goes well\n"
        f"  roost rollout plan bad.yaml --to @{NODE}      # and one that comes back by itself\n"
        "  roost                                      # and look on\n\n"
        "Ctrl-C ends it, and removes what it made.\n"
    )


def _keep_asking(port: int, picture: bytes) -> None:
    """Until a signal; what became of the requests is told now and then."""
    answers: Counter[str] = Counter()
    ended = threading.Event()
    # Before the thread, which leaves them to us, and after the agent, which wants its own.
    signal.pthread_sigmask(signal.SIG_BLOCK, LAST_SIGNALS)
    asker = threading.Thread(target=_ask, args=(port, picture, answers, ended))
    asker.start()
    try:
        while signal.sigtimedwait(LAST_SIGNALS, TELL_SECONDS) is None:
            counts = ", ".join(f"{count} {what}" for what, count in sorted(answers.items()))
            click.echo(f"requests: {counts or 'none yet'}")
    finally:
        ended.set()
        asker.join()


def _ask(port: int, picture: bytes, answers: Counter[str], ended: threading.Event) -> None:
    while not ended.wait(1 / REQUESTS_A_SECOND):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("POST", "/v1/detect", picture)
            answer = connection.getresponse()
            answer.read()
            answers[str(answer.status)] += 1
        except (OSError, http.client.HTTPException) as error:
            answers[type(error).__name__] += 1
        finally:
            connection.close()
