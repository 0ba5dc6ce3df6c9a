"""container.sh on a machine in a folder; runtime and system are scripts that note what is asked.

tests/console/kits/test_contained_real.py has it on a whole machine with a real Docker.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.protocol.decoding import from_json
from console.kits.contained import HostFacts

SCRIPT = Path(__file__).parent.parent.parent.parent / "agent" / "kit" / "container.sh"
TAG, KIT, LAYERS = "roost/agent:1.0.0-abc", "1.0.0-abc", "sha256:aa sha256:bb"
# Each call is noted; the one whose number is in `kill-at` takes the script with it.
_NOTED = """\
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
'image inspect')
  [ -e "$me/loaded" ] || exit 1
  echo 'WARNING: it greets' >&2
  case $* in *Layers*) echo 'sha256:aa sha256:bb ' ;; *) echo sha256:1d ;; esac ;;
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
'ps --all') [ ! -e "$me/runs" ] || echo 1d ;;
'ps --quiet') cat "$me/others" 2>/dev/null ;;
'inspect --format') cat "$me/mounts" ;;
'run --detach') touch "$me/runs" ;;
'rm --force') rm "$me/runs" ;;
'info --format') echo "$ROOST_PREFIX/var/lib/docker" ;;
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
            program.write_text(f"{_NOTED}{body}\n")
            program.chmod(0o755)
        about = {"version": "1.0.0", "id": KIT}
        (self.stage / "kit.json").write_text(json.dumps(about, indent=1))
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


@pytest.fixture
def machine(short_folder: Path) -> Iterator[Machine]:
    made = Machine(short_folder)
    yield made
    made.close()


def code(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    problem = json.loads(done.stdout.splitlines()[-1])["problem"]
    assert problem["detail"]
    assert problem["hint"]
    return str(problem["code"])


def test_it_is_told_what_is_there(machine: Machine) -> None:
    before = machine.files()
    facts = machine.facts()
    assert machine.files() == before
    assert (facts.os, facts.cli, facts.systemd, facts.root) == ("Old \\ 1", "docker", True, True)
    assert (facts.group, facts.joins, facts.contained) == (False, True, False)
    assert len(facts.absent) == 4
    assert [room.place for room in facts.rooms][:2] == ["/opt/roost", "/var/lib/roost"]
    assert all(room.free_bytes > 0 and room.writable for room in facts.rooms)
    assert facts.line.startswith("docker run --rm --log-driver none --name roost-agent ")
    assert facts.line.endswith(f" {TAG}")


def test_gpus_are_passed_one_by_one(machine: Machine) -> None:
    (machine.root / "dev/nvidia-caps").mkdir()
    for name in ("nvidiactl", "nvidia0", "nvidia1", "nvidia-uvm", "nvidia-caps/nvidia-cap2"):
        (machine.root / "dev" / name).touch()
    # A desktop has the one for 32 bits, too: two for one place, and nothing would start.
    for folder in (f"lib/{os.uname().machine}-linux-gnu", "lib/i386-linux-gnu", "lib64"):
        library = machine.root / "usr" / folder / "libnvidia-ml.so.1"
        library.parent.mkdir(parents=True)
        library.touch()
    line = machine.facts().line
    assert line.count("--device ") == 5
    own = machine.root / f"usr/lib/{os.uname().machine}-linux-gnu/libnvidia-ml.so.1"
    assert f"{own}:/usr/lib/libnvidia-ml.so.1:ro" in line
    assert line.count("libnvidia-ml.so.1:ro") == 1


def test_device_files_that_come_with_the_first_question_are_passed(machine: Machine) -> None:
    """After a boot there are none until somebody asks the driver."""
    asked = machine.stage / "bin/nvidia-smi"
    asked.write_text(f'{_NOTED}touch "$ROOST_PREFIX/dev/nvidia0"\n')
    asked.chmod(0o755)
    assert machine.run("run", TAG).returncode == 0
    begun = next(call for call in machine.calls if call.startswith("docker run --detach"))
    assert f"--device {machine.root}/dev/nvidia0" in begun


def test_what_is_not_there_is_not_made_by_the_runtime(machine: Machine) -> None:
    assert ":/etc/os-release:ro" in machine.facts().line
    (machine.root / "etc/os-release").unlink()
    assert "os-release" not in machine.facts().line
    (machine.root / "etc/cdi").mkdir()
    assert f"--volume {machine.root}/etc/cdi:/etc/cdi:ro" in machine.facts().line


def test_it_may_ask_containers_in_their_networks_and_see_their_processes(machine: Machine) -> None:
    line = machine.facts().line
    wanted = {"--cap-add SYS_ADMIN", "--cap-add SYS_PTRACE", "--security-opt apparmor=unconfined"}
    assert [each for each in wanted if each not in line] == []


def test_with_users_mapped_it_is_root_nevertheless(machine: Machine) -> None:
    """A dockerd with userns-remap refuses the machine's network otherwise."""
    assert "--userns host" in machine.facts().line
    assert machine.install().returncode == 0
    once = [each for each in machine.calls if each.startswith("docker run")]
    assert once
    assert all("--userns host" in each for each in once)


def test_an_environment_leads_to_no_other_machine(machine: Machine) -> None:
    done = machine.install(DOCKER_HOST="tcp://elsewhere:2376", DOCKER_TLS_VERIFY="1")
    assert done.returncode == 0, done.stdout
    assert (machine.stage / "host").read_text() == f"unix://{machine.root}/run/docker.sock\n"


def test_what_cannot_be_written_is_not_started(machine: Machine) -> None:
    (machine.root / "opt/roost/image.part").mkdir(parents=True)
    assert code(machine.install()) == "kit.write"
    assert not any(each.startswith("systemctl") for each in machine.calls)


@pytest.mark.parametrize(
    ("known", "reloads"),
    [
        ("", 0),
        ("ExecStart={{ path=/opt/roost/start ; argv[]=/opt/roost/start serve ; pid=7 }}", 1),
        ("ExecStart={{ path={0}/container ; argv[]={0}/container attached ; pid=7 }}", 0),
    ],
)
def test_systemd_that_knows_the_unit_of_a_kit_that_is_gone_reads_anew(
    machine: Machine, known: str, reloads: int
) -> None:
    (machine.stage / "known").write_text(known.format(machine.root / "opt/roost") + "\n")
    assert machine.install().returncode == 0
    assert machine.calls.count("systemctl daemon-reload") == reloads


def test_it_installs_and_again_changes_nothing(machine: Machine) -> None:
    done = machine.install()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "systemctl restart roost-agent.service" in machine.calls
    assert "systemctl daemon-reload" not in machine.calls
    assert (machine.root / "opt/roost/image").read_text() == "sha256:1d\n"
    assert (machine.root / "opt/roost/container").read_text() == SCRIPT.read_text()
    assert (machine.root / "usr/local/bin/roost-agent").is_symlink()
    assert (machine.root / "etc/roost/secrets").stat().st_mode & 0o777 == 0o700
    (machine.root / "etc/roost/agent.yaml").write_text("name: mine\n")
    after = machine.files()
    assert machine.install().returncode == 0
    assert machine.files() == after
    assert "docker load --input a.tar" not in machine.calls
    facts = machine.facts()
    assert (facts.layers, facts.absent, facts.joins) == (LAYERS, [], False)
    (machine.root / "opt/roost/current").symlink_to(KIT)
    facts = machine.facts()
    assert (facts.version, facts.kit, facts.contained) == ("1.0.0", KIT, True)


@pytest.mark.timeout(60)  # some forty installs
def test_killed_at_any_step_it_goes_on(machine: Machine, short_folder: Path) -> None:
    assert machine.install().returncode == 0
    steps, whole = len(machine.calls), set(machine.files())
    assert steps > 25
    for step in range(1, steps + 1):
        folder = short_folder / str(step)
        folder.mkdir()
        other = Machine(folder)
        (other.stage / "kill-at").write_text(str(step))
        assert other.install().returncode == -9, other.calls
        (other.stage / "kill-at").unlink()
        done = other.install()
        assert done.returncode == 0, (step, done.stdout)
        assert set(other.files()) == whole, step
        other.close()


def test_without_systemd_the_runtime_keeps_it_running(machine: Machine) -> None:
    (machine.root / "run/systemd/system").rmdir()
    assert machine.install().returncode == 0
    (ran,) = [each for each in machine.calls if each.startswith("docker run --detach")]
    assert "--restart unless-stopped" in ran
    assert ran.endswith(" sha256:1d")
    assert not (machine.root / "etc/systemd/system/roost-agent.service").exists()
    (machine.stage / "calls").write_text("")
    assert machine.install().returncode == 0
    assert "docker rm --force roost-agent" in machine.calls


@pytest.mark.parametrize(
    ("file", "told"), [("no-load", "kit.load"), ("no-python", "kit.libc"), (None, "kit.root")]
)
def test_what_stands_in_the_way_is_told_before_anything_runs(
    machine: Machine, file: str | None, told: str
) -> None:
    if file is not None:
        refusal = {"code": "kit.libc", "detail": "too old", "hint": "another"}
        (machine.stage / file).write_text(json.dumps({"problem": refusal}) + "\n")
    assert code(machine.install(UID_THERE="0" if file else "1000")) == told
    assert not (machine.root / "opt/roost/image").exists()
    assert not any(each.startswith("systemctl") for each in machine.calls)


def test_without_a_runtime_it_is_refused(machine: Machine) -> None:
    (machine.root / "run/docker.sock").unlink()
    assert machine.facts().cli == ""
    assert code(machine.install()) == "kit.runtime"


def test_where_there_is_only_podman_its_socket_may_be_made_anew(machine: Machine) -> None:
    (machine.root / "run/docker.sock").unlink()
    (machine.root / "run/podman").mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(machine.root / "run/podman/podman.sock"))
    (machine.stage / "bin/podman").write_text((machine.stage / "bin/docker").read_text())
    (machine.stage / "bin/podman").chmod(0o755)
    done = machine.install(DOCKER_HOST="tcp://elsewhere:2376")
    assert done.returncode == 0, done.stdout
    written = (machine.root / "etc/roost/agent.yaml").read_text()
    assert written == "runtime: unix:///run/podman/podman.sock\n"
    facts = machine.facts()
    assert facts.cli == "podman"
    assert f"--volume {machine.root}/run/podman:/run/podman " in facts.line
    assert not any(each.startswith("docker") for each in machine.calls)


def test_an_agent_of_a_kit_stays(machine: Machine) -> None:
    (machine.root / "opt/roost/1.0.0-abc").mkdir(parents=True)
    (machine.root / "opt/roost/current").symlink_to("1.0.0-abc")
    assert code(machine.install()) == "kit.way"
    assert machine.calls == ["id -u"]  # nothing was asked of the runtime


def test_uninstalled_all_else_stays(machine: Machine) -> None:
    assert machine.install().returncode == 0
    root = machine.root / "opt/roost"
    (root / "current").symlink_to("1.0.0-abc")
    (root / "notes.json").write_text("mine")
    (root / "..upgrade.pyz.a1b2.tmp").touch()
    (machine.stage / "runs").touch()
    done = machine.run("uninstall", "--json")
    assert done.returncode == 0, done.stdout
    assert [each.name for each in root.iterdir()] == ["notes.json"]
    assert "notes.json" in done.stdout
    assert {"docker rm --force roost-agent", "docker rmi sha256:1d"} <= set(machine.calls)
    assert not (machine.root / "usr/local/bin/roost-agent").is_symlink()
    assert (machine.root / "etc/roost/agent.yaml").exists()
    again = machine.run("uninstall", "--json")
    assert again.returncode == 0, again.stdout


@pytest.mark.timeout(60)
def test_killed_at_any_step_of_its_end_it_is_found_again(
    machine: Machine, short_folder: Path
) -> None:
    """By the file that says that it is a container: without it nobody would take away the rest."""

    def prepared(folder: Path) -> Machine:
        shutil.copytree(machine.root, folder / "m", symlinks=True, ignore=_sockets)
        shutil.copytree(machine.stage, folder / "s")
        return Machine(folder)

    assert machine.install().returncode == 0
    (machine.root / "opt/roost/current").symlink_to(KIT)
    (machine.stage / "runs").touch()
    (machine.stage / "calls").write_text("")
    whole = prepared(short_folder / "whole")
    done = whole.run("uninstall", "--json", "--all")
    assert done.returncode == 0, done.stdout
    steps, left = len(whole.calls), set(whole.files())
    assert steps > 10
    whole.close()
    for step in range(1, steps + 1):
        other = prepared(short_folder / str(step))
        (other.stage / "kill-at").write_text(str(step))
        assert other.run("uninstall", "--json", "--all").returncode == -9, other.calls
        (other.stage / "kill-at").unlink()
        if set(other.files()) != left:
            assert (other.root / "opt/roost/image").exists(), (step, other.calls[-1])
        done = other.run("uninstall", "--json", "--all")
        assert done.returncode == 0, (step, done.stdout)
        assert set(other.files()) == left, step
        assert not (other.root / "opt/roost").exists()
        other.close()


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [each for each in names if (Path(folder) / each).is_socket()]


def test_what_a_container_has_mounted_is_not_purged(machine: Machine) -> None:
    assert machine.install().returncode == 0
    (machine.stage / "others").write_text("web\n")
    (machine.stage / "mounts").write_text(f"/web {machine.root}/var/lib/roost/models \n")
    assert code(machine.run("uninstall", "--json", "--all")) == "kit.in_use"
    (machine.stage / "mounts").write_text("/web /srv \n")
    assert machine.run("uninstall", "--json", "--all").returncode == 0
    assert not (machine.root / "etc/roost").exists()
    assert not (machine.stage / "group").exists()


@pytest.mark.parametrize(("tried", "left"), [("2.0.0-abc", "old"), ("1.0.0-abc", "new")])
def test_an_upgrade_under_way_ends_with_what_the_older_can_read(
    machine: Machine, tried: str, left: str
) -> None:
    """Unless it was the current one already."""
    assert machine.install().returncode == 0
    root, state = machine.root / "opt/roost", machine.root / "var/lib/roost"
    (root / "current").symlink_to("1.0.0-abc")
    (root / "trial.json").write_text(json.dumps({"id": tried}))
    (state / "agent.db").write_text("new")
    (state / "agent.db.before").write_text("old")
    assert machine.run("uninstall", "--json").returncode == 0
    assert (state / "agent.db").read_text() == left


def test_called_as_the_agent_it_is_the_one_in_the_container(machine: Machine) -> None:
    assert machine.install().returncode == 0
    path = f"{machine.stage / 'bin'}:{os.environ['PATH']}"
    command = machine.root / "usr/local/bin/roost-agent"
    subprocess.run(
        [command, "token", "ls"],
        check=True,
        stdin=subprocess.DEVNULL,
        env={"PATH": path, "ROOST_PREFIX": str(machine.root), "STAGE": str(machine.stage)},
    )
    inside = "/opt/roost/current/bin/roost-agent token ls"
    assert machine.calls[-1] == f"docker exec --interactive roost-agent {inside}"


@pytest.mark.parametrize(("where", "terminal"), [("terminal", True), ("pipe", False)])
def test_a_terminal_is_one_only_where_both_ends_are(
    machine: Machine, where: str, terminal: bool
) -> None:
    """What is written into a pipe has no line ends of a terminal."""
    assert machine.install().returncode == 0
    main, side = os.openpty()
    subprocess.run(
        [machine.root / "usr/local/bin/roost-agent", "token", "ls"],
        check=True,
        stdin=side,
        stdout=side if where == "terminal" else subprocess.PIPE,
        env={
            "PATH": f"{machine.stage / 'bin'}:{os.environ['PATH']}",
            "ROOST_PREFIX": str(machine.root),
            "STAGE": str(machine.stage),
        },
    )
    os.close(main)
    os.close(side)
    assert ("--tty" in machine.calls[-1]) == terminal
