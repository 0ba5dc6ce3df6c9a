"""The installer of a kit, on folders of its own; whole machines are tried in test_install_real."""

from __future__ import annotations

import ast
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.host.facts import read_facts
from agent.host.real_paths import HOST_VARIABLE
from agent.kit import installer
from agent.kit.start import Supervisor
from tests.kits_made import INSTALLER, TOLD, small_kit

ME = installer.Python(sys.executable, ".".join(map(str, sys.version_info[:2])))


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own, as far as paths go, with the Python that runs the tests."""
    root = tmp_path / "machine"
    for name, path in {
        "ROOT": "opt/roost",
        "CONFIG": "etc/roost",
        "STATE": "var/lib/roost",
        "UNIT": "etc/systemd/system/roost-agent.service",
        "COMMAND": "usr/local/bin/roost-agent",
        "TRIAL": "opt/roost/trial.json",
    }.items():
        monkeypatch.setattr(installer, name, root / path)
    (root / "etc" / "systemd" / "system").mkdir(parents=True)
    monkeypatch.setattr(installer, "has_systemd", lambda: False)
    monkeypatch.setattr(installer, "group_id", lambda: 1)
    monkeypatch.setattr(installer, "pythons_here", lambda: [ME])
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return root


def install(path: Path) -> list[str]:
    said: list[str] = []
    installer.install(installer.Kit(path), said.append)
    return said


def refusal(path: Path) -> str:
    with pytest.raises(installer.KitError) as caught:
        install(path)
    assert caught.value.hint
    return str(caught.value.code)


def test_an_old_python_can_read_it() -> None:
    """So that it can say which Python is wanted."""
    ast.parse(INSTALLER.read_text(encoding="utf-8"), feature_version=(3, 6))


def test_it_installs_and_what_it_installed_runs_alone(tmp_path: Path, places: Path) -> None:
    kit = small_kit(tmp_path)
    assert install(kit)[-1] == "agent 1.0.0 is installed"
    program = places / "usr/local/bin/roost-agent"
    assert (places / "opt/roost/current").readlink() == Path("1.0.0-abc")
    done = subprocess.run([program.resolve()], capture_output=True, text=True, check=True)
    assert done.stdout == f"{TOLD}\n"
    library = places / "opt/roost/1.0.0-abc/lib"
    assert (library / "beside.py").is_file()
    assert not (library / "hello-1.data").exists()
    assert (places / "etc/systemd/system/roost-agent.service").is_file()
    assert (places / "etc/roost/secrets").stat().st_mode & 0o777 == 0o700
    assert installer.installed() == {"version": "1.0.0", "id": "1.0.0-abc"}


def test_again_changes_nothing_and_keeps_the_configuration(tmp_path: Path, places: Path) -> None:
    kit = small_kit(tmp_path)
    install(kit)
    (places / "etc/roost/agent.yaml").write_text("name: mine\n")
    inode = (places / "opt/roost/1.0.0-abc").stat().st_ino
    install(kit)
    assert (places / "etc/roost/agent.yaml").read_text() == "name: mine\n"
    assert (places / "opt/roost/1.0.0-abc").stat().st_ino == inode
    assert "is there already" in installer.plan(installer.Kit(kit), "")[0]


def test_for_another_python_it_is_unpacked_anew(
    tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = small_kit(tmp_path)
    install(kit)
    other = tmp_path / "python-to-come"
    other.symlink_to(sys.executable)
    monkeypatch.setattr(installer, "pythons_here", lambda: [installer.Python(str(other), "3.13")])
    assert "unpack it anew, for Python 3.13" in installer.plan(installer.Kit(kit), "")
    install(kit)
    program = places / "opt/roost/current/bin/roost-agent"
    assert program.read_text().startswith(f"#!{other} -IS\n")
    assert len(list((places / "opt/roost").glob("*abc*"))) == 1
    assert len(list((places / "opt/roost").glob(".*"))) == 0


class CutError(BaseException):
    """The power is gone."""


# Not on this filesystem, or not under this seccomp profile.
@pytest.mark.parametrize("why_not", [None, errno.EINVAL, errno.EPERM])
@pytest.mark.timeout(60)
def test_cut_at_any_step_of_unpacking_anew_the_current_agent_starts(
    tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch, why_not: int | None
) -> None:
    """Its folder is there, whole, for the one Python or the other, when `start` has looked."""
    kit, root = small_kit(tmp_path), places / "opt/roost"
    pythons = [tmp_path / "python-a", tmp_path / "python-b"]
    for each in pythons:
        each.symlink_to(sys.executable)
    here: list[Path] = []
    monkeypatch.setattr(installer, "quiet", lambda _argv: (0, ""))  # compiling takes long
    monkeypatch.setattr(
        installer, "pythons_here", lambda: [installer.Python(str(here[-1]), ME.version)]
    )
    steps, seen = -1, 0

    def cutting(call: Any) -> Any:
        def step(*given: Any, **named: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == steps:
                raise CutError
            return call(*given, **named)

        return step

    def cannot(*_: Path) -> None:
        assert why_not is not None
        raise OSError(why_not, "not here")

    exchange = installer.exchange if why_not is None else cannot
    monkeypatch.setattr(installer, "exchange", cutting(exchange))
    monkeypatch.setattr(installer, "sync_folder", cutting(installer.sync_folder))
    monkeypatch.setattr(shutil, "rmtree", cutting(shutil.rmtree))
    monkeypatch.setattr(Path, "rename", cutting(Path.rename))
    here.append(pythons[0])
    install(kit)
    while True:
        here.append(pythons[len(here) % 2])
        steps, seen = (1 if steps < 0 else steps + 1), 0
        try:
            install(kit)
            break
        except CutError:
            Supervisor(str(root / "start"), []).put_back_folder()
            assert (root / "current" / "kit.json").is_file()
            assert (root / "current" / "bin" / "roost-agent").read_text().startswith("#!")
            seen = steps  # past it: this one is not cut
            install(kit)
            names = sorted(each.name for each in root.iterdir())
            assert names == ["1.0.0-abc", "current", "start"], steps
    assert steps > 15


def on_trial(places: Path, tried: str) -> Path:
    """That version is tried, and has changed the schema of the database, which comes back."""
    root, database = places / "opt/roost", places / "var/lib/roost/agent.db"
    database.write_text("new")
    Path(f"{database}-wal").write_text("new")
    Path(f"{database}.before").write_text("old")
    trial = {"id": tried, "was": "1.0.0-abc", "version": "2", "job": "j1", "starts": 1}
    (root / "trial.json").write_text(json.dumps({**trial, "database": str(database)}))
    (root / "first-upgrade.json").write_text("{}")
    (root / ".current.confirm").symlink_to("x")
    return database


def test_an_upgrade_under_way_ends_where_another_is_installed(tmp_path: Path, places: Path) -> None:
    install(small_kit(tmp_path))
    database = on_trial(places, "1.5.0-abc")
    install(small_kit(tmp_path, version="2.0.0"))
    assert database.read_text() == "old"
    assert sorted(each.name for each in database.parent.iterdir()) == ["agent.db"]
    root = places / "opt/roost"
    assert not (root / "trial.json").exists()
    assert (root / "current").readlink() == Path("2.0.0-abc")
    last = json.loads((root / "last-upgrade.json").read_text())
    assert (last["outcome"], last["job"], last["id"]) == ("returned", "j1", "1.5.0-abc")
    assert last["why"] == "another was installed"


def test_uninstall_ends_an_upgrade_and_keeps_what_the_older_can_read(
    tmp_path: Path, places: Path
) -> None:
    install(small_kit(tmp_path))
    database = on_trial(places, "1.5.0-abc")
    installer.uninstall(print, everything=False)
    assert database.read_text() == "old"
    assert not (places / "opt/roost").exists()


def test_nothing_is_switched_while_the_database_cannot_be_put_back(
    tmp_path: Path, places: Path
) -> None:
    install(small_kit(tmp_path))
    database = on_trial(places, "1.5.0-abc")
    in_the_way = Path(f"{database}-shm")
    in_the_way.mkdir()
    assert refusal(small_kit(tmp_path, version="2.0.0")) == "kit.write"
    root = places / "opt/roost"
    assert (root / "current").readlink() == Path("1.0.0-abc")
    assert json.loads((root / "trial.json").read_text())["back"] == "another was installed"
    in_the_way.rmdir()
    install(small_kit(tmp_path, version="2.0.0"))
    assert database.read_text() == "old"
    assert (root / "current").readlink() == Path("2.0.0-abc")


def test_what_a_cut_left_is_begun_anew(tmp_path: Path, places: Path) -> None:
    for left in (".1.0.0-abc.part/lib/half", "1.0.0-abc/lib/half"):
        path = places / "opt/roost" / left
        path.parent.mkdir(parents=True)
        path.write_text("half")
    install(small_kit(tmp_path))
    assert not list(places.rglob("half"))
    assert sorted(each.name for each in (places / "opt/roost").iterdir()) == [
        "1.0.0-abc",
        "current",
        "start",
    ]


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ({"arch": "s390x"}, "kit.arch"),
        ({"pythons": ["3.7"]}, "kit.python"),
        ({"wheel": b"not what the list says"}, "kit.broken"),
        ({"glibc": "9.99"}, "kit.libc"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_changes(
    tmp_path: Path, places: Path, made: dict[str, Any], code: str
) -> None:
    assert refusal(small_kit(tmp_path, **made)) == code
    assert not (places / "opt/roost/current").exists()
    assert not (places / "etc/roost").exists()


def test_a_kit_that_was_cut_is_no_kit(tmp_path: Path) -> None:
    kit = small_kit(tmp_path)
    kit.write_bytes(kit.read_bytes()[:-100])
    assert refusal(kit) == "kit.broken"


def test_too_little_room_is_seen_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "free_bytes", lambda _place: 10 << 20)
    assert refusal(small_kit(tmp_path)) == "kit.no_space"


def test_not_root_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert refusal(small_kit(tmp_path)) == "kit.root"


def test_uninstall_leaves_data_unless_told(tmp_path: Path, places: Path) -> None:
    said: list[str] = []
    install(small_kit(tmp_path))
    installer.uninstall(said.append, everything=False)
    assert not (places / "opt/roost").exists()
    assert not (places / "usr/local/bin/roost-agent").is_symlink()
    assert not (places / "etc/systemd/system/roost-agent.service").exists()
    assert (places / "var/lib/roost").is_dir()
    assert said[-1].startswith("the agent is gone, kept: ")


def test_uninstall_leaves_what_others_put_beside_it(tmp_path: Path, places: Path) -> None:
    install(small_kit(tmp_path))
    other = places / "opt/roost/notes.txt"
    other.write_text("mine")
    for left in (".upgrade.pyz", "..upgrade.pyz.a1b2.tmp"):  # a kit that came, and was cut
        other.with_name(left).write_text("kit")
    command = places / "usr/local/bin/roost-agent"
    command.unlink()
    command.write_text("somebody's own")
    said: list[str] = []
    installer.uninstall(said.append, everything=False)
    assert [each.name for each in (places / "opt/roost").iterdir()] == ["notes.txt"]
    assert command.read_text() == "somebody's own"
    assert str(other) in said[-1]
    installer.uninstall(said.append, everything=False)  # again: nothing to do, nothing broken
    assert other.read_text() == "mine"


def test_what_a_container_has_mounted_is_not_purged(
    tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(small_kit(tmp_path))
    secret = places / "etc/roost/secrets/camera"
    secret.write_text("x")
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("no mount namespaces here")
    script = (
        f"touch {tmp_path}/at && mount --bind {secret} {tmp_path}/at && echo up && exec sleep 60"
    )
    argv = ["unshare", "--mount", "sh", "-c", script]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as container:
        assert container.stdout is not None
        assert container.stdout.readline() == b"up\n"
        with pytest.raises(installer.KitError) as caught:
            installer.uninstall(print, everything=True)
        container.kill()
    assert caught.value.code == "kit.in_use"
    assert "secrets/camera" in str(caught.value)
    assert (places / "opt/roost/current").exists()
    monkeypatch.setattr(installer, "group_id", lambda: None)
    installer.uninstall(print, everything=True)
    assert not (places / "etc/roost").exists()
    assert not (places / "var/lib/roost").exists()


def test_a_newer_kit_takes_the_place_and_an_older_one_is_refused(
    tmp_path: Path, places: Path
) -> None:
    old = small_kit(tmp_path, version="1.9.0")
    new = small_kit(tmp_path, version="1.10.0")
    install(old)
    assert "instead of 1.9.0" in " ".join(installer.plan(installer.Kit(new), ""))
    install(new)
    assert (places / "opt/roost/current").readlink() == Path("1.10.0-abc")
    assert refusal(old) == "kit.older"
    assert (places / "opt/roost/current").readlink() == Path("1.10.0-abc")


def answering(place: Path, said: str) -> None:
    """An agent there that says this to what it is asked."""
    program = place / "bin" / "roost-agent"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("policy", "said", "code"),
    [
        ("policy: {require_signature: true}\n", "NO", "signature.missing"),
        ("policy: {require_signature: true}\n", '{"says": "it is trusted here"}', None),
        ("policy: {require_signature: true}\n", "error: no such command 'kit'", None),
        ("alerts: {}\n", "NO", None),
    ],
)
def test_the_agent_that_is_there_says_whether_a_kit_may_take_its_place(
    tmp_path: Path, places: Path, policy: str, said: str, code: str | None
) -> None:
    no = {"code": "signature.missing", "detail": "nobody has signed it", "hint": "Sign it."}
    said = json.dumps({"problem": no}) if said == "NO" else said
    config = places / "etc/roost/agent.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(policy)
    answering(places / "opt/roost/0.9", said)
    (places / "opt/roost/current").symlink_to("0.9")
    kit = small_kit(tmp_path, says='{"says": "it is trusted here"}')
    if code is None:
        install(kit)
        return
    assert [each.code for each in installer.refused(installer.Kit(kit))] == [code]
    assert refusal(kit) == code
    assert sorted(each.name for each in (places / "opt/roost").iterdir()) == ["0.9", "current"]


@pytest.mark.parametrize("code", ["signature.missing", "kit.installer"])
def test_where_no_agent_is_the_one_in_the_kit_says_it_or_cannot_and_goes_again(
    tmp_path: Path, places: Path, code: str
) -> None:
    config = places / "etc/roost/agent.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("policy: {require_signature: true}\n")
    no = {"code": code, "detail": "nobody has signed it", "hint": "Sign it."}
    silent = code == "kit.installer"
    kit = small_kit(tmp_path, says=TOLD if silent else json.dumps({"problem": no}))
    assert refusal(kit) == code
    assert list((places / "opt/roost").iterdir()) == []


def test_a_filesystem_that_is_read_only_is_seen_beforehand(
    tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = small_kit(tmp_path)
    real = os.statvfs(tmp_path)
    values = {name: getattr(real, name) for name in dir(real) if name.startswith("f_")}
    monkeypatch.setattr(
        "os.statvfs", lambda _: SimpleNamespace(**{**values, "f_flag": os.ST_RDONLY})
    )
    assert refusal(kit) == "kit.read_only"
    assert not (places / "opt/roost").exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_in_a_container_a_disk_that_is_full_keeps_no_agent_from_its_start(
    tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr("os.execv", lambda program, _words: started.append(program))
    monkeypatch.setenv(HOST_VARIABLE, "/")
    monkeypatch.setattr(installer, "take_timezone", lambda *_: None)
    kit = installer.Kit(small_kit(tmp_path))
    installer.contained(kit, lambda _line: None)
    start = places / "opt/roost/start"
    assert start.read_bytes() == installer.supervisor(kit, ME)

    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(installer, "write", full)
    installer.contained(kit, lambda _line: None)
    assert started == [str(start)] * 2


def test_in_a_container_that_does_not_see_its_machine_no_agent_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it said of its machine would be of its image."""
    monkeypatch.setenv(HOST_VARIABLE, "/nowhere")
    with pytest.raises(installer.KitError) as caught:
        installer.contained(installer.Kit(small_kit(tmp_path)), lambda _line: None)
    assert caught.value.code == "kit.host"


def test_in_a_container_the_machine_has_its_own_time_zone(
    tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quiet hours would be those of the image otherwise."""
    host, own = tmp_path / "host", tmp_path / "own"
    for root, zone in ((host, "Europe/Berlin"), (own, "Etc/UTC")):
        (root / "etc").mkdir(parents=True)
        (root / "etc/localtime").symlink_to(f"/usr/share/zoneinfo/{zone}")
    (own / "etc/timezone").write_text("Etc/UTC\n")
    monkeypatch.setattr("os.execv", lambda _program, _words: None)
    monkeypatch.setenv(HOST_VARIABLE, str(host))
    monkeypatch.setattr(installer, "OWN", own)
    installer.contained(installer.Kit(small_kit(tmp_path)), lambda _line: None)
    assert read_facts(own).timezone == "Europe/Berlin"
    assert not (own / "etc/timezone").exists()
    (host / "etc/localtime").unlink()
    (host / "etc/timezone").write_text("Asia/Tokyo\n")
    installer.contained(installer.Kit(small_kit(tmp_path)), lambda _line: None)
    assert read_facts(own).timezone == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("known", "reloads"),
    [
        ("ExecStart=", False),
        ("ExecStart={{ path={0}/start ; argv[]={0}/start serve ; pid=7 }}", False),
        ("ExecStart={{ path={0}/container ; argv[]={0}/container attached ; pid=7 }}", True),
    ],
)
def test_systemd_that_knows_the_unit_of_an_agent_that_is_gone_reads_anew(
    tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch, known: str, reloads: bool
) -> None:
    """It goes on with what it read at boot, whatever the file says by then."""
    asked: list[list[str]] = []
    quiet = installer.quiet

    def told(argv: list[str]) -> tuple[int, str]:
        if argv[0] != "systemctl":
            return quiet(argv)
        asked.append(argv)
        return 0, known.format(places / "opt/roost") if argv[1] == "show" else ""

    monkeypatch.setattr(installer, "has_systemd", lambda: True)
    monkeypatch.setattr(installer, "quiet", told)
    install(small_kit(tmp_path))
    assert (["systemctl", "daemon-reload"] in asked) == reloads
    assert ["systemctl", "restart", "roost-agent.service"] in asked


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """With a program in the place of the agent's, which is not installed here."""
    unit = INSTALLER.with_name("roost-agent.service").read_text()
    (line,) = [each for each in unit.splitlines() if each.startswith("ExecStart=")]
    (tmp_path / "roost-agent.service").write_text(unit.replace(line, "ExecStart=/bin/true serve"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "roost-agent.service")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:/usr/lib/systemd/system"},
    )
    about = [each for each in done.stderr.splitlines() if "roost-agent" in each]
    assert (done.returncode, about) == (0, []), done.stderr
