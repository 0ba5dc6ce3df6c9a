"""The public keys that a node trusts, one file each, and those that were revoked.

`NAME.pub` holds the line of a key; an administrator may put files there by hand. A key that was
revoked has a file `<64 hex>.revoked`, and is not trusted whatever else lies there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from agent.durable import sync_folder, write_whole
from agent.protocol.problems import ProblemError
from agent.protocol.signatures import SignedManifest, TrustedKey
from agent.signatures.public_keys import PublicKey, parse_public_key, signs

TRUSTED, REVOKED = ".pub", ".revoked"
FILE_LIMIT_BYTES = 4096
FILES_LIMIT = 1000
SHORTEST_START = 8  # of a fingerprint's digits


class KeyFile(NamedTuple):
    """One file of the folder; `key` None: `reason` says why it cannot be read."""

    name: str
    key: PublicKey | None
    reason: str | None = None

    @property
    def revokes(self) -> bool:
        return self.name.endswith(REVOKED)


class TrustedKeys:
    """Blocks on the disk; for threads. What is in the folder counts, also what was put by hand.

    All methods raise ProblemError `key.storage`.
    """

    def __init__(self, folder: Path | None) -> None:
        """None: kept in memory, for a simulated node."""
        self._folder = folder
        self._memory: dict[str, str] = {}

    def all_keys(self) -> list[TrustedKey]:
        """All keys, each once: the revoked ones as such."""
        files = self._files()
        revoked = {file.key.fingerprint for file in files if file.key and file.revokes}
        found: dict[str, TrustedKey] = {}
        for file in files:
            if file.key is None:
                found[file.name] = TrustedKey(
                    fingerprint=None,
                    name="",
                    state="unreadable",
                    file=file.name,
                    reason=file.reason,
                )
            elif file.revokes or file.key.fingerprint not in revoked:
                found.setdefault(file.key.fingerprint, _told(file.name, file.key))
        return list(found.values())

    def find(self, fingerprint: str) -> tuple[PublicKey, bool] | None:
        """The key, and whether it was revoked; None where nothing is known of it."""
        files = [file for file in self._files() if _is(file.key, fingerprint)]
        if not files or files[0].key is None:
            return None
        return files[0].key, any(file.revokes for file in files)

    def refusal(self, signed: SignedManifest, *, sign: str) -> ProblemError | None:
        """Why the manifest is not believed; None: a key that is trusted here signed it as it is.

        `sign` says how to have another signature.
        """
        try:
            fingerprint = parse_public_key(signed.key).fingerprint
        except ProblemError as problem:
            why = f"its key cannot be read: {problem.detail}"
            return ProblemError("signature.wrong", why, hint=sign)
        found = self.find(fingerprint)
        if found is None:
            return ProblemError(
                "signature.unknown_key",
                f"it is signed by {fingerprint}, which this node does not trust",
                params={"fingerprint": fingerprint},
                hint="Ask who made it. If the key is right: roost key trust NODE FILE.pub",
            )
        key, revoked = found
        if revoked:
            return ProblemError(
                "signature.revoked",
                f"it is signed by {fingerprint} ({key.name or 'without a name'}), which was"
                " revoked here",
                params={"fingerprint": fingerprint},
                hint=sign,
            )
        if not signs(key, signed.manifest, signed.signature):
            why = f"{fingerprint} did not sign it as it is now: it was changed"
            return ProblemError("signature.wrong", why, hint=sign)
        return None

    def trust(self, line: str) -> TrustedKey:
        """Trust a key from now on; again does nothing.

        Raises:
            ProblemError: `key.invalid`, `key.revoked`.
        """
        key = parse_public_key(line)
        known = self.find(key.fingerprint)
        if known is not None and known[1]:
            raise ProblemError(
                "key.revoked",
                f"{key.fingerprint} was revoked here, and stays so",
                params={"fingerprint": key.fingerprint},
                hint="Sign with a new key: roost key make. If it was revoked by mistake, remove"
                f" {_name(key, REVOKED)} on the node, in its folder of trusted keys.",
            )
        name = _name(key, TRUSTED)
        if known is None:
            self._write(name, key.line)
        return _told(name, key)

    def revoke(self, text: str) -> TrustedKey:
        """Never trust a key again; `text` is its line, its fingerprint, or the start of that.

        A key that was never trusted can be named by its line.

        Raises:
            ProblemError: `key.invalid`, `key.not_found`, `key.ambiguous`.
        """
        key = parse_public_key(text) if " " in text.strip() else self._meant(text.strip())
        name = _name(key, REVOKED)
        self._write(name, key.line)
        for file in self._files():
            if _is(file.key, key.fingerprint) and not file.revokes:
                self._remove(file.name)
        return _told(name, key)

    def _meant(self, text: str) -> PublicKey:
        start = text.lower()
        start = start if start.startswith("sha256:") else f"sha256:{start}"
        keys = {
            file.key.fingerprint: file.key
            for file in self._files()
            if file.key is not None and file.key.fingerprint.startswith(start)
        }
        long_enough = len(start) >= len("sha256:") + SHORTEST_START
        if len(keys) > 1 and long_enough:
            raise ProblemError(
                "key.ambiguous",
                f"{len(keys)} keys begin with {text[:80]}",
                params={"keys": list(keys)},
                hint="Give more of the fingerprint.",
            )
        if not keys or not long_enough:
            raise ProblemError(
                "key.not_found",
                f"no key here is {text[:80]!r}",
                params={"key": text[:80]},
                hint=f"Give {SHORTEST_START} digits or more of a fingerprint that roost key ls"
                " shows, or the .pub file.",
            )
        return next(iter(keys.values()))

    def _files(self) -> list[KeyFile]:
        return [_parsed(name, text) for name, text in sorted(self._texts().items())]

    def _texts(self) -> dict[str, str]:
        if self._folder is None:
            return self._memory
        texts: dict[str, str] = {}
        with _told_about(self._folder):
            try:
                names = sorted(entry.name for entry in self._folder.iterdir())
            except FileNotFoundError:
                return {}
            for name in names:
                if name.endswith((TRUSTED, REVOKED)) and not name.startswith("."):
                    if len(texts) == FILES_LIMIT:
                        raise OSError(None, f"there are more than {FILES_LIMIT} files")
                    with (self._folder / name).open("rb") as file:
                        texts[name] = file.read(FILE_LIMIT_BYTES).decode("utf-8", "replace")
        return texts

    def _write(self, name: str, line: str) -> None:
        if self._folder is None:
            self._memory[name] = line
            return
        with _told_about(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / name, f"{line}\n".encode(), mode=0o644)

    def _remove(self, name: str) -> None:
        if self._folder is None:
            self._memory.pop(name, None)
            return
        with _told_about(self._folder):
            (self._folder / name).unlink(missing_ok=True)
            sync_folder(self._folder)


def _parsed(name: str, text: str) -> KeyFile:
    try:
        return KeyFile(name, parse_public_key(text))
    except ProblemError as problem:
        return KeyFile(name, None, problem.detail)


def _told(name: str, key: PublicKey) -> TrustedKey:
    return TrustedKey(
        fingerprint=key.fingerprint,
        name=key.name,
        state="revoked" if name.endswith(REVOKED) else "trusted",
        file=name,
    )


def _is(key: PublicKey | None, fingerprint: str) -> bool:
    return key is not None and key.fingerprint == fingerprint


def _name(key: PublicKey, suffix: str) -> str:
    return key.fingerprint.partition(":")[2] + suffix


@contextmanager
def _told_about(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ProblemError(
            "key.storage",
            f"{error.filename or folder}: {error.strerror or error}",
            params={"folder": str(folder)},
            hint="Check that folder and its files on the node: the agent must be able to use them.",
        ) from None
