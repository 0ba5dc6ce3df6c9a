"""`roost-agent bundle import`: loads what lies on this machine, with no console."""

from __future__ import annotations

import http.client
import os
import secrets
import socket
import sys
import time
from pathlib import Path

import click
import msgspec

from agent.cli.options import config_option
from agent.protocol.access import OWNER_HEADER
from agent.protocol.decoding import from_json
from agent.protocol.images import ImportRequest
from agent.protocol.jobs import ENDED, IDEMPOTENCY_HEADER, Job
from agent.protocol.problems import Problem, ProblemError
from agent.rules.service import LOG_HINT, is_service, start_command
from agent.settings import load_settings

LOOK_SECONDS = 0.5
ANSWER_SECONDS = 60.0
ANSWER_LIMIT_BYTES = 4 * 1024 * 1024


@click.group("bundle")
def command() -> None:
    """Load images that lie on this machine: on a stick, a card, a share."""


@command.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--make-room",
    is_flag=True,
    help="Where there is no room, remove images: those that Roost loaded and nothing uses.",
)
@config_option
def import_bundle(path: Path, config: Path | None, *, make_room: bool) -> None:
    """Have the agent of this machine load PATH: a bundle, or an archive of images.

    The work is the agent's: ending this command does not end it. Where there is no room without
    removing images, you are asked, unless --make-room says so.
    """
    settings = load_settings(config)
    if settings.operator_socket is None and settings.admin_socket is None:
        raise ProblemError(
            "dial.no_socket",
            "agent.yaml turns the operator's and the admin's sockets off",
            hint="Set operator_socket or admin_socket in agent.yaml.",
        )
    agent = _Agent(settings.operator_socket or settings.admin_socket or Path())
    # Where the agent looks is told from the root; links stay, a stick may be mounted behind one.
    job = _see_through(agent, ImportRequest(path=str(path.absolute()), make_room=make_room))
    if not make_room and _may_remove(job.problem):
        job = _see_through(agent, ImportRequest(path=str(path.absolute()), make_room=True))
    _conclude(job)


def _see_through(agent: _Agent, request: ImportRequest) -> Job:
    """The job when it has ended, however."""
    job = agent.begin(request)
    stage = None
    while job.state not in ENDED:
        if job.stage != stage:
            stage = job.stage
            click.echo(f"{stage} ...", err=True)
        time.sleep(LOOK_SECONDS)
        job = agent.job(job.id)
    return job


def _may_remove(problem: Problem | None) -> bool:
    """Ask, where it failed for want of that word and there is somebody to ask."""
    if problem is None or not problem.params.get("make_room") or not sys.stdin.isatty():
        return False
    images = problem.params.get("images")
    named = images if isinstance(images, list) else []
    click.echo(_printable(problem.detail), err=True)
    click.echo(
        "In the way, and loaded by Roost and used by nothing: " + _printable(", ".join(named)),
        err=True,
    )
    many = "1 image" if len(named) == 1 else f"{len(named)} images"
    return click.confirm(f"Remove {many}? Without it, nothing is loaded.", default=False, err=True)


def _conclude(job: Job) -> None:
    """Print what was loaded, or tell why not."""
    if job.problem is not None:
        raise ProblemError.from_problem(job.problem)
    if job.state not in {"succeeded", "skipped"}:
        raise ProblemError(
            "job.unsuccessful",
            f"the job {job.id} is {job.state}: {job.reason or 'no reason was given'}",
            params={"job": job.id},
            hint=f"{LOG_HINT}.",
        )
    for tag, image in job.result.items():
        click.echo(_printable(f"{tag}  {image}"))
    sys.stdout.flush()


class _Agent:
    """The agent of this machine over its socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, request: ImportRequest) -> Job:
        body = msgspec.json.encode(request)
        headers = {
            "Content-Type": "application/json",
            IDEMPOTENCY_HEADER: secrets.token_hex(16),
            OWNER_HEADER: f"uid {os.getuid()} on the node",
        }
        return self._ask("POST", "/v1/images/import", body, headers)

    def job(self, job_id: str) -> Job:
        return self._ask("GET", f"/v1/jobs/{job_id}", b"", {})

    def _ask(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Job:
        connection = http.client.HTTPConnection("roost", timeout=ANSWER_SECONDS)
        connection.sock = self._connected()
        try:
            connection.request(method, target, body or None, headers)
            answer = connection.getresponse()
            content = answer.read(ANSWER_LIMIT_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise self._no_agent(str(error)) from None
        finally:
            connection.close()
        try:
            if answer.status >= 400:
                raise ProblemError.from_problem(from_json(content, Problem))
            return from_json(content, Job)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._no_agent("what answers is no agent") from None

    def _connected(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(ANSWER_SECONDS)
        try:
            sock.connect(str(self._path))
        except OSError as error:
            sock.close()
            raise self._no_agent(error.strerror or str(error)) from None
        return sock

    def _no_agent(self, why: str) -> ProblemError:
        return ProblemError(
            "dial.no_agent",
            f"no agent answers at {self._path}: {why}",
            params={"path": str(self._path)},
            hint=f"Start it: {start_command(service=is_service(os.path.exists))}."
            " Its socket is for root and group roost.",
        )


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text)
