"""`roost node add` and `rm`."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from console.fleet.fleet_file import load_inventory
from console.fleet.inventory import NodeEntry
from tests.console.cli.commands import ROOST, environment, roost, roost_beside, write_fleet
from tests.console.serving import ServedAgent
from tests.terminal import Terminal

pytestmark = pytest.mark.timeout(60)


async def test_a_node_that_answers_is_added_under_its_own_name(
    served: ServedAgent, tmp_path: Path
) -> None:
    done = await roost_beside(
        tmp_path,
        *("node", "add", f"unix://{served.socket}", "--label", "site=plant-7", "--production"),
    )
    assert (done.code, done.out) == (0, "")
    assert "found t4" in done.err
    assert "Tesla T4" in done.err or "T4" in done.err
    file = tmp_path / "config" / "roost" / "fleet.yaml"
    assert load_inventory(file).nodes == [
        NodeEntry(
            name="t4",
            address=f"unix://{served.socket}",
            labels={"site": "plant-7"},
            production=True,
        )
    ]
    again = await roost_beside(tmp_path, "node", "add", f"unix://{served.socket}")
    assert again.code == 2
    assert "already" in again.err
    other = await roost_beside(tmp_path, "node", "add", f"unix://{served.socket}", "--name", "b")
    assert other.code == 0
    assert (await roost_beside(tmp_path, "node", "rm", "t4")).code == 0
    assert [node.name for node in load_inventory(file).nodes] == ["b"]
    assert (await roost_beside(tmp_path, "node", "rm", "t4")).code == 2


async def test_adding_and_removing_as_json(served: ServedAgent, tmp_path: Path) -> None:
    address = f"unix://{served.socket}"
    added = await roost_beside(tmp_path, "node", "add", address, "--json")
    assert added.code == 0
    assert added.json["entry"]["address"] == address
    assert added.json["facts"]["name"] == "t4"
    removed = await roost_beside(tmp_path, "node", "rm", "t4", "--json")
    assert removed.json == {"entry": added.json["entry"]}


async def test_what_does_not_answer_is_not_added(tmp_path: Path, short_folder: Path) -> None:
    done = await roost_beside(tmp_path, "node", "add", f"unix://{short_folder}/none.sock")
    assert done.code == 3
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["http://a"], "plaintext"),
        (["a"], "names no way"),
        (["unix:///a", "--label", "x"], "not KEY=VALUE"),
        (["unix:///a", "--name", "a b"], "not a name"),
        (["ssh://a", "--fingerprint", "sha256:x"], "https"),
        (["https://127.0.0.1:1", "--fingerprint", "sha256:x"], "not a fingerprint"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = roost(tmp_path, "node", "add", *arguments)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert "Traceback" not in done.err


def test_read_only_adds_nothing(tmp_path: Path) -> None:
    done = roost(tmp_path, "--read-only", "node", "add", "unix:///a")
    assert done.code == 2
    assert "--read-only" in done.err


async def https_token(served: ServedAgent) -> tuple[str, str]:
    token = await asyncio.to_thread(served.node.tokens.make, "console", "operator")
    return f"https://127.0.0.1:{served.port}", token


async def test_https_with_a_stated_fingerprint(served: ServedAgent, tmp_path: Path) -> None:
    address, token = await https_token(served)
    done = await roost_beside(
        tmp_path,
        *("node", "add", address, "--fingerprint", served.fingerprint, "--token", "-"),
        given=token + "\n",
    )
    assert done.code == 0, done.err
    folder = tmp_path / "config" / "roost"
    (node,) = load_inventory(folder / "fleet.yaml").nodes
    assert (node.fingerprint, node.token_file) == (
        served.fingerprint,
        f"tokens/127.0.0.1-{served.port}",
    )
    file = folder / str(node.token_file)
    assert file.read_text() == token + "\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in done.err + done.out
    assert (await roost_beside(tmp_path, "node", "ls")).code == 0


async def test_https_with_another_fingerprint_is_refused(
    served: ServedAgent, tmp_path: Path
) -> None:
    address, token = await https_token(served)
    wrong = "sha256:" + "0" * 64
    done = await roost_beside(
        tmp_path,
        *("node", "add", address, "--fingerprint", wrong, "--token", "-"),
        given=token,
    )
    assert done.code == 3
    assert served.fingerprint in done.err
    assert not (tmp_path / "config").exists()


async def test_nobody_to_compare_the_fingerprint(served: ServedAgent, tmp_path: Path) -> None:
    address, token = await https_token(served)
    done = await roost_beside(tmp_path, "node", "add", address, "--token", "-", given=token)
    assert done.code == 2
    assert f"--fingerprint {served.fingerprint}" in done.err
    assert not (tmp_path / "config").exists()


async def test_a_token_that_is_wrong_leaves_nothing_behind(
    served: ServedAgent, tmp_path: Path
) -> None:
    address, _ = await https_token(served)
    done = await roost_beside(
        tmp_path, "node", "add", address, "--yes", "--token", "-", given="wrong"
    )
    assert done.code == 1
    assert "without having been compared" in done.err
    folder = tmp_path / "config" / "roost"
    assert not (folder / "fleet.yaml").exists()
    assert not list(folder.glob("tokens/*"))


@pytest.mark.parametrize("token", [[], ["--token", "-"]])
async def test_no_token_fails_as_a_wrong_one_does(
    token: list[str], served: ServedAgent, tmp_path: Path
) -> None:
    """The node was reached: that is 1, and 3 is for what does not answer."""
    address, _ = await https_token(served)
    done = await roost_beside(tmp_path, "node", "add", address, "--yes", *token)
    assert done.code == 1
    assert "wants a token" in done.err
    assert not list((tmp_path / "config").rglob("*"))


async def test_what_does_not_speak_http_is_told_in_plain_words(
    tmp_path: Path, short_folder: Path
) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")  # as sshd: it hears the other side out
        writer.close()

    path = short_folder / "other.sock"
    async with await asyncio.start_unix_server(greet, path):
        done = await roost_beside(tmp_path, "node", "add", f"unix://{path}", "--name", "x")
    assert done.code == 3
    expected = "error: x: what answers there does not speak HTTP, it says 'SSH-2.0-OpenSSH_9.2'\n"
    assert expected in done.err


async def test_a_person_compares_and_types_the_token(served: ServedAgent, tmp_path: Path) -> None:
    address, token = await https_token(served)

    def type_it() -> int:
        command: list[str | Path] = [ROOST, "node", "add", address]
        with Terminal(command, env=environment(tmp_path), columns=120) as terminal:
            terminal.wait_for("Are they the same?", 20)
            assert served.fingerprint in terminal.screen_text()
            terminal.press("y", "enter")
            terminal.wait_for("Token", 20)
            terminal.send(token)
            terminal.press("enter")
            terminal.wait_for("is now in", 20)
            assert token not in terminal.screen_text()
            return terminal.wait_exit(20)

    assert await asyncio.to_thread(type_it) == 0
    (node,) = load_inventory(tmp_path / "config" / "roost" / "fleet.yaml").nodes
    assert node.fingerprint == served.fingerprint


async def test_a_person_says_no(served: ServedAgent, tmp_path: Path) -> None:
    address, _ = await https_token(served)

    def say_no() -> int:
        command: list[str | Path] = [ROOST, "node", "add", address]
        with Terminal(command, env=environment(tmp_path), columns=120) as terminal:
            terminal.wait_for("Are they the same?", 20)
            terminal.press("enter")
            return terminal.wait_exit(20)

    assert await asyncio.to_thread(say_no) == 3
    assert not (tmp_path / "config").exists()


def test_rm_of_a_node_that_has_a_token_says_where_it_is(tmp_path: Path) -> None:
    entry = NodeEntry(name="a", address="https://a", token_file="tokens/a")
    fleet = write_fleet(tmp_path / "fleet.yaml", [entry])
    done = roost(tmp_path, "--fleet", fleet, "node", "rm", "a")
    assert done.code == 0
    assert str(tmp_path / "tokens" / "a") in done.err
    assert "a" not in [node.name for node in load_inventory(fleet).nodes]
