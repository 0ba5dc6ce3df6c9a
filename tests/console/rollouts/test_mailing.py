"""Notices by email: the file, and a real SMTP server that takes them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.http.certificate import CERTIFICATE_FILE
from console.rollouts.journal import Journal
from console.rollouts.notice_file import owing
from console.rollouts.notices import Mail, Target, Tls
from console.rollouts.notifier import Notifier
from tests.console.rollouts.mail_server import PASSWORD, USER, MailServer, mail_server
from tests.console.rollouts.test_notifying import begun, event, read

pytestmark = pytest.mark.timeout(60)

WHOLE = "to: ops@example.org, from: roost@example.org, server: mail.example.org"


def to(server: MailServer, tls: Tls, *, name: str = "ops", password: bool = True) -> Target:
    """An address at that server, for what is told of gates."""
    login = {"user": USER, "password_env": "SECRET"} if password and tls != "none" else {}
    return Target(
        on=("gate",),
        mail=Mail(
            to=f"{name}@example.org",
            sender="roost@example.org",
            host="localhost",
            port=server.port,
            tls=tls,
            **login,
        ),
    )


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a server's certificate is to be that this process trusts."""
    folder = tmp_path / "tls"
    folder.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / CERTIFICATE_FILE))
    return folder


async def tried(journal: Journal, password: str = PASSWORD) -> str:
    """Deliver once, and what the history says of it: the newest."""
    notifier = Notifier(journal, "r1", {"SECRET": password}, first_seconds=1000)
    task = asyncio.create_task(notifier.run())
    await notifier.last(30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return [each.why for _, each in journal.events("r1") if each.what == "not told"][-1]


def no_secret(journal: Journal, secret: str) -> bool:
    """Whether nothing of it is in the journal's files."""
    return not any(secret.encode() in file.read_bytes() for file in journal.folder.iterdir())


def test_addresses_of_a_release(tmp_path: Path) -> None:
    targets, problems = read(
        tmp_path,
        f"{{email: {{{WHOLE}}}}},"
        " {email: {to: [a@x.org, b@x.org, a@x.org], from: roost@x.org, server: 'mx.x.org:2525',"
        " tls: tls, user: roost, password_file: /etc/roost/mail}, on: [ended], timeout: 30s},"
        " {email: {to: me@x.org, from: me@x.org, server: localhost, tls: none}}",
    )
    assert problems == []
    usual, first, second, here = targets
    assert usual.mail == Mail(
        to="ops@example.org", sender="roost@example.org", host="mail.example.org", port=587
    )
    assert first.mail is not None
    assert (first.mail.to, first.mail.port, first.mail.tls) == ("a@x.org", 2525, "tls")
    assert (first.on, first.timeout) == (second.on, second.timeout) == (("ended",), 30)
    assert str(second) == "email b@x.org"
    assert here.mail is not None
    assert (here.mail.tls, here.mail.port) == ("none", 25)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("to: ops@example.org", "is not whole"),
        (WHOLE.replace("ops@", "ops "), "is 'ops example.org', which is no address"),
        (WHOLE.replace("ops@example.org", '"ops@x.org\\r\\nBcc: all@x.org"'), "is no address"),
        (WHOLE.replace("mail.example.org", "'https://mail.example.org'"), "which is no server"),
        (WHOLE.replace("mail.example.org", "'mail.example.org:99999'"), "which is no server"),
        (WHOLE.replace("mail.example.org", "'me:pw@mail.example.org'"), "which is no server"),
        (f"{WHOLE}, tls: none", "is another machine, and tls is none"),
        (f"{WHOLE}, tls: ssl", "is 'ssl'"),
        (f"{WHOLE}, user: roost", "has a user without one password"),
        (f"{WHOLE}, password_env: PW", "a password without a user"),
        (f"{WHOLE}, user: roost, password_env: PW, password_file: /x", "without one password"),
        (f"{WHOLE}, user: roost, password_file: x", "is 'x'"),
        (f"{WHOLE}, password: x", "unknown key 'password'"),
    ],
)
def test_addresses_that_do_not_fit(tmp_path: Path, said: str, words: str) -> None:
    targets, problems = read(tmp_path, f"{{email: {{{said}}}}}")
    assert len(problems) == 1, problems
    assert words in problems[0]
    assert targets == () or "unknown key" in words


@pytest.mark.parametrize("tls", ["starttls", "tls", "none"])
async def test_a_message(tmp_path: Path, trusted: Path, tls: Tls) -> None:
    async with mail_server(trusted, tls) as server:
        journal, rollout = begun(tmp_path, to(server, tls))
        journal.save(rollout, [event("gate", why="wave 1 is well; é\r\nBcc: all@example.org")])
        await told_mail(journal)
    [message] = server.messages
    assert message["Subject"] == "[roost] app: gate (rollout r1)"
    assert (message["From"], message["To"]) == ("roost@example.org", "ops@example.org")
    assert message["Bcc"] is None
    lines = message.get_content().splitlines()
    assert lines[0] == "app, version 000000000000: gate"
    assert "why:     wave 1 is well; é\\x0d\\x0aBcc: all@example.org" in lines
    assert "nodes:   1 planned" in lines
    assert lines[-1] == "roost rollout status r1"
    assert server.users == ([] if tls == "none" else [USER.encode()])
    assert owing(journal.folder) == set()
    assert no_secret(journal, PASSWORD)


async def told_mail(journal: Journal) -> None:
    """Deliver until nothing is owed."""
    notifier = Notifier(journal, "r1", {"SECRET": PASSWORD}, first_seconds=0.01)
    task = asyncio.create_task(notifier.run())
    while owing(journal.folder):  # noqa: ASYNC110 - it is on disk
        await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_not_taken_is_sent_again_as_the_same_message(
    tmp_path: Path, trusted: Path
) -> None:
    async with mail_server(trusted, "none") as server:
        server.answers = ["451 come back later", "451 not yet"]
        journal, rollout = begun(tmp_path, to(server, "none"))
        journal.save(rollout, [event("gate")])
        await told_mail(journal)
        assert server.asked == 3
    [message] = server.messages
    assert message["Message-ID"].endswith("@roost>")
    said = [each.why for _, each in journal.events("r1") if each.what == "not told"]
    assert said == ["email ops@example.org: it answers 451 come back later; it is tried again"]


async def test_one_address_that_is_refused_keeps_no_other_one_up(
    tmp_path: Path, trusted: Path
) -> None:
    async with mail_server(trusted, "none") as server:
        journal, rollout = begun(tmp_path, to(server, "none", name="nobody"), to(server, "none"))
        journal.save(rollout, [event("gate")])
        why = await tried(journal)
    assert why == (
        "email nobody@example.org: it answers 550 nobody has that name; it is tried again"
    )
    assert [message["To"] for message in server.messages] == ["ops@example.org"]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_password_that_is_wrong_is_never_told(
    tmp_path: Path, trusted: Path, tls: Tls, caplog: pytest.LogCaptureFixture
) -> None:
    async with mail_server(trusted, tls) as server:
        journal, rollout = begun(tmp_path, to(server, tls))
        journal.save(rollout, [event("gate")])
        why = await tried(journal, "wrong-one")
    assert "it refuses the user or the password: 535; it is tried again" in why
    assert server.messages == []
    assert no_secret(journal, "wrong-one")
    assert "wrong-one" not in caplog.text


async def test_nothing_is_said_to_a_server_that_does_not_encrypt(
    tmp_path: Path, trusted: Path
) -> None:
    async with mail_server(trusted, "starttls", offers=False, login=False) as server:
        journal, rollout = begun(tmp_path, to(server, "starttls"))
        journal.save(rollout, [event("gate")])
        why = await tried(journal)
    assert "STARTTLS extension not supported" in why
    assert (server.messages, server.users) == ([], [])


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_server_that_is_another_one_is_told_nothing(tmp_path: Path, tls: Tls) -> None:
    async with mail_server(tmp_path, tls) as server:  # nobody trusts its certificate
        journal, rollout = begun(tmp_path, to(server, tls))
        journal.save(rollout, [event("gate")])
        why = await tried(journal)
    assert "certificate verify failed" in why
    assert (server.messages, server.users) == ([], [])


async def test_one_that_hangs_is_given_its_time_and_no_more(tmp_path: Path) -> None:
    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    there = await asyncio.start_server(hangs, "127.0.0.1", 0)
    mail = Mail(
        to="ops@example.org",
        sender="roost@example.org",
        host="localhost",
        port=there.sockets[0].getsockname()[1],
        tls="none",
    )
    journal, rollout = begun(tmp_path, Target(on=("gate",), timeout=0.3, mail=mail))
    journal.save(rollout, [event("gate")])
    why = await tried(journal)
    there.close()
    assert "no answer within 0.3 s" in why or "timed out" in why
    assert owing(journal.folder) == {"r1"}
