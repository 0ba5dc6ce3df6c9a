"""One notice to a webhook, a command or a mail server: it took it, or it did not."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import signal
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import h11

from agent.protocol.decoding import from_json
from console.link.deadline import within
from console.rollouts.mailing import NotMailedError, mail
from console.rollouts.notice_file import Owed
from console.rollouts.notices import Mail, Notice, Target

READ_BYTES = 4096
HEAD_LIMIT_BYTES = 64 * 1024
SECRET_LIMIT_BYTES = 64 * 1024
WORDS_LIMIT = 200


class NotToldError(Exception):
    """It did not take it, and may later."""


async def tell(owed: Owed, environment: Mapping[str, str]) -> None:
    """Deliver it once.

    Raises:
        NotToldError: why it may not have come.
    """
    target = owed.target
    try:
        await within(target.timeout, _work(owed, environment))
    except asyncio.TimeoutError:
        raise NotToldError(f"no answer within {target.timeout:g} s") from None


async def _work(owed: Owed, environment: Mapping[str, str]) -> None:
    if owed.target.command:
        await _run(owed)
    elif owed.target.mail is not None:
        await _mail(owed, owed.target.mail, environment)
    else:
        await _post(owed, environment)


async def _mail(owed: Owed, to: Mail, environment: Mapping[str, str]) -> None:
    password = None
    if to.user is not None:
        named = (to.password_file, to.password_env)
        password = await _named(*named, environment, "its password")
    try:
        await mail(to, from_json(owed.body, Notice), password, seconds=owed.target.timeout)
    except NotMailedError as error:
        raise NotToldError(str(error)) from None


def signature(secret: bytes, at: int, body: bytes) -> str:
    """What `Roost-Signature` has: HMAC-SHA256 of the time, a dot and the body."""
    mac = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},sha256={mac.hexdigest()}"


async def _post(owed: Owed, environment: Mapping[str, str]) -> None:
    target, body = owed.target, owed.body.encode()
    address = urlsplit(await _address(target, environment))
    headers = [
        ("Host", address.netloc.rpartition("@")[2]),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("User-Agent", "roost"),
        ("Connection", "close"),
        ("Roost-Event", owed.kind),
        ("Roost-Delivery", owed.id),
    ]
    if target.signed:
        secret = await _named(target.secret_file, target.secret_env, environment, "its secret")
        headers.append(("Roost-Signature", signature(secret.encode(), int(time.time()), body)))
    status = await _status(address, headers, body)
    if not 200 <= status < 300:
        raise NotToldError(f"it answers {status}")


async def _address(target: Target, environment: Mapping[str, str]) -> str:
    if target.url is not None:
        return target.url
    found = await _named(target.url_file, target.url_env, environment, "its address")
    try:
        parts = urlsplit(found)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not found.isascii() or not found.isprintable() or " " in found:
        raise NotToldError("what its address is read from has none")
    return found


async def _named(
    file: str | None, variable: str | None, environment: Mapping[str, str], what: str
) -> str:
    """A secret, from where it is. Never more of it than whether it is there is told."""
    if variable is not None:
        found = environment.get(variable, "")
        where = f"${variable}"
    else:
        where = str(file)
        try:
            found = await asyncio.to_thread(_text, Path(where))
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise NotToldError(f"{what} cannot be read: {where}: {why}") from None
    if not found.strip():
        raise NotToldError(f"{what} is not there: {where} is empty or not set for the runner")
    return found.strip()


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(SECRET_LIMIT_BYTES).decode()


async def _status(address: SplitResult, headers: list[tuple[str, str]], body: bytes) -> int:
    """The status of the answer. A redirection is an answer, too."""
    context = ssl.create_default_context() if address.scheme == "https" else None
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT_BYTES)
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    try:
        request = h11.Request(method="POST", target=target, headers=headers)
        reader, writer = await asyncio.open_connection(
            address.hostname, address.port or (443 if context else 80), ssl=context
        )
        try:
            for part in (request, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(http.send(part) or b"")
            await writer.drain()
            while True:
                event = http.next_event()
                if isinstance(event, h11.Response):
                    return int(event.status_code)
                if event is h11.NEED_DATA:
                    http.receive_data(await reader.read(READ_BYTES))
                elif isinstance(event, h11.ConnectionClosed):
                    raise NotToldError("it ended the connection")
        finally:
            writer.transport.abort()
    except (OSError, h11.ProtocolError, UnicodeError) as error:
        raise NotToldError(str(error)[:WORDS_LIMIT] or type(error).__name__) from error


async def _run(owed: Owed) -> None:
    """The command, which ends with 0 where it has taken it; killed where it takes too long."""
    try:
        process = await asyncio.create_subprocess_exec(
            *owed.target.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise NotToldError(f"it cannot be started: {error.strerror}") from None
    try:
        said = await _fed(process, owed.body.encode())
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode:
        words = said.decode(errors="replace").strip()[-WORDS_LIMIT:]
        raise NotToldError(f"it ended with {process.returncode}: {words}")


async def _fed(process: asyncio.subprocess.Process, body: bytes) -> bytes:
    """The end of what it says on standard error, when it has ended."""
    if process.stdin is None or process.stderr is None:
        raise NotToldError("it has no pipes")
    with contextlib.suppress(OSError):  # it may end without reading
        process.stdin.write(body)
        await process.stdin.drain()
    process.stdin.close()
    said = b""
    while piece := await process.stderr.read(READ_BYTES):
        said = (said + piece)[-READ_BYTES:]
    await process.wait()
    return said
