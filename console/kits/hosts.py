"""A kit on a host that is reached by ssh: asked, copied, installed."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from agent.protocol.decoding import from_json
from agent.protocol.problems import CODES, ProblemError
from console.kits.making import installer_source
from console.kits.reading import READ_BYTES, Kit
from console.link.ssh_host import SshHost

T = TypeVar("T")
LOOK_SECONDS = 60.0
INSTALL_SECONDS = 600.0
# Cuts in a row that bring no byte before it is given up, and how long each waits.
CUTS = 5
CUT_SECONDS = 2.0
_FOLDER = ".cache/roost"
# There where the agent runs in a container.
CONTAINED = "/opt/roost/image"
_LOOK = (
    "uname -m; id -un; id -u; sudo -n true 2>/dev/null && echo sudo; command -v python3;"
    f" [ -e {CONTAINED} ] && echo contained"
)
# It writes at an offset: what a session that was cut still has in its pipe does no harm.
_PUT = (
    'umask 077; exec dd of="$1" bs=65536 iflag=fullblock oflag=seek_bytes seek="$2"'
    " conv=notrunc,fsync status=none"
)


class Parcel(Protocol):
    """A file that is to be copied to a host."""

    @property
    def path(self) -> Path:
        """Here."""

    @property
    def size_bytes(self) -> int:
        """All of it."""

    @property
    def sha256(self) -> str:
        """In hex."""


class HostLook(msgspec.Struct, frozen=True, kw_only=True):
    """What a login on the host finds."""

    arch: str
    user: str
    root: bool
    sudo: bool
    python: bool
    contained: bool = False  # an agent in a container is installed there


class Refusal(msgspec.Struct, kw_only=True):
    """What stands in the way there."""

    code: str
    detail: str
    hint: str

    def problem(self) -> ProblemError:
        """The same, as this side raises it."""
        code = self.code if self.code in CODES else "kit.installer"
        return ProblemError(code, self.detail, hint=self.hint)


class Said(msgspec.Struct, kw_only=True):
    """A line of the installer at work: one of the two."""

    says: str | None = None
    problem: Refusal | None = None


class Checked(msgspec.Struct, kw_only=True):
    """What a kit's installer says of the host. `facts` are as agent/kit/installer.py has them."""

    version: str
    id: str
    facts: dict[str, Any]
    plan: list[str]
    problems: list[Refusal] = []


class KitHost:
    """One host. Everything may be done again: what is there already is not done twice."""

    def __init__(self, host: SshHost) -> None:
        self.host = host

    async def look(self) -> HostLook:
        """Log in and look round.

        Raises:
            ProblemError: `ssh.*`, `link.unreachable`, `kit.root`, `kit.shell`.
        """
        command = shlex.join(["sh", "-c", _LOOK])
        _, said, _ = await self.host.do(command, timeout=LOOK_SECONDS)
        words = said.split()
        if len(words) < 3:
            raise ProblemError(
                "kit.shell", "its login runs no shell", hint="Give an account that has one."
            )
        look = HostLook(
            arch=words[0],
            user=words[1],
            root=words[2] == "0",
            sudo="sudo" in words[3:],
            python=any(word.endswith("/python3") for word in words[3:]),
            contained="contained" in words[3:],
        )
        if not look.root and not look.sudo:
            raise ProblemError(
                "kit.root",
                f"{look.user} may not use sudo there without a password",
                hint=f"Log in as root, or once: {self.host.typed} -t sudo visudo",
            )
        return look

    async def check(self, kit: Kit, look: HostLook) -> Checked:
        """What the kit would do there. Changes nothing.

        Raises:
            ProblemError: `ssh.*`, `link.unreachable`, `kit.broken`.
        """
        small = await asyncio.to_thread(kit.without_wheels)
        words = ("check", "--json", "--member", look.user)
        return await self.asked("python3", small, look, words, Checked)

    async def asked(
        self, program: str, small: bytes, look: HostLook, words: Sequence[str], answer: type[T]
    ) -> T:
        """The last line that a small program says there, which `program` runs as root.

        Raises:
            ProblemError: `ssh.*`, `link.unreachable`, `kit.installer`.
        """
        command = _from_file(program, look, words)
        _, said, complaints = await self.host.do(command, feed=_once(small), timeout=LOOK_SECONDS)
        try:
            return from_json(said.strip().splitlines()[-1], answer)
        except (IndexError, msgspec.MsgspecError):
            raise self._no_answer(said, complaints) from None

    async def told(
        self,
        program: str,
        small: bytes,
        look: HostLook,
        words: Sequence[str],
        hear: Callable[[str], None],
    ) -> None:
        """Have a small program do its work there, as root.

        Raises:
            ProblemError: `ssh.*`, `link.unreachable`, `kit.*`.
        """
        await self._hear(_from_file(program, look, words), hear, feed=_once(small))

    async def copy(self, parcel: Parcel, *, copied: Callable[[int], None]) -> str:
        """Bring the whole file there; goes on where it was cut. Where it is then.

        Raises:
            ProblemError: `ssh.*`, `link.unreachable`, `kit.copy`.
        """
        place = f"{_FOLDER}/{parcel.sha256[:16]}{parcel.path.suffix}"
        cuts, best = 0, -1
        while True:
            try:
                at = await self._begun(place)
                if at > best:
                    cuts, best = 0, at
                copied(min(at, parcel.size_bytes))
                if at < parcel.size_bytes:
                    await self._put(parcel, place, at, copied)
                if await self._digest(place) == parcel.sha256:
                    return place
                await self.remove(place)
                best, cuts = -1, cuts + 1
                why = ProblemError("kit.copy", "what arrived is not the file", hint="Try again.")
            except ProblemError as problem:
                cuts, why = cuts + 1, problem
            if cuts >= CUTS:
                raise why
            await asyncio.sleep(CUT_SECONDS)

    async def install(self, place: str, look: HostLook, *, hear: Callable[[str], None]) -> None:
        """Install what was copied, and remove the copy.

        Raises:
            ProblemError: `ssh.*`, `link.unreachable`, `kit.*`.
        """
        words = [*_as_root("python3", look), place, "install", "--json", "--member", look.user]
        await self._hear(shlex.join(words), hear)
        await self.remove(place)

    async def remove(self, place: str) -> None:
        """What was copied there.

        Raises:
            ProblemError: `ssh.*`, `link.unreachable`.
        """
        await self.host.do(shlex.join(["rm", "-f", place]), timeout=LOOK_SECONDS)

    async def uninstall(
        self, look: HostLook, *, everything: bool, hear: Callable[[str], None]
    ) -> None:
        """Remove the agent; `everything`: its data and configuration, too. No kit is needed.

        Raises:
            ProblemError: `ssh.*`, `link.unreachable`, `kit.*`.
        """
        source = await asyncio.to_thread(installer_source)
        await self.told("python3", source, look, uninstall_words(everything=everything), hear)

    async def _hear(
        self,
        command: str,
        hear: Callable[[str], None],
        *,
        feed: AsyncIterator[bytes] | None = None,
    ) -> None:
        told: list[ProblemError] = []

        def line(text: str) -> None:
            try:
                said = from_json(text, Said)
            except msgspec.MsgspecError:
                return  # a login that greets
            if said.says is not None:
                hear(said.says)
            elif said.problem is not None:
                told.append(said.problem.problem())

        status, said, complaints = await self.host.do(
            command, feed=feed, hear=line, timeout=INSTALL_SECONDS
        )
        if told:
            raise told[0]
        if status:
            raise self._no_answer(said, complaints)

    async def _begun(self, place: str) -> int:
        folder = shlex.quote(_FOLDER)
        script = f'mkdir -p -m 700 {folder} && stat -c %s "$1" 2>/dev/null || echo 0'
        _, said, _ = await self.host.do(
            shlex.join(["sh", "-c", script, "sh", place]), timeout=LOOK_SECONDS
        )
        words = said.split()
        return int(words[-1]) if words and words[-1].isdecimal() else 0

    async def _put(
        self, parcel: Parcel, place: str, at: int, copied: Callable[[int], None]
    ) -> None:
        command = shlex.join(["sh", "-c", _PUT, "sh", place, str(at)])
        status, _, complaints = await self.host.do(command, feed=_from(parcel, at, copied))
        if status:
            last = (complaints.strip().splitlines() or ["no reason given"])[-1]
            raise ProblemError("kit.copy", last, hint="Is there room in the home folder there?")

    async def _digest(self, place: str) -> str:
        _, said, _ = await self.host.do(shlex.join(["sha256sum", place]), timeout=LOOK_SECONDS)
        return next((word for word in said.split() if len(word) == 64), "")

    def _no_answer(self, said: str, complaints: str) -> ProblemError:
        last = (complaints.strip() or said.strip() or "nothing").splitlines()[-1]
        return ProblemError(
            "kit.installer",
            f"the installer there says: {last[-300:]}",
            hint=f"Look closer: {self.host.typed}",
        )


def uninstall_words(*, everything: bool) -> list[str]:
    """As either installer takes them."""
    return ["uninstall", "--json", *(["--all"] if everything else [])]


def no_python(why: str = "there is no python3 there") -> ProblemError:
    """A kit cannot be installed."""
    return ProblemError(
        "kit.python",
        why,
        hint="Install python3 of Debian 12 or Ubuntu 22.04 or newer, or give the agent's image:"
        " --image.",
    )


def _as_root(program: str, look: HostLook) -> list[str]:
    return [program] if look.root else ["sudo", "-n", program]


def _from_file(program: str, look: HostLook, words: Sequence[str]) -> str:
    """What comes in is run from a file that is gone afterwards."""
    before, after = shlex.join(_as_root(program, look)), shlex.join(words)
    script = f'f=$(mktemp) && cat >"$f" && {before} "$f" {after}; r=$?; rm -f "$f"; exit $r'
    return shlex.join(["sh", "-c", script])


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _from(parcel: Parcel, at: int, copied: Callable[[int], None]) -> AsyncIterator[bytes]:
    with parcel.path.open("rb") as file:
        file.seek(at)
        while data := await asyncio.to_thread(file.read, READ_BYTES // 16):
            yield data
            at += len(data)
            copied(at)
