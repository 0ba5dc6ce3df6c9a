"""A node that takes only what a trusted key has signed, and kits of every kind."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from agent.archives.kits import write_zip
from agent.protocol.jobs import Job
from agent.protocol.kits import ABOUT, MAIN, SIGNATURE
from agent.protocol.problems import Problem
from agent.protocol.upgrades import UpgradeRequest
from agent.signatures.signing_keys import SigningKey, make_key
from console.kits.signing import sign_kit
from tests.agent.upgrades.test_upgrade_job import Side
from tests.kits_made import small_kit

VERSION = "2.0"
Changes = Mapping[str, Callable[[bytes], bytes]]


@pytest.fixture
async def side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Side]:
    made = await asyncio.to_thread(Side, tmp_path, required=True)

    async def unpacked(_path: Path, _hear: object) -> None:
        """It would into /opt/roost."""
        place = made.root / f"{VERSION}-abc"
        await asyncio.to_thread(place.mkdir)

    monkeypatch.setattr("agent.upgrades.kit_copy.unpack_kit", unpacked)
    await made.jobs.start()
    yield made
    await made.jobs.stop()


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return make_key(tmp_path / "key", name="maria")


@pytest.fixture
def kit(tmp_path: Path, key: SigningKey) -> Path:
    path = small_kit(tmp_path, version=VERSION)
    sign_kit(path, key)
    return path


@pytest.fixture
def other(tmp_path: Path, key: SigningKey) -> Path:
    """Another kit that is signed, in a folder of its own."""
    (tmp_path / "other").mkdir()
    path = small_kit(tmp_path / "other", version="1.9")
    sign_kit(path, key)
    return path


async def begun(side: Side, kit: Path) -> Job:
    """The job that tries it."""
    digest = await asyncio.to_thread(sent, side, kit)
    request = UpgradeRequest(kit=digest, id=f"{VERSION}-abc", wait_seconds=0)
    return await side.upgrades.begin(request, owner="maria", key=None)


def sent(side: Side, kit: Path) -> str:
    data = kit.read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    side.blobs.folder.mkdir(exist_ok=True)
    file = kit.with_suffix(".sent")
    file.write_bytes(data)
    side.blobs.add(file, digest, len(data), compressed=False)
    return digest


async def refusal(side: Side, kit: Path) -> Problem:
    """Why it was refused, before anything was written."""
    problem = (await side.ended(await begun(side, kit))).problem
    assert problem is not None
    assert problem.hint
    there = await asyncio.to_thread(lambda: sorted(each.name for each in side.root.iterdir()))
    assert there == ["a-1", "b-2", "c-3", "current", "first-upgrade.json", "start"]
    return problem


def rewritten(kit: Path, changes: Changes) -> Path:
    """The same with other files in it, and the signature that it had."""
    with zipfile.ZipFile(kit) as whole:
        files = [(name, whole.read(name)) for name in whole.namelist()]
    path = kit.with_name("changed.pyz")
    write_zip(
        path, [(name, changes.get(name, bytes)(data)) for name, data in files], compress=False
    )
    return path


def other_list(data: bytes) -> bytes:
    """`kit.json` with the digest of another agent.yaml."""
    about = json.loads(data)
    (listed,) = (each for each in about["files"] if each["path"] == "agent.yaml")
    listed["sha256"] = hashlib.sha256(b"policy: {}\n").hexdigest()
    return json.dumps(about).encode()


def other_bit(data: bytes) -> bytes:
    """A signature that is one bit off."""
    signed = json.loads(data)
    raw = bytearray(base64.b64decode(signed["signature"]))
    raw[0] ^= 1
    return json.dumps({**signed, "signature": base64.b64encode(raw).decode()}).encode()


CHANGES: list[tuple[str, Changes]] = [
    ("kit.broken", {"agent.yaml": lambda _: b"policy: {}\n"}),
    ("signature.wrong", {"agent.yaml": lambda _: b"policy: {}\n", ABOUT: other_list}),
    ("signature.wrong", {MAIN: lambda data: data + b"\n"}),
    ("signature.wrong", {SIGNATURE: lambda _: b"{}"}),
    ("signature.wrong", {SIGNATURE: other_bit}),
]


async def test_what_a_trusted_key_signed_is_tried(side: Side, kit: Path, key: SigningKey) -> None:
    ends = asyncio.Event()
    side.upgrades.on_end(ends.set)
    side.keys.trust(key.public.line)
    left = side.root / "..upgrade.pyz.a1b2.tmp"  # by one that was cut
    await asyncio.to_thread(left.touch)
    await begun(side, kit)
    await ends.wait()
    trial = await asyncio.to_thread(side.files.trial)
    assert trial is not None
    assert trial.id == f"{VERSION}-abc"
    assert not await asyncio.to_thread(left.exists)


@pytest.mark.parametrize(("code", "changes"), CHANGES)
async def test_what_was_changed_is_refused_before_anything_is_written(
    side: Side, kit: Path, key: SigningKey, code: str, changes: Changes
) -> None:
    side.keys.trust(key.public.line)
    changed = await asyncio.to_thread(rewritten, kit, changes)
    assert (await refusal(side, changed)).code == code


async def test_truncated_it_is_no_kit(side: Side, kit: Path, key: SigningKey) -> None:
    side.keys.trust(key.public.line)
    await asyncio.to_thread(lambda: kit.write_bytes(kit.read_bytes()[:-100]))
    assert (await refusal(side, kit)).code == "kit.broken"


async def test_a_signature_of_another_kit_is_none(
    side: Side, kit: Path, key: SigningKey, other: Path
) -> None:
    side.keys.trust(key.public.line)

    def mixed() -> Path:
        with zipfile.ZipFile(other) as whole:
            signature = whole.read(SIGNATURE)
        return rewritten(kit, {SIGNATURE: lambda _: signature})

    problem = await refusal(side, await asyncio.to_thread(mixed))
    assert problem.code == "signature.wrong"
    assert "what was signed is another kit" in problem.detail


async def test_whoever_signed_it_must_be_trusted_at_that_moment(
    side: Side, kit: Path, key: SigningKey
) -> None:
    problem = await refusal(side, kit)
    assert problem.code == "signature.unknown_key"
    assert key.public.fingerprint in problem.detail
    side.keys.trust(key.public.line)
    side.keys.revoke(key.public.fingerprint)
    assert (await refusal(side, kit)).code == "signature.revoked"


async def test_unsigned_it_is_refused(side: Side, other: Path) -> None:
    unsigned = await asyncio.to_thread(small_kit, other.parent, version=VERSION)
    problem = await refusal(side, unsigned)
    assert problem.code == "signature.missing"
    assert problem.hint is not None
    assert "roost agent kit sign" in problem.hint


async def test_the_way_back_needs_no_signature_and_what_never_ran_does(side: Side) -> None:
    ends = asyncio.Event()
    side.upgrades.on_end(ends.set)
    side.done("b-2")
    problem = (await side.ended(await side.runs("c-3"))).problem
    assert problem is not None
    assert problem.code == "signature.missing"
    await side.runs("a-1")
    await ends.wait()
    trial = await asyncio.to_thread(side.files.trial)
    assert trial is not None
    assert trial.id == "a-1"
