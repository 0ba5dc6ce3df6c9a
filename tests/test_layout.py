"""The rules of the layout that import-linter cannot say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("agent", "console")
LINES_CAP = 500
# They run alone, in other people's images and on bare machines, so each is one file.
LONGER = {"agent/engines/worker.py": 1850, "agent/kit/installer.py": 900}

# DESIGN, "Layout": what both sides import, and what it may use beside the standard library.
PURE: dict[str, set[str]] = {
    "agent/protocol": {"msgspec", "agent"},
    "agent/rules": {"msgspec", "agent"},
    "agent/archives": {"msgspec", "zstandard", "agent"},
    "agent/signatures": {"cryptography", "agent"},
    "agent/durable.py": set(),
    "agent/yaml_text.py": {"yaml", "agent"},
}


def sources() -> list[Path]:
    return [path for name in (*PACKAGES, "tests") for path in (ROOT / name).rglob("*.py")]


def imported(path: Path) -> set[str]:
    """The top-level names of everything that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return names


def test_no_file_is_longer_than_the_cap() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources()
    }
    assert {
        name: lines for name, lines in lengths.items() if lines > LONGER.get(name, LINES_CAP)
    } == {}


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_use_only_their_libraries(package: str) -> None:
    place = ROOT / package
    files = [place] if place.is_file() else list(place.rglob("*.py"))
    assert files
    for path in files:
        outside = imported(path) - set(sys.stdlib_module_names)
        assert outside <= PURE[package], path


def test_the_top_packages_are_empty() -> None:
    for name in PACKAGES:
        assert (ROOT / name / "__init__.py").read_text(encoding="utf-8") == ""


@pytest.mark.timeout(60)  # it parses all of them
def test_every_file_says_what_it_is() -> None:
    for path in sources():
        if path.name != "__init__.py":
            assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


@pytest.mark.parametrize(
    ("command", "unwanted"),
    [
        (["roost", "--version"], {"textual", "httpx", "docker", "litestar", "pynvml"}),
        (["roost", "node", "ls", "--help"], {"textual", "docker", "litestar", "pynvml"}),
        (["roost-agent", "version"], {"litestar", "docker", "pynvml", "uvicorn"}),
    ],
)
def test_small_commands_load_little(command: list[str], unwanted: set[str]) -> None:
    module = "console.cli.main" if command[0] == "roost" else "agent.cli.main"
    code = (
        "import sys\n"
        f"sys.argv = {command!r}\n"
        f"from {module} import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "click" in loaded
    assert loaded & unwanted == set()
