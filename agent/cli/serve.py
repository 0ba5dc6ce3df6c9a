"""`roost-agent serve`: the agent of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import sys
import threading
from pathlib import Path

import click

from agent.cli.machine import this_machine
from agent.cli.options import config_option
from agent.cli.own_places import see_own_places
from agent.cli.parent import call_when_parent_ends
from agent.gpu.detect import gpu_source
from agent.gpu.source import GpuSource
from agent.host.real_paths import host_root
from agent.http.caller import Listener
from agent.http.certificate import ensure_certificate, fingerprint, server_context
from agent.http.server import Servers
from agent.http.sockets import listen_tcp
from agent.live.own_log import LogKeeper
from agent.node import Node
from agent.protocol.decoding import work_out_all
from agent.protocol.problems import ProblemError
from agent.settings import HttpsSettings, Settings, load_settings
from agent.store.database import Database
from agent.upgrades.trial_files import TrialFiles

# A thread that is stuck in a driver or on a disk would keep a hand-over waiting for ever.
HAND_OVER_SECONDS = 20.0

log = logging.getLogger("agent")


@click.command("serve")
@config_option
@click.option("--with-parent", is_flag=True, help="End when standard input is closed.")
def command(config: Path | None, *, with_parent: bool) -> None:
    """Run the agent of this machine until it is told to stop."""
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    allow_open_files()
    work_out_all()
    settings, root = load_settings(config), host_root()
    see_own_places(settings, root)
    if asyncio.run(serve(settings, gpu_source(root), with_parent=with_parent)):
        _hand_over()


async def serve(settings: Settings, gpu: GpuSource, *, with_parent: bool = False) -> bool:
    """Serve this machine with the GPUs of `gpu` until a signal, or the end of the parent.

    Returns:
        Whether it ended so that its supervisor starts another version.
    """
    database = Database(settings.database)
    _open(database)
    own_log = LogKeeper(root=host_root())
    logging.getLogger().addHandler(own_log)
    node = this_machine(settings, database, gpu, own_log)
    servers = Servers(root=host_root())
    try:
        _listen(servers, node, settings)
    except BaseException:
        servers.close()
        raise
    if with_parent:
        await call_when_parent_ends(servers.stop)
    node.upgrades.on_end(lambda: end_soon(servers))
    await asyncio.to_thread(_settle, node)
    # Callers are answered from the first moment on; /readyz says when the first sample is in.
    serving = asyncio.create_task(servers.serve())
    starting = asyncio.create_task(node.start())
    try:
        await asyncio.wait({serving, starting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            log.info("agent of %s is up", settings.name)
        await serving
    finally:
        servers.stop()
        starting.cancel()
        await asyncio.gather(serving, starting, return_exceptions=True)
        await node.stop()
        await asyncio.to_thread(database.close)
        logging.getLogger().removeHandler(own_log)
    return node.upgrades.handed_over and not servers.signalled


def end_soon(servers: Servers, seconds: float = HAND_OVER_SECONDS) -> None:
    """Have it end, and see to it that it does: systemd starts the supervisor then."""
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()
    servers.stop()


def _hand_over() -> None:
    """To the supervisor: it watches this process where that is on trial, else it takes its place,
    so that for systemd nothing has ended."""
    files = TrialFiles.of(os.environ)
    if files is not None and files.tried is None:
        os.execv(files.start, [str(files.start), *sys.argv[1:]])  # noqa: S606 - no shell is meant


def allow_open_files() -> None:
    """As many as may be: each follower is one, and systemd starts with 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _open(database: Database) -> None:
    """A database of a newer agent is left alone; one that cannot be used stops only changes."""
    try:
        database.open()
    except ProblemError as problem:
        if problem.code == "store.newer":
            raise
        log.warning("%s: %s. Nothing can be changed until then.", problem.title, problem.detail)


def _settle(node: Node) -> None:
    with contextlib.suppress(ProblemError):  # `_open` told it
        node.audit.settle()


def _listen(servers: Servers, node: Node, settings: Settings) -> None:
    if settings.operator_socket:
        listener = Listener(node, f"unix:{settings.operator_socket.name}", "operator")
        servers.add_unix(settings.operator_socket, listener, mode=0o660, group=settings.group)
    if settings.viewer_socket:
        listener = Listener(node, f"unix:{settings.viewer_socket.name}", "viewer")
        servers.add_unix(settings.viewer_socket, listener, mode=0o660, group=settings.group)
    if settings.admin_socket:
        listener = Listener(node, f"unix:{settings.admin_socket.name}", "admin")
        servers.add_unix(settings.admin_socket, listener, mode=0o600)
    if settings.https:
        _listen_tls(servers, node, settings, settings.https)
    if settings.site_listen:
        _listen_site(node, settings, settings.site_listen)


def _listen_tls(servers: Servers, node: Node, settings: Settings, https: HttpsSettings) -> None:
    certificate, key = https.certificate, https.key
    try:
        if certificate is None or key is None:
            certificate, key = ensure_certificate(settings.state, name=settings.name)
        context = server_context(certificate, key)
        pinned = fingerprint(certificate)
    except (OSError, ValueError) as error:
        raise ProblemError(
            "listen.failed",
            f"the certificate {certificate or settings.state} cannot be used: {error}",
            hint="Check https.certificate and https.key in agent.yaml, or the state folder.",
        ) from None
    port = servers.add_tls(https.address, Listener(node, "https", None), context)
    log.info("https on port %d, certificate %s", port, pinned)


def _listen_site(node: Node, settings: Settings, address: str) -> None:
    folder = settings.state / "site"
    try:
        certificate, key = ensure_certificate(folder, name=settings.name)
        context, pinned = server_context(certificate, key), fingerprint(certificate)
    except (OSError, ValueError) as error:
        raise ProblemError(
            "listen.failed",
            f"the certificate in {folder} cannot be used: {error}",
            hint="Check that folder, or remove it: the agent makes a new certificate.",
        ) from None
    node.site.listen(lambda: listen_tcp(address), context, pinned)
    log.info("for its site: %s, certificate %s", address, pinned)
