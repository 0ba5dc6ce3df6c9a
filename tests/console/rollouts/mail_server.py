"""A real SMTP server on the loopback: it keeps what comes, and answers as it is told to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from agent.http.certificate import ensure_certificate
from console.rollouts.notices import Tls

USER, PASSWORD = "roost", "correct-horse"


class MailServer:
    """`answers` are its next answers to a message, then 250. Nobody at `nobody@` gets any."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.users: list[bytes] = []  # who logged in, or tried to
        self.answers: list[str] = []
        self.asked = 0  # connections
        self.port = 0

    async def handle_RCPT(  # noqa: N802 - its name is aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address.startswith("nobody@"):
            return "550 nobody has that name"
        envelope.rcpt_tos.append(address)
        return "250 well"

    async def handle_DATA(  # noqa: N802 - the same
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        del server, session
        answer = self.answers.pop(0) if self.answers else "250 taken"
        if answer.startswith("250"):
            message = message_from_bytes(envelope.original_content or b"", policy=default)
            assert isinstance(message, EmailMessage)
            self.messages.append(message)
        return answer

    def knows(self, *asked: Any) -> AuthResult:
        """Whether the password fits. If not, its answer repeats it, as none should."""
        given = asked[-1]
        assert isinstance(given, LoginPassword)
        self.users.append(given.login)
        well = given == LoginPassword(USER.encode(), PASSWORD.encode())
        said = None if well else f"535 not with {given.password.decode()}"
        return AuthResult(success=well, handled=well, message=said)


@asynccontextmanager
async def mail_server(
    folder: Path, tls: Tls, *, offers: bool = True, login: bool = True
) -> AsyncIterator[MailServer]:
    """`offers`: it takes STARTTLS. Its certificate is localhost's, in `folder`."""
    found = MailServer()
    certificate, key = ensure_certificate(folder, name="localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    inside = tls == "starttls" and offers

    def protocol() -> SMTP:
        found.asked += 1
        return SMTP(
            found,
            hostname="localhost",
            tls_context=context if inside else None,
            require_starttls=inside,
            auth_required=login and inside,
            auth_require_tls=inside,
            authenticator=found.knows,
            loop=asyncio.get_running_loop(),
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        protocol, "127.0.0.1", 0, ssl=context if tls == "tls" else None
    )
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
