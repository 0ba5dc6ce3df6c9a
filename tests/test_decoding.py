"""Decoding from several threads at once, which plain msgspec does not survive."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAM = """
import sys, threading
import msgspec
from agent.protocol.decoding import from_json, work_out_all
from agent.protocol.deployments import ApplyRequest

sys.setswitchinterval(1e-6)
DATA = b'{"release": "a", "workloads": [{"name": "w", "image": "x"}]}'
HOW = {
    "ours": lambda: from_json(DATA, ApplyRequest),
    "plain": lambda: msgspec.json.decode(DATA, type=ApplyRequest),
}
if "worked out" in sys.argv:
    work_out_all()
begin = threading.Barrier(8)

def work():
    begin.wait()
    HOW[sys.argv[1]]()

threads = [threading.Thread(target=work) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
"""

pytestmark = pytest.mark.timeout(120)


def run(*how: str) -> int:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *how], cwd=ROOT, capture_output=True, check=False
    ).returncode


@pytest.mark.parametrize("how", [("ours",), ("plain", "worked out")])
def test_the_first_time_in_many_threads(how: tuple[str, ...]) -> None:
    assert [run(*how) for _ in range(12)] == [0] * 12


def test_nothing_of_ours_decodes_past_it() -> None:
    found = []
    for path in sorted([*ROOT.glob("agent/**/*.py"), *ROOT.glob("console/**/*.py")]):
        # The worker has no msgspec; the events' decoder is a union's, made with its module.
        if path.name in ("decoding.py", "worker.py", "events.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _typed(ast.unparse(node.func), node):
                found += [f"{path.relative_to(ROOT)}:{node.lineno}"]
    assert found == []


def _typed(name: str, call: ast.Call) -> bool:
    """Whether the call works out a struct."""
    if name == "msgspec.json.decode":
        return any(word.arg == "type" for word in call.keywords)
    return name in ("msgspec.convert", "msgspec.json.Decoder", "msgspec.msgpack.decode")
