"""What looks like a secret is taken away, and nothing else of a text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.rules.secretive import REMOVED, follows_option, plain_without_secrets, without_secrets

TOKEN = "roost_" + "Ab3-_" * 8 + "xyz"
PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIHunter2\nabc\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("DB_PASSWORD=hunter2 next", f"DB_PASSWORD={REMOVED} next"),
        ("password: hunter2", f"password: {REMOVED}"),
        ('{"api_key": "hunter2", "n": 1}', f'{{"api_key": {REMOVED}, "n": 1}}'),
        ("run --api-key=hunter2 -v", f"run --api-key={REMOVED} -v"),
        ("run --auth-token hunter2 -v", f"run --auth-token {REMOVED} -v"),
        ("run --token='hunter 2' -v", f"run --token={REMOVED} -v"),
        ("rtsp://admin:hunter2@10.0.0.7/cam", f"rtsp://{REMOVED}@10.0.0.7/cam"),
        ("Authorization: Bearer hunter2hunter2", f"Authorization: {REMOVED} {REMOVED}"),
        (f"with {TOKEN}.", f"with {REMOVED}."),
        (f"key:\n{PEM}\nend", f"key:\n{REMOVED}\nend"),
        (PEM[:50], REMOVED),
        # Cut in two, and its begin is elsewhere.
        (
            f"1.0 {'Ab+/' * 16}\n1.0 hunter2=\n1.0 -----END PRIVATE KEY-----\nend",
            f"1.0 {REMOVED}\nend",
        ),
        (f"so\n\n{'Ab+/' * 16}\n-----END PRIVATE KEY-----", f"so\n\n{REMOVED}"),
        ("hunter2\\nhunter2\\n-----END RSA PRIVATE KEY-----", REMOVED),
        ('"db_password": "hunter 2, hun', f'"db_password": {REMOVED}'),
        ("run --password 'hunter 2", f"run --password {REMOVED}"),
        ('password="hunter 2\nend', f"password={REMOVED}\nend"),
        ("LICENSE_KEY=hunter2", f"LICENSE_KEY={REMOVED}"),
        ("key: hunter2", f"key: {REMOVED}"),
        ("licenseKey: hunter2", f"licenseKey: {REMOVED}"),
        ("DB_PW=hunter2", f"DB_PW={REMOVED}"),
        ("SENTRY_DSN=https://hunter2@sentry.io/1", f"SENTRY_DSN={REMOVED}"),
        ("to https://hunter2@sentry.io/1", f"to https://{REMOVED}@sentry.io/1"),
        ("SLACK_WEBHOOK=x/hunter2", f"SLACK_WEBHOOK={REMOVED}"),
        ("POST https://hooks.slack.com/a/hunter2", f"POST https://hooks.slack.com/{REMOVED}"),
        (
            "https://discord.com/api/webhooks/1/hunter2",
            f"https://discord.com/api/webhooks/{REMOVED}",
        ),
        (
            f"https://api.telegram.org/bot123456:{'hunter2' * 5}/send",
            f"https://api.telegram.org/bot{REMOVED}/send",
        ),
        ("https://a.blob.net/x?sv=1&sig=hunter2%3D", f"https://a.blob.net/x?sv=1&sig={REMOVED}"),
        ("git clone https://ghp_hunter2@github.com/x", f"git clone https://{REMOVED}@github.com/x"),
        ("token is ghp_hunter2hunter2", f"token is {REMOVED}"),
        ("rtsp://admin:hunt/er2@hunter2@cam/1", f"rtsp://{REMOVED}@cam/1"),
        ("ssh://ops:hunter2@cam-7", f"ssh://{REMOVED}@cam-7"),
        ("run --license-key hunter2 -v", f"run --license-key {REMOVED} -v"),
        ("addr=a,password=abc,hunter2,uid=0", f"addr=a,password={REMOVED},uid=0"),
        ("curl -u me:hunter2 http://x", f"curl -u {REMOVED} http://x"),
        ("mysql -u root -phunter2 db", f"mysql -u root -p{REMOVED} db"),
        ("mysqldump -p hunter2", f"mysqldump -p {REMOVED}"),
        ("sshpass -p 'hunter 2' ssh x", f"sshpass -p {REMOVED} ssh x"),
        ("PASSWORD=1234", f"PASSWORD={REMOVED}"),
        ("API_TOKENS=hunter2", f"API_TOKENS={REMOVED}"),
    ],
)
def test_what_goes(text: str, left: str) -> None:
    assert without_secrets(text) == left
    assert "unter" not in without_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "roost_container_memory_used_bytes 17",
        "agent of edge-1 is up",
        "ssh://ops@cam-7 and https://cam-7:7443/v1",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "--verbose --gpus all",
        "--tokenizer meta/llama --max-num-batched-tokens 8192 MAX_TOKENS=8192",
        "token_count: 17, TOKEN_LIMIT=4096",
        "monkey=1 keyboard: us design=x KEY_FILES=2",
        "mkdir -p /data && docker run -p 80:80 --user 1000:1000 x",
        "http://registry:5000/app@sha256:9f86d081",
        "https://registry/@types/node and git@github.com:x",
    ],
)
def test_what_stays(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    ("words", "secret"),
    [
        (["serve", "--license-key", "X"], {2}),
        (["tool", "-p", "hunter2"], {2}),
        (["tool", "-p", "8080"], set()),
        (["tool", "-p", "127.0.0.1:80:80/tcp"], set()),
        (["mkdir", "-p", "/data"], set()),
        (["/usr/bin/mysql", "-phunter2"], {1}),
        (["nmap", "-p-"], set()),
        (["curl", "-u", "me:hunter2", "http://x"], {2}),
        (["run", "--user", "1000:1000"], set()),
        (["vllm", "--tokenizer", "x", "--max-num-batched-tokens", "8192"], set()),
        (["vllm", "--api-token", "8192", "--hf-token", "x", "--token-limit", "12"], {2, 4}),
    ],
)
def test_words_after_options(words: list[str], secret: set[int]) -> None:
    assert {n for n in range(len(words)) if follows_option([*words], n)} == secret


def test_documents_by_the_names_of_their_fields() -> None:
    document: Any = {
        "environment": {"MODE": "hunter2", "EMPTY": ""},
        "inner": [{"env": ["MODE=hunter2", "hunter2"]}],
        "labels": {"com.acme.password": "hunter2", "site": "x"},
        "command": ["serve", "--password", "hunter2", "--level", "3", "--token", "-v"],
        "secrets": [{"name": "camera", "target": "/run/secrets/camera"}],
        "count": 3,
        "key": "0123456789abcdef",
        "none": None,
        "log": f"{PEM} and token=hunter2",
    }
    told = plain_without_secrets(document)
    assert "unter" not in json.dumps(told)
    assert told["environment"] == {"MODE": REMOVED, "EMPTY": REMOVED}
    assert told["labels"]["site"] == "x"
    assert told["command"][3:] == ["--level", "3", "--token", "-v"]
    assert told["secrets"] == document["secrets"]
    assert told["key"] == document["key"]
    assert (told["count"], told["none"]) == (3, None)


PIECES = (
    *("a", "pass", "-", "://a", "a://b:", "mysql ", "key", "-u ", "password=a,", "token"),
    *("--token-", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "password='"),
    *("-----END PRIVATE KEY-----\n", "Ab+/\n"),
)


@pytest.mark.parametrize("piece", PIECES)
def test_a_megabyte_of_anything_comes_back(piece: str) -> None:
    """Bounded forms: none of them looks at a long text again from each of its letters."""
    without_secrets(piece * (300_000 // len(piece)))
