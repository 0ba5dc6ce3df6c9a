"""A machine in a folder, for container.sh: runtime and system are scripts that note calls."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

from agent.protocol.decoding import from_json
from console.kits.agent_image import ARCHES
from console.kits.contained import HostFacts

SCRIPT = Path(__file__).parent.parent.parent.parent / "agent" / "kit" / "container.sh"
TAG, KIT, LAYERS = "roost/agent:1.0.0-abc", "1.0.0-abc", "sha256:aa sha256:bb"
# Each call is noted; the one whose number is in `kill-at` takes the script with it.
NOTED = """\
#!/bin/sh
me=$STAGE number=0 end=0
echo "${0##*/} $*" >>"$me/calls"
while read -r _; do number=$((number + 1)); done <"$me/calls"
[ ! -e "$me/kill-at" ] || read -r end <"$me/kill-at"
[ "$number" != "$end" ] || { read -r pid <"$me/pid"; kill -9 "$pid"; }
"""
_CHANGING = ("mkdir", "mv", "chmod", "ln", "rm", "rmdir")
_SCRIPTS = {
    "docker": """
echo "${DOCKER_HOST-}" >"$me/host"
case "$1 $2" in
--version*) cat "$me/says-it-is" 2>/dev/null ;;
'image inspect')
  [ -e "$me/loaded" ] || exit 1
  echo 'WARNING: it greets' >&2
  case $* in
  *Layers*) echo 'sha256:aa sha256:bb ' ;;
  *Architecture*) cat "$me/arch" ;;
  *) echo sha256:1d ;;
  esac ;;
'load --input')
  [ ! -e "$me/no-load" ] || { echo 'no space left on device'; exit 1; }
  touch "$me/loaded" ;;
'run --rm')
  case $* in
  *unpack*)
    [ ! -e "$me/no-python" ] || { cat "$me/no-python"; exit 1; }
    mkdir -p "$ROOST_PREFIX/opt/roost/1.0.0-abc"
    cp "$me/kit.json" "$ROOST_PREFIX/opt/roost/1.0.0-abc" ;;
  *' kit '*) [ ! -e "$me/no-kit" ] || { cat "$me/no-kit"; exit 1; } ;;
  esac ;;
'ps --all')
  case $* in
  *label=*) [ ! -e "$me/runs" ] || echo 1d ;;
  *name=*) [ ! -e "$me/runs" ] && [ ! -e "$me/foreign" ] || echo 1d ;;
  *) cat "$me/others" 2>/dev/null ;;
  esac ;;
'inspect --format') cat "$me/mounts" ;;
'create --rm')
  [ ! -e "$me/no-create" ] || { echo 'unknown flag: --newer' >&2; exit 125; }
  touch "$me/runs" ;;
'run --detach') touch "$me/runs" ;;
'rm --force') rm "$me/runs" ;;
'info --format') [ -e "$me/refuses" ] || echo "$ROOST_PREFIX/var/lib/docker" ;;
'info ') cat "$me/refuses" ;;
esac
""",
    "getent": '[ -e "$me/group" ]',
    "groupadd": 'touch "$me/group"',
    "groupdel": 'rm "$me/group"',
    "usermod": 'touch "$me/member"',
    "systemctl": '[ "$1" != show ] || cat "$me/known" 2>/dev/null || echo ExecStart=',
    "sync": "",
    **{name: f'exec {shutil.which(name)} "$@"' for name in _CHANGING},
    "id": 'case $1 in -u) echo "${UID_THERE:-0}" ;; *) [ ! -e "$me/member" ] || echo roost ;; esac',
}


class Machine:
    """A folder with a runtime's socket, and scripts instead of what changes a system."""

    def __init__(self, folder: Path) -> None:
        self.root, self.stage, self.script = folder / "m", folder / "s", SCRIPT
        for each in ("run/systemd/system", "etc/systemd/system", "var/lib/docker", "dev"):
            (self.root / each).mkdir(parents=True, exist_ok=True)
        (self.root / "etc/os-release").write_text('PRETTY_NAME="Old \\ 1"\n')
        (self.stage / "bin").mkdir(parents=True, exist_ok=True)
        for name, body in _SCRIPTS.items():
            program = self.stage / "bin" / name
            program.write_text(f"{NOTED}{body}\n")
            program.chmod(0o755)
        about = {"version": "1.0.0", "id": KIT}
        (self.stage / "kit.json").write_text(json.dumps(about, indent=1))
        (self.stage / "arch").write_text(f"{ARCHES[os.uname().machine]}\n")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self.root / "run/docker.sock"))

    def close(self) -> None:
        self._socket.close()

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.stage / 'bin'}:{os.environ['PATH']}"
        # The script's process is the one that is written down, so that it can be killed.
        begin = f'echo $$ >"{self.stage / "pid"}"; exec sh "$0" "$@"'
        return subprocess.run(
            ["sh", "-c", begin, str(self.script), *words],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PATH": path, "ROOST_PREFIX": str(self.root), "STAGE": str(self.stage)}
            | environment,
        )

    def install(self, **environment: str) -> subprocess.CompletedProcess[str]:
        (self.stage / "calls").write_text("")
        what = ("--archive", "a.tar", "--image", TAG, "--version", "1.0.0", "--layers", LAYERS)
        return self.run("install", "--json", *what, "--member", "field", **environment)

    def facts(self) -> HostFacts:
        done = self.run("check", "--json", "--image", TAG, "--member", "field")
        return from_json(done.stdout.splitlines()[-1], HostFacts)

    @property
    def calls(self) -> list[str]:
        return (self.stage / "calls").read_text().splitlines()

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.root)): path.read_text(errors="replace")
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and not path.is_symlink()
        }


def code(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    problem = json.loads(done.stdout.splitlines()[-1])["problem"]
    assert problem["detail"]
    assert problem["hint"]
    return str(problem["code"])
