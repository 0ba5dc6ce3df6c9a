"""One notice as an email, by SMTP: a server took it, or it did not."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate

from console.rollouts.notices import Mail, Notice
from console.text import clean

LONGEST_SUBJECT = 150
LONGEST_WHY = 4000


class NotMailedError(Exception):
    """It was not taken, and may be later. No password is in its words."""


def message_of(mail: Mail, notice: Notice) -> EmailMessage:
    """The same notice is the same message, with the same id."""
    what = f"{notice.what} at {notice.node}" if notice.node else notice.what
    subject = f"[roost] {notice.release}: {what} (rollout {notice.rollout})"
    message = EmailMessage()
    message["From"] = mail.sender
    message["To"] = mail.to
    message["Subject"] = clean(subject)[:LONGEST_SUBJECT]
    message["Date"] = formatdate(notice.at)
    message["Message-ID"] = f"<{notice.id}@roost>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(_lines(notice, what)) + "\n")
    return message


async def mail(to: Mail, notice: Notice, password: str | None, *, seconds: float) -> None:
    """Hand it to the server. For as long as `seconds`, and then until it is cancelled.

    Raises:
        NotMailedError: why it may not have come.
    """
    sending = _Sending(to, message_of(to, notice), password, seconds)
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[str | None] = loop.create_future()

    def told(why: str | None) -> None:
        if not ended.done():
            ended.set_result(why)

    def work() -> None:
        why = sending.why_not()
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(told, why)

    # No thread of a pool: one whose server hangs must not keep the process from ending.
    threading.Thread(target=work, name="mail", daemon=True).start()
    try:
        why = await ended
    finally:
        sending.cut()
    if why is not None:
        raise NotMailedError(why)


class _Sending:
    """What the thread does; `cut` ends it from outside."""

    def __init__(
        self, to: Mail, message: EmailMessage, password: str | None, seconds: float
    ) -> None:
        self._to, self._message, self._password = to, message, password
        self._seconds = seconds
        self._line: socket.socket | None = None
        self._over = False

    def cut(self) -> None:
        """Whatever it waits for ends now, and nothing more is begun."""
        self._over = True
        line = self._line
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def why_not(self) -> str | None:
        """None: the server has taken it."""
        try:
            return self._why_not()
        finally:
            if self._line is not None:
                self._line.close()

    def _why_not(self) -> str | None:
        try:
            with contextlib.closing(_Server(self._to, self._seconds, self._connected)) as server:
                if self._to.tls == "starttls":
                    server.starttls(context=ssl.create_default_context())
                why = self._logged_in(server)
                if why is None:
                    server.send_message(self._message)
                with contextlib.suppress(OSError):
                    server.putcmd("QUIT")  # whatever it answers, what it took it has taken
                return why
        except smtplib.SMTPRecipientsRefused as error:
            return "; ".join(_said(code, words) for code, words in error.recipients.values())
        except smtplib.SMTPResponseException as error:
            return _said(error.smtp_code, error.smtp_error)
        except (OSError, ValueError) as error:
            return clean(str(error))[:200] or type(error).__name__

    def _connected(self, line: socket.socket) -> None:
        """Hears of the connection before anything has come over it."""
        self._line = line
        if self._over:
            self.cut()

    def _logged_in(self, server: smtplib.SMTP) -> str | None:
        """Why it is not. The server's words stay away: it may repeat what it was told."""
        if self._to.user is None:
            return None
        try:
            server.login(self._to.user, self._password or "")
        except smtplib.SMTPResponseException as error:
            return f"it refuses the user or the password: {error.smtp_code}"
        except smtplib.SMTPNotSupportedError:
            return "it takes no user and password"
        except smtplib.SMTPServerDisconnected:
            return "it ended the connection at the login"
        except smtplib.SMTPException:
            return "it refuses the user or the password"
        except ValueError:
            return "the user or the password has letters that SMTP has not"
        return None


class _Server(smtplib.SMTP):
    """A server that has greeted. `connected` is given a handle of the connection before that: one
    that greets for ever, or never ends its TLS handshake, can be cut off."""

    def __init__(
        self, to: Mail, seconds: float, connected: Callable[[socket.socket], None]
    ) -> None:
        self._to, self._connected = to, connected
        super().__init__(to.host, to.port, local_hostname=socket.gethostname(), timeout=seconds)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        line = socket.create_connection((host, port), timeout)
        self._connected(line.dup())
        if self._to.tls != "tls":
            return line
        return ssl.create_default_context().wrap_socket(line, server_hostname=host)


def _said(code: int, words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return clean(f"it answers {code} {' '.join(text.split())}")[:200]


def _lines(notice: Notice, what: str) -> list[str]:
    nodes = ", ".join(f"{count} {stage}" for stage, count in notice.nodes.items())
    lines = [
        f"{notice.release}, version {notice.version}: {what}",
        "",
        *([f"why:     {notice.why[:LONGEST_WHY]}"] if notice.why else []),
        f"rollout: {notice.rollout}, {notice.state}",
        f"nodes:   {nodes}",
        f"by:      {notice.by}",
        f"at:      {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(notice.at))}",
        "",
        f"roost rollout status {notice.rollout}",
    ]
    return [clean(line) for line in lines]
