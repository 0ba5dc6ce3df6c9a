"""10 GiB of zeros, packed into a few megabytes: refused wherever they come, with little memory."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from agent.protocol import tus
from tests.archives_made import CONFIG, LAYER, MANIFEST, OciLayout, as_json, tar
from tests.console.cli.commands import ROOST, environment
from tests.console.cli.signing_bench import BASE, Bench

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

PIECE_BYTES = 64 * 1024 * 1024
PIECES = 160
NAME = "sha256:" + "0" * 64  # nobody gets as far as to compare
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "zstd": lambda data: zstandard.ZstdCompressor(3).compress(data),
}
# More than a small archive takes: what unpacks 1 MiB at a time needs no more.
MEMORY_BYTES = 30_000_000
DISK_BYTES = 1_000_000


def packed(compression: str) -> bytes:
    """One member, or frame, after the other."""
    return PACK[compression](bytes(PIECE_BYTES)) * PIECES


def bomb(file: Path, compression: str) -> Path:
    """An image of this one layer."""
    layout = OciLayout()
    rootfs = {"type": "layers", "diff_ids": [NAME]}
    config = as_json({"architecture": "amd64", "os": "linux", "rootfs": rootfs})
    words = {
        "schemaVersion": 2,
        "config": layout.blob(config, CONFIG),
        "layers": [layout.blob(packed(compression), f"{LAYER}+{compression}")],
    }
    layout.add(layout.blob(as_json(words), MANIFEST), "docker.io/library/zeros:1")
    file.write_bytes(tar(layout.files()))
    assert file.stat().st_size < PIECE_BYTES
    return file


def peak_of_roost(bench: Bench, *arguments: str | Path) -> tuple[int, str, int]:
    """How the command ended, what it said, and the most memory that it had."""
    said = bench.folder / "said"
    with said.open("wb") as out:
        words = [ROOST, "--fleet", bench.fleet, *arguments]
        running = subprocess.Popen(words, stdout=out, stderr=out, env=environment(bench.folder))
        _, status, usage = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    return running.returncode, said.read_text(), usage.ru_maxrss * 1024


def agent_peak(bench: Bench, *, anew: bool = False) -> int:
    """The most memory that the agent ever had, or since the last call that was `anew`."""
    assert bench.agent.process is not None
    process = Path(f"/proc/{bench.agent.process.pid}")
    if anew:
        (process / "clear_refs").write_text("5", encoding="ascii")
    status = (process / "status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def stored(folder: Path) -> int:
    """What its files take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def names(state: Path) -> set[str]:
    """Of what was uploaded, is being uploaded, or was spooled."""
    return {path.name for name in ("uploads", "blobs") for path in (state / name).iterdir()}


def test_in_an_archive_that_is_pushed(bench: Bench) -> None:
    """The console finds it out, and asks the node for nothing."""
    small = bench.archive("app:1", BASE)
    code, said, usual = peak_of_roost(bench, "image", "push", small, "--to", "@dock")
    assert code == 0, said
    jobs, cache = bench.agent.get("/v1/jobs"), bench.folder / "cache"
    before = stored(cache)
    file = bomb(bench.folder / "zeros.tar", "gzip")
    code, said, peak = peak_of_roost(bench, "image", "push", file, "--to", "@dock")
    assert code == 1, said
    assert "made to fill memory or disk" in said
    assert "hint: " in said
    assert peak - usual < MEMORY_BYTES
    assert stored(cache) - before < DISK_BYTES
    assert bench.agent.get("/v1/jobs") == jobs


def test_in_an_archive_on_the_node(bench: Bench) -> None:
    """Its job fails, and leaves nothing."""
    assert bench.run("image", "import", "dock", bench.archive("app:1", BASE)).code == 0
    state = bench.agent.folder / "state"
    there, taken, memory = names(state), stored(state), agent_peak(bench, anew=True)
    file = bomb(bench.folder / "zeros.tar", "zstd")
    code, said, _ = peak_of_roost(bench, "image", "import", "dock", file)
    assert code == 1, said
    assert "made to fill memory or disk" in said
    assert "hint: " in said
    assert agent_peak(bench) - memory < MEMORY_BYTES
    assert stored(state) - taken < DISK_BYTES
    assert names(state) == there
    assert bench.tags() == {"app:1"}


def test_in_an_upload(bench: Bench) -> None:
    """A layer that was said to have 20 MB: no more than that is unpacked of it."""
    data = packed("zstd")
    with bench.agent.client() as client:
        tus_words = {"Tus-Resumable": "1.0.0"}

        def begin(size: int, length: int, name: str) -> str:
            said = tus.encode_metadata({"diff_id": name, "size": str(size), "encoder": "zstd-test"})
            sized = {"Upload-Length": str(length), "Upload-Metadata": said}
            answer = client.post("/v1/uploads", headers={**tus_words, **sized})
            assert answer.status_code == 201, answer.text
            place: str = answer.headers["location"]
            return place

        def append(place: str, sent: bytes) -> tuple[int, Any]:
            kind = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
            answer = client.patch(place, content=sent, headers={**tus_words, **kind}, timeout=60)
            return answer.status_code, answer.json()

        wrong = PACK["zstd"](bytes(100))
        assert append(begin(1_000_000, len(wrong), f"sha256:{'1' * 64}"), wrong)[0] == 422
        before = agent_peak(bench, anew=True)
        status, problem = append(begin(20_000_000, len(data), NAME), data)
        assert (status, problem["code"], bool(problem["hint"])) == (422, "blob.size", True)
        assert agent_peak(bench) - before < MEMORY_BYTES
    assert names(bench.agent.folder / "state") == set()
