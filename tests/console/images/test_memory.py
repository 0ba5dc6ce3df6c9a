"""A push takes little memory, however large the archive is."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.archives_made import as_json
from tests.console.images.pushing import MIB
from tests.simulated import simulator_process

pytestmark = pytest.mark.timeout(120)

GROWTH_LIMIT_BYTES = 40 * MIB


@pytest.fixture(scope="module")
def sockets() -> Iterator[list[Path]]:
    """Nodes that take layers and drop them."""
    with simulator_process(6, faults=False) as simulator:
        yield [Path(node.address.removeprefix("unix://")) for node in simulator.nodes.nodes]


def large_archive(file: Path, *, layers: int, layer_bytes: int) -> Path:
    """An archive of so many layers that zstd makes half as large; never whole in memory.

    Nobody looks into the layers: they are no tar files.
    """
    names, diff_ids = [], []
    with tarfile.open(file, "w") as archive:
        for number in range(layers):
            part = file.with_suffix(f".{number}")
            block = Random(number).randbytes(MIB // 2).hex().encode()
            digest = hashlib.sha256()
            with part.open("wb") as layer:
                for count in range(layer_bytes // MIB):
                    piece = block[count:] + block[:count]
                    layer.write(piece)
                    digest.update(piece)
            diff_ids.append(f"sha256:{digest.hexdigest()}")
            names.append(f"{number}/layer.tar")
            archive.add(part, names[-1])
            part.unlink()
        config = as_json(
            {
                "architecture": "amd64",
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
                "history": [{} for _ in diff_ids],
            }
        )
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = [{"Config": name, "RepoTags": [f"{file.stem}:1"], "Layers": names}]
        for member, content in ((name, config), ("manifest.json", as_json(manifest))):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("memory")
    small = large_archive(folder / "small.tar", layers=3, layer_bytes=MIB)
    large = large_archive(folder / "large.tar", layers=3, layer_bytes=100 * MIB)
    packed = folder / "large.tar.gz"
    with large.open("rb") as source, gzip.open(packed, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target, MIB)
    yield {"small": small, "plain": large, "gzip": packed}
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("number", "kind", "form"), [(0, "unix", "plain"), (1, "ssh", "plain"), (2, "ssh", "gzip")]
)
def test_memory_stays_flat(
    sockets: list[Path], archives: dict[str, Path], number: int, kind: str, form: str
) -> None:
    """A push of 300 MB, after a small one."""
    module = "tests.console.images.push_alone"
    done = subprocess.run(
        [sys.executable, "-m", module, sockets[number], kind, archives["small"], archives[form]],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert 0 <= int(done.stdout) < GROWTH_LIMIT_BYTES
