"""Which requirements a Python has, what a wheel needs, and what is left out of one."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from agent.archives.kits import write_zip
from agent.protocol.problems import ProblemError
from console.kits.locked import LEFT_OUT, locked_file, locked_for
from console.kits.wheels import (
    ARCHES,
    PYTHONS,
    fetch_wheels,
    glibc_of,
    own_wheel,
    packed,
)

LOCK = """\
alpha==1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
beta==2 ; python_full_version < '3.11' \\
    --hash=sha256:cc
beta==3 ; python_full_version >= '3.11' \\
    --hash=sha256:dd
gamma==1 ; sys_platform == 'win32' \\
    --hash=sha256:ee
"""


def test_markers_are_those_of_the_node_not_of_this_machine() -> None:
    old = locked_for(LOCK, python="3.10", arch="aarch64").splitlines()
    new = locked_for(LOCK, python="3.13", arch="aarch64").splitlines()
    assert old == ["alpha==1 --hash=sha256:aa --hash=sha256:bb", "beta==2 --hash=sha256:cc"]
    assert new[1] == "beta==3 --hash=sha256:dd"


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_all_with_hashes(python: str, arch: str) -> None:
    lines = locked_for(locked_file().read_text(), python=python, arch=arch).splitlines()
    assert {"msgspec", "litestar", "docker"} <= {line.partition("==")[0] for line in lines}
    assert all("--hash=sha256:" in line for line in lines)


# Every module of the agent, and the description of its API, where those packages cannot be loaded.
_WITHOUT = """
import asyncio, importlib, pkgutil, sys
for name in sys.argv[1:]:
    sys.modules[name] = None
import agent
for module in pkgutil.walk_packages(agent.__path__, "agent."):
    importlib.import_module(module.name)
from agent.http.app import build_app
from agent.http.caller import Listener
from tests.agent.doubles import make_node

async def asked():
    scope = {"type": "http", "method": "GET", "path": "/openapi.json", "headers": [],
             "query_string": b"", "raw_path": b"/openapi.json", "root_path": "", "scheme": "http",
             "server": ("node", 80), "client": None, "http_version": "1.1", "extensions": {}}
    told = []
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        told.append(message)
    app = build_app({"node:80": Listener(make_node(), "test", "viewer")})
    await app(scope, receive, send)
    print(told[0]["status"], b"".join(each.get("body", b"") for each in told)[:12])

asyncio.run(asked())
"""


def test_an_agent_does_without_what_is_left_out() -> None:
    lines = locked_file().read_text().splitlines()
    locked = {line.partition("==")[0] for line in lines if "==" in line}
    assert locked >= set(LEFT_OUT)  # else Litestar needs them no more
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, *LEFT_OUT.values()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("200 "), done.stdout


def test_a_broken_lock_is_a_problem() -> None:
    with pytest.raises(ProblemError, match="no requirement"):
        locked_for("what is this\n", python="3.11", arch="x86_64")


@pytest.mark.parametrize(
    ("name", "glibc"),
    [
        ("a-1-cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", (2, 17)),
        ("a-1-cp313-cp313-manylinux_2_28_x86_64.whl", (2, 28)),
        ("a-1-py3-none-any.whl", None),
    ],
)
def test_a_wheels_name_says_its_glibc(name: str, glibc: tuple[int, int] | None) -> None:
    assert glibc_of(name) == glibc


def test_half_of_zstandard_is_left_out(tmp_path: Path) -> None:
    wheel = tmp_path / "z.whl"
    files = [("zstandard/_cffi.cpython-311.so", b"x" * 9), ("zstandard/backend_c.so", b"yy")]
    write_zip(wheel, files, compress=True)
    data, unpacked = packed(wheel)
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["zstandard/backend_c.so"]
    assert unpacked == 2


def test_the_own_wheel_is_the_agent_and_is_the_same_each_time(tmp_path: Path) -> None:
    first = own_wheel(tmp_path).path
    data = first.read_bytes()
    names = zipfile.ZipFile(first).namelist()
    assert "agent/cli/main.py" in names
    assert "agent/kit/installer.py" in names
    assert not [name for name in names if name.startswith("console") or "__pycache__" in name]
    assert own_wheel(tmp_path).path.read_bytes() == data


def test_without_the_wheels_it_says_what_to_do(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    python = ".".join(map(str, sys.version_info[:2]))
    with pytest.raises(ProblemError) as caught:
        fetch_wheels(
            f"nothing-like-it==1 --hash=sha256:{'a' * 64}\n",
            python=python,
            arch="x86_64",
            folder=tmp_path / "out",
            wheels=empty,
        )
    assert caught.value.code == "kit.wheels"
    assert "--wheels" in (caught.value.hint or "")
