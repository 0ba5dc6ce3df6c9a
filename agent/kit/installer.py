"""Puts the agent that it comes with on this machine: `python3 KIT check | install | uninstall`.

`unpack` is what an agent that runs here does with the kit that it is to become. `contained` is
what the agent's image does at each start, where container.sh has installed it.

A kit is a zip file that Python runs. This is its first file, and the only one that runs before
anything is installed: standard library only, and what even Python 3.6 can read, so that an old
Python is named and not tripped over. It needs no network, no pip and no compiler.

Every step looks first and can be done again: a kit that was cut goes on when it is run again.
"""

import argparse
import ctypes
import errno
import grp
import hashlib
import io
import json
import os
import platform
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

ROOT = Path("/opt/roost")
CONFIG = Path("/etc/roost")
STATE = Path("/var/lib/roost")
UNIT = Path("/etc/systemd/system/roost-agent.service")
COMMAND = Path("/usr/local/bin/roost-agent")
TRIAL = ROOT / "trial.json"
IMAGE = ROOT / "image"  # there where the agent runs in a container
GROUP = "roost"
SERVICE = "roost-agent.service"
# What the database, uploads and one engine need before any image comes.
STATE_BYTES = 200 << 20
COMMAND_SECONDS = 60
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
OLD_SUFFIX = ".old.part"  # as start.py has it
# Where a container has its machine's root, as agent/host/real_paths.py is told by container.sh, or
# by this where that is one of an older version.
OWN, HOST, HOST_VARIABLE = Path("/"), "/proc/1/root", "ROOST_HOST"


class KitError(Exception):
    """What is wrong, and what to do."""

    def __init__(self, code: str, detail: str, hint: str) -> None:
        super().__init__(detail)
        self.code, self.hint = code, hint

    def told(self) -> Dict[str, str]:
        return {"code": self.code, "detail": str(self), "hint": self.hint}


class Kit:
    """The zip file that this runs from.

    `kit.json` has `version`, `id`, `arch`, `glibc`, and `files`: each with `path`, `sha256`,
    `bytes`, `unpacked_bytes` and the `pythons` that it is for (null: all).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.zip = zipfile.ZipFile(str(path))
            self.about: Dict[str, Any] = json.loads(self.zip.read("kit.json").decode())
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise KitError(
                "kit.broken", f"{path} is not a whole kit: {error}", "Copy it again."
            ) from None
        self.id = str(self.about["id"])
        self.version = str(self.about["version"])

    @property
    def pythons(self) -> List[str]:
        return sorted({each for file in self.about["files"] for each in file["pythons"] or []})

    def wheels(self, python: str) -> List[Dict[str, Any]]:
        return [
            file
            for file in self.about["files"]
            if file["path"].endswith(".whl") and (not file["pythons"] or python in file["pythons"])
        ]

    def read(self, path: str) -> bytes:
        """One file, whole and as the kit says."""
        told = next(file for file in self.about["files"] if file["path"] == path)
        try:
            data = self.zip.read(path)
        except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
            raise KitError("kit.broken", f"{path}: {error}", "Copy the kit again.") from None
        if hashlib.sha256(data).hexdigest() != told["sha256"]:
            raise KitError("kit.broken", f"{path} is not as it was made", "Copy the kit again.")
        return data


class Python(NamedTuple):
    path: str
    version: str  # "3.11"


def pythons_here() -> List[Python]:
    """The system's own, newest first, then what runs this; only whole ones."""
    found = [Python(f"/usr/bin/python3.{minor}", f"3.{minor}") for minor in (13, 12, 11, 10)]
    this = ".".join(map(str, sys.version_info[:2]))
    found.append(Python(os.path.realpath(sys.executable), this))
    return [each for each in found if os.access(each.path, os.X_OK)]


def whole(python: Python) -> Optional[str]:
    """What it lacks; None: it has all that the agent takes from the standard library."""
    probe = "import asyncio, sqlite3, ssl, zoneinfo, ctypes, lzma, bz2, zlib"
    done = quiet([python.path, "-IS", "-c", probe])
    return None if done[0] == 0 else (done[1].strip().splitlines() or ["it does not run"])[-1]


def quiet(argv: List[str]) -> Tuple[int, str]:
    """Exit status and what it said; 127 where there is no such program."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except OSError as error:
        return 127, str(error)
    except subprocess.TimeoutExpired:
        return 124, f"{argv[0]} did not end within {COMMAND_SECONDS} s"
    return done.returncode, done.stdout.decode(errors="replace")


def has_systemd() -> bool:
    return os.path.isdir("/run/systemd/system")


def glibc() -> Optional[str]:
    name, version = platform.libc_ver()
    return version if name == "glibc" else None


def facts() -> Dict[str, Any]:
    """What this machine is; null: it could not be told."""
    release = read_text("/etc/os-release") or ""
    names = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', release, re.MULTILINE))
    driver = read_text("/proc/driver/nvidia/version") or ""
    seen = re.search(r"Kernel Module\D*([\d.]+)", driver)
    runtimes = {
        "docker": "/var/run/docker.sock",
        "podman": "/run/podman/podman.sock",
    }
    python = chosen_python(None)
    return {
        "os": names.get("PRETTY_NAME"),
        "arch": platform.machine(),
        "glibc": glibc(),
        "python": python.version if python else None,
        "runtimes": sorted(name for name, path in runtimes.items() if os.path.exists(path)),
        "driver": seen.group(1) if seen else None,
        "tegra": os.path.exists("/etc/nv_tegra_release"),
        "systemd": has_systemd(),
        "root": os.geteuid() == 0,
        "agent": installed(),
        "free_bytes": {str(place): free_bytes(place) for place in (ROOT, STATE)},
    }


def read_text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def free_bytes(place: Path) -> int:
    while not place.exists():
        place = place.parent
    found = os.statvfs(str(place))
    return found.f_bavail * found.f_frsize


def installed() -> Optional[Dict[str, str]]:
    """The agent that is `current`, if one is."""
    try:
        about = json.loads((ROOT / "current" / "kit.json").read_text(encoding="utf-8"))
        return {"version": str(about["version"]), "id": str(about["id"])}
    except (OSError, ValueError, KeyError):
        return None


def chosen_python(kit: Optional[Kit]) -> Optional[Python]:
    for python in pythons_here():
        if (kit is None or python.version in kit.pythons) and whole(python) is None:
            return python
    return None


def problems(kit: Kit) -> List[KitError]:
    """All that stands in the way here. Changes nothing."""
    found: List[KitError] = []
    machine, wanted = platform.machine(), kit.about["arch"]
    if machine != wanted:
        found.append(
            KitError(
                "kit.arch",
                f"this machine is {machine}, the kit is for {wanted}",
                f"Make one for it: roost agent kit make --arch {machine}",
            )
        )
    if os.geteuid() != 0:
        found.append(KitError("kit.root", "it needs root", "Run it with sudo."))
    python = chosen_python(kit)
    if python is None:
        lacks = [f"{each.path}: {whole(each)}" for each in pythons_here() if whole(each)]
        found.append(
            KitError(
                "kit.python",
                "no Python of {} is here{}".format(
                    ", ".join(kit.pythons), "".join("; " + each for each in lacks[:2])
                ),
                "Install python3 of a newer release, or give the agent's image: --image.",
            )
        )
    found += [problem for problem in (libc_problem(kit),) if problem]
    found += place_problems(kit, python)
    return found


def newer_there(kit: Kit) -> List[KitError]:
    """An older agent may not be able to read what a newer one wrote."""
    if IMAGE.exists():
        return [
            KitError(
                "kit.way",
                "an agent that runs in a container is there",
                "Bring it another version: roost agent upgrade. Or first: roost node uninstall,"
                " which keeps its data.",
            )
        ]
    there = installed()
    if there is None or version_key(there["version"]) <= version_key(kit.version):
        return []
    return [
        KitError(
            "kit.older",
            "agent {} is there, and the kit has {}".format(there["version"], kit.version),
            "Take a newer kit. Or first: roost node uninstall, which keeps its data.",
        )
    ]


def refused(kit: Kit) -> List[KitError]:
    """What agent.yaml wants of a kit's signature is looked at by an agent: this has no ed25519.

    One that is there says it before anything is written, else the one that was just unpacked. Where
    neither answers it is refused: an agent.yaml that cannot be read asks for a signature as well.
    """
    if "require_signature" not in (read_text(str(CONFIG / "agent.yaml")) or ""):
        return []
    for place in (ROOT / "current", ROOT / kit.id):
        program = place / "bin" / "roost-agent"
        if not program.exists():
            continue
        said = quiet([str(program), "kit", "--json", str(kit.path)])[1].strip().splitlines()
        try:
            problem = json.loads(said[-1]).get("problem")
        except (IndexError, ValueError, AttributeError):
            if place == ROOT / kit.id:
                return [
                    KitError(
                        "kit.installer",
                        "whether this machine takes it is not known: {}".format(
                            said[-1][-300:] if said else "its agent says nothing"
                        ),
                        f"Mend {CONFIG}/agent.yaml, or take another kit.",
                    )
                ]
            continue  # an older one does not know the question
        return [KitError(*(problem[key] for key in ("code", "detail", "hint")))] if problem else []
    return []


def libc_problem(kit: Kit) -> Optional[KitError]:
    have, need = glibc(), str(kit.about["glibc"])
    if have is None:
        return KitError(
            "kit.libc", "this system has no glibc", "Give the agent's image: node install --image."
        )
    if version_key(have) < version_key(need):
        return KitError(
            "kit.libc",
            f"glibc is {have}, the kit needs {need}",
            "Give the agent's image: node install --image.",
        )
    return None


def version_key(text: str) -> List[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


def place_problems(kit: Kit, python: Optional[Python]) -> List[KitError]:
    found: List[KitError] = []
    need = 0
    if python is not None and not unpacked(kit, python):
        need = sum(file["unpacked_bytes"] for file in kit.wheels(python.version))
    for place, wanted in ((ROOT, need), (STATE, STATE_BYTES)):
        above = place
        while not above.exists():
            above = above.parent
        if os.statvfs(str(above)).f_flag & os.ST_RDONLY:
            found.append(
                KitError(
                    "kit.read_only",
                    f"{place} is on a filesystem that is read-only",
                    f"Mount a writable folder at {place}.",
                )
            )
        elif free_bytes(place) < wanted:
            found.append(
                KitError(
                    "kit.no_space",
                    f"{place} has {free_bytes(place) >> 20} MB free,"
                    f" {(wanted >> 20) + 1} MB are needed",
                    "Make room there.",
                )
            )
    return found


def plan(kit: Kit, member: str) -> List[str]:
    """What `install` would do now, in words."""
    steps: List[str] = []
    there, python = installed(), chosen_python(kit)
    if there and there["id"] == kit.id:
        steps.append(f"agent {kit.version} is there already")
        if python is not None and not unpacked(kit, python):
            steps.append(f"unpack it anew, for Python {python.version}")
    else:
        if python is None or not unpacked(kit, python):
            steps.append(f"unpack agent {kit.version} to {ROOT / kit.id}")
        was = ", instead of {}".format(there["version"]) if there else ""
        steps.append(f"make it the current one{was}")
    if group_id() is None:
        steps.append(f"make the group {GROUP}")
    if joins(member):
        steps.append(f"let {member} use the agent: into the group {GROUP}")
    steps += [f"make {folder}" for folder in (CONFIG, STATE) if not folder.is_dir()]
    if not (CONFIG / "agent.yaml").exists():
        steps.append(f"write {CONFIG}/agent.yaml")
    if has_systemd():
        steps.append(f"start it as {SERVICE}, now and at every boot")
    else:
        steps.append("systemd does not run here: somebody has to start roost-agent serve")
    return steps


def group_id() -> Optional[int]:
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


def joins(member: str) -> bool:
    """Whether somebody has to become a member of the group; root needs not."""
    if member in ("", "root"):
        return False
    try:
        return member not in grp.getgrnam(GROUP).gr_mem
    except KeyError:
        return True


def install(kit: Kit, say: Any, member: str = "") -> None:
    found = problems(kit) + newer_there(kit) + refused(kit)
    python = chosen_python(kit)
    if found or python is None:
        raise found[0]
    unpack_vouched(kit, python, say)
    if group_id() is None:
        say(f"making the group {GROUP}")
        must(["groupadd", "--system", GROUP], "kit.group")
    if joins(member):
        must(["usermod", "--append", "--groups", GROUP, member], "kit.group")
    for folder, mode in (
        (CONFIG, 0o755),
        (CONFIG / "trusted-keys", 0o755),
        (CONFIG / "secrets", 0o700),
        (STATE, 0o700),
    ):
        if not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(mode)
    if not (CONFIG / "agent.yaml").exists():
        write(CONFIG / "agent.yaml", kit.read("agent.yaml"), 0o644)
    write(ROOT / "start", supervisor(kit, python), 0o755)
    end_trial(say)  # somebody wants this one, whatever is tried
    link(ROOT / "current", kit.id)
    COMMAND.parent.mkdir(parents=True, exist_ok=True)
    if not COMMAND.exists() or COMMAND.is_symlink():
        link(COMMAND, str(ROOT / "current" / "bin" / "roost-agent"))
    unit, was = kit.read("roost-agent.service"), UNIT.read_bytes() if UNIT.exists() else None
    if UNIT.parent.is_dir() or has_systemd():
        UNIT.parent.mkdir(parents=True, exist_ok=True)
        write(UNIT, unit, 0o644)
    if has_systemd():
        say(f"starting {SERVICE}")
        # Only where systemd knows another: a reload can take running containers their GPUs.
        if was not in (None, unit) or knows_another():
            must(["systemctl", "daemon-reload"], "kit.service")
        must(["systemctl", "enable", "--no-reload", SERVICE], "kit.service")
        must(["systemctl", "restart", SERVICE], "kit.service")
    say(f"agent {kit.version} is installed")


def knows_another() -> bool:
    """Whether systemd has read another unit: it goes on with that of an agent that is gone."""
    known = quiet(["systemctl", "show", "--property=ExecStart", SERVICE])[1]
    return "argv[]=" in known and f"argv[]={ROOT}/start serve " not in known


def end_trial(say: Any) -> None:
    """Another version that is tried ends, and the database is as before, as its supervisor does it.

    Cut short, the supervisor goes on with it at the next start.
    """
    if not TRIAL.exists():
        return
    say("ending the upgrade that is under way")
    if has_systemd() and UNIT.exists():
        must(["systemctl", "stop", SERVICE], "kit.service")
    try:
        supervisor = runpy.run_path(str(ROOT / "start"))["Supervisor"](str(ROOT / "start"), [])
        trial = supervisor.trial()
        if trial is None or supervisor.current() == trial["id"]:
            TRIAL.unlink()
            return
        trial["back"] = trial.get("back") or "another was installed"
        supervisor.write(TRIAL.name, trial)
        supervisor.go_back(trial)  # it says what stands in the way
    except OSError as error:
        raise KitError("kit.write", f"{ROOT}: {error}", "Mend that and run it again.") from None
    if TRIAL.exists():
        raise KitError(
            "kit.write", "the database could not be put back", "Mend that and run it again."
        )


def unpack_only(kit: Kit, say: Any) -> None:
    """Beside what runs, which goes on."""
    found = problems(kit)
    python = chosen_python(kit)
    if found or python is None:
        raise found[0]
    unpack(kit, python, say)


def contained(kit: Kit, say: Any) -> None:
    """In the container: become the machine's current agent, or the image's own where none is."""
    host = Path(os.environ.setdefault(HOST_VARIABLE, HOST))
    if not os.path.exists(str(host / "etc")):
        raise KitError(
            "kit.host",
            f"the machine's root is not to be seen at {HOST_VARIABLE}={host}",
            "Run it with the line of images/agent: sh container.sh line",
        )
    if not (ROOT / "current").is_symlink():
        unpack_only(kit, say)
        link(ROOT / "current", kit.id)
    python = chosen_python(None)
    # Not again what is there: a disk that is full must not keep the agent from its start.
    start = ROOT / "start"
    if python is not None and read_text(str(start)) != supervisor(kit, python).decode():
        write(start, supervisor(kit, python), 0o755)
    COMMAND.parent.mkdir(parents=True, exist_ok=True)
    if not COMMAND.exists():
        link(COMMAND, str(ROOT / "current" / "bin" / "roost-agent"))
    take_timezone(host / "etc", OWN / "etc")
    os.execv(str(ROOT / "start"), [str(ROOT / "start"), "serve"])  # noqa: S606 - no shell is meant


def take_timezone(theirs: Path, own: Path) -> None:
    """The machine's: its quiet hours go by it, and the image has one of its own."""
    try:
        for name in ("localtime", "timezone"):
            if (theirs / name).is_symlink():
                link(own / name, os.readlink(str(theirs / name)))
            elif (theirs / name).exists():
                write(own / name, (theirs / name).read_bytes(), 0o644)
            elif (own / name).is_symlink() or (own / name).exists():
                (own / name).unlink()
    except OSError as error:
        print(f"roost: the machine's time zone is not known here: {error}", file=sys.stderr)


def supervisor(kit: Kit, python: Python) -> bytes:
    """What systemd runs: of every version the same."""
    return f"#!{python.path} -IS\n".encode() + kit.read("start.py")


def must(argv: List[str], code: str) -> None:
    status, said = quiet(argv)
    if status:
        raise KitError(
            code,
            "{}: {}".format(" ".join(argv), said.strip()[-300:] or f"exit status {status}"),
            "Mend that and run it again: it goes on.",
        )


def unpacked(kit: Kit, python: Python) -> bool:
    """Whether it lies there whole, for that Python: the system's may be another one by now."""
    place = ROOT / kit.id
    program = read_text(str(place / "bin" / "roost-agent")) or ""
    fits = program.startswith(launcher(python, place).split("\n", 1)[0] + "\n")
    return fits and (place / "kit.json").exists()


def unpack_vouched(kit: Kit, python: Python, say: Any) -> None:
    """Where no agent was there to say whether it may be installed, the one in it has."""
    there = (ROOT / kit.id).exists()
    unpack(kit, python, say)
    found = refused(kit)
    if found:
        if not there:
            shutil.rmtree(str(ROOT / kit.id))
        raise found[0]


def unpack(kit: Kit, python: Python, say: Any) -> None:
    """The wheels as one folder, whole and on disk before it has its name."""
    done = ROOT / kit.id
    part, old = ROOT / ("." + kit.id + ".part"), ROOT / ("." + kit.id + OLD_SUFFIX)
    if unpacked(kit, python):
        for left in (part, old):  # by one that was cut
            shutil.rmtree(str(left), ignore_errors=True)
        return
    say(f"unpacking agent {kit.version} for Python {python.version}")
    if old.exists() and not done.exists():
        old.rename(done)
        sync_folder(ROOT)
    shutil.rmtree(str(part), ignore_errors=True)
    library = part / "lib"
    library.mkdir(parents=True)
    try:
        for file in kit.wheels(python.version):
            unpack_wheel(kit.read(file["path"]), file["path"], library)
        (part / "bin").mkdir()
        write(part / "bin" / "roost-agent", launcher(python, done).encode(), 0o755)
        quiet([python.path, "-IS", "-m", "compileall", "-q", str(library)])
        write(part / "kit.json", json.dumps(kit.about, indent=1).encode(), 0o644)
        sync_tree(part)
        sync_folder(ROOT)
        take_place(part, done, old)
        for left in (part, old):  # what was there
            shutil.rmtree(str(left), ignore_errors=True)
    except OSError as error:
        shutil.rmtree(str(part), ignore_errors=True)
        raise KitError("kit.write", f"{ROOT}: {error}", "Mend that and run it again.") from None


def take_place(part: Path, done: Path, old: Path) -> None:
    """What is there, not whole or for another Python, is put aside. There is never none.

    `current` may lead there: without it no agent would start after a power cut.
    """
    if not done.exists():
        part.rename(done)
        sync_folder(ROOT)
        return
    try:
        exchange(part, done)
    except OSError as error:
        # EPERM: a seccomp profile that is older than the call.
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
            raise
        # It cannot be done here: `start` knows both names, and puts one of them back.
        shutil.rmtree(str(old), ignore_errors=True)
        done.rename(old)
        sync_folder(ROOT)
        part.rename(done)
    sync_folder(ROOT)


def exchange(one: Path, other: Path) -> None:
    """Each gets the other's name, in one step. Raises OSError."""
    # By its number: glibc has renameat2 from 2.28 on.
    number = {"x86_64": 316, "aarch64": 276}.get(platform.machine())
    if number is None or sys.maxsize < 1 << 32:  # a 32-bit Python calls by other numbers
        raise OSError(errno.ENOSYS, "no renameat2 is known here")
    call = ctypes.CDLL(None, use_errno=True).syscall
    paths = [os.fsencode(str(path)) for path in (one, other)]
    if call(number, AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def launcher(python: Python, place: Path) -> str:
    """It sees the standard library and its own wheels, and nothing else of the system's Python."""
    return (
        "#!{} -IS\n"
        "import sys\n"
        "sys.path.insert(0, {!r})\n"
        "from agent.cli.main import main\n"
        "main()\n".format(python.path, str(place / "lib"))
    )


def unpack_wheel(data: bytes, name: str, library: Path) -> None:
    """Its purelib or platlib; scripts, headers and data are for whoever has pip."""
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        for entry in wheel.infolist():
            inside = entry.filename
            moved = re.match(r"[^/]+\.data/(?:purelib|platlib)/(.+)", inside)
            if moved:
                inside = moved.group(1)
            elif re.match(r"[^/]+\.data/", inside) or inside.endswith("/"):
                continue
            target = library / inside
            if library not in target.resolve().parents:
                raise KitError("kit.broken", f"{name} leads outside: {inside}", "Not ours.")
            target.parent.mkdir(parents=True, exist_ok=True)
            with wheel.open(entry) as source, open(str(target), "wb") as file:
                shutil.copyfileobj(source, file)


def write(path: Path, data: bytes, mode: int) -> None:
    """On disk, then in its place."""
    part = path.with_name("." + path.name + ".part")
    with open(str(part), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.chmod(mode)
    part.rename(path)
    sync_folder(path.parent)


def link(path: Path, target: str) -> None:
    """Switched in one step: there is never none."""
    part = path.with_name("." + path.name + ".part")
    if part.is_symlink() or part.exists():
        part.unlink()
    part.symlink_to(target)
    part.rename(path)
    sync_folder(path.parent)


def sync_tree(place: Path) -> None:
    for folder, _, names in os.walk(str(place)):
        for name in names:
            sync_folder(Path(folder) / name)
        sync_folder(Path(folder))


def sync_folder(path: Path) -> None:
    handle = os.open(str(path), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def uninstall(say: Any, *, everything: bool) -> None:
    """The agent goes; containers, images and what Roost did not make stay."""
    if os.geteuid() != 0:
        raise KitError("kit.root", "it needs root", "Run it with sudo.")
    used = in_use(STATE, CONFIG) if everything else []
    if used:
        raise KitError(
            "kit.in_use",
            "containers or proxies have mounted {}".format(", ".join(used[:5])),
            "First remove those workloads, or keep data and configuration.",
        )
    # Without a reload of systemd, which can take running containers their GPUs.
    if has_systemd() and UNIT.exists():
        say(f"stopping {SERVICE}")
        must(["systemctl", "disable", "--no-reload", SERVICE], "kit.service")
        must(["systemctl", "stop", SERVICE], "kit.service")
        quiet(["systemctl", "reset-failed", SERVICE])
    for path in (UNIT, UNIT.with_name("." + UNIT.name + ".part")):
        if path.exists():
            path.unlink()
            sync_folder(path.parent)
    if COMMAND.is_symlink() and os.readlink(str(COMMAND)).startswith(str(ROOT)):
        COMMAND.unlink()
    if (ROOT / "start").exists():
        end_trial(say)
    foreign = remove_own()
    if everything:
        for place in (STATE, CONFIG):
            shutil.rmtree(str(place), ignore_errors=True)
        if group_id() is not None:
            must(["groupdel", GROUP], "kit.group")
    kept = [str(place) for place in (STATE, CONFIG) if place.exists()] + foreign
    say("the agent is gone%s" % (", kept: " + ", ".join(kept) if kept else ""))


def remove_own() -> List[str]:
    """What was put into ROOT goes; what somebody else put there stays, and is told."""
    if not ROOT.is_dir():
        return []
    own = {"current", "start", "trial.json", "last-upgrade.json", "first-upgrade.json"}
    foreign: List[str] = []
    for path in sorted(ROOT.iterdir()):
        name = path.name
        # A kit that arrives is `.upgrade.pyz`, and what it was begun as has one dot more.
        begun = any(name.lstrip(".").startswith(each + ".") for each in (*own, "upgrade"))
        part = name.startswith(".") and (begun or name.endswith(".part"))
        if path.is_dir() and not path.is_symlink() and (part or (path / "kit.json").exists()):
            shutil.rmtree(str(path))
        elif name in own or part:
            path.unlink()
        else:
            foreign.append(str(path))
    if not foreign:
        ROOT.rmdir()
    return foreign


def in_use(*places: Path) -> List[str]:
    """Which paths at or below them other mount namespaces have mounted, as containers do."""
    # Of each place its filesystem, and where in that it is: so mountinfo names what is mounted.
    roots = [found for found in (in_filesystem(place) for place in places) if found]
    seen = set()
    for entry in Path("/proc").iterdir():
        text = read_text(str(entry / "mountinfo")) if entry.name.isdigit() else None
        for line in (text or "").splitlines():
            words = line.split(" ")
            for device, inside, place in roots:
                below = words[3] == inside or words[3].startswith(inside.rstrip("/") + "/")
                if words[2] == device and below and not words[4].startswith(str(place)):
                    seen.add(str(place) + words[3][len(inside) :])
    return sorted(seen)


def in_filesystem(place: Path) -> Optional[Tuple[str, str, Path]]:
    """Its device, its path within that filesystem, and itself. None: it is not there."""
    if not place.is_dir():
        return None
    best: Optional[Tuple[str, str, str]] = None
    for line in (read_text("/proc/self/mountinfo") or "").splitlines():
        device, inside, at = line.split(" ")[2:5]
        holds = str(place) == at or str(place).startswith(at.rstrip("/") + "/")
        if holds and (best is None or len(at) >= len(best[2])):
            best = (device, inside, at)
    if best is None:
        return None
    device, inside, at = best
    within = inside.rstrip("/") + "/" + os.path.relpath(str(place), at)
    return device, os.path.normpath(within), place


def show(kit: Kit, member: str, *, as_json: bool) -> int:
    found = problems(kit) + newer_there(kit) + refused(kit)
    if as_json:
        about = {"version": kit.version, "id": kit.id, "facts": facts(), "plan": plan(kit, member)}
        print(json.dumps(dict(about, problems=[problem.told() for problem in found])))
    else:
        print("\n".join(plan(kit, member)))
        for problem in found:
            print(f"{problem.code}: {problem}\n  {problem.hint}")
    return 1 if found else 0


def main(argv: List[str]) -> int:
    parser = argparse.ArgumentParser(prog="python3 KIT", description=__doc__)
    parser.add_argument("verb", choices=("check", "install", "unpack", "uninstall", "contained"))
    parser.add_argument("--json", action="store_true", help="say it for a program")
    parser.add_argument("--member", default="", help="who shall be able to use it, beside root")
    parser.add_argument(
        "--all", action="store_true", help="uninstall: also its configuration and data"
    )
    asked = parser.parse_args(argv)
    os.umask(0o022)  # the agent's own keeps others out, and they may call its programs

    def say(line: str) -> None:
        print(json.dumps({"says": line}) if asked.json else line, flush=True)

    try:
        if asked.verb == "uninstall":
            uninstall(say, everything=asked.all)
        elif asked.verb == "install":
            install(Kit(Path(sys.argv[0])), say, asked.member)
        elif asked.verb == "unpack":
            unpack_only(Kit(Path(sys.argv[0])), say)
        elif asked.verb == "contained":
            contained(Kit(Path(sys.argv[0])), say)
        else:
            return show(Kit(Path(sys.argv[0])), asked.member, as_json=asked.json)
    except KitError as problem:
        if asked.json:
            print(json.dumps({"problem": problem.told()}), flush=True)
        else:
            print(f"{problem.code}: {problem}\n  {problem.hint}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
