"""The secrets of a node: a file each, in a folder that only root may enter.

A file is readable for all, because it is mounted into containers whose user may be any; the folder
keeps everybody else away from it.
"""

from __future__ import annotations

import re
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.durable import sync_folder, write_whole
from agent.protocol.node_secrets import SECRET_LIMIT_BYTES
from agent.protocol.problems import ProblemError

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
FOLDER_MODE = 0o700
FILE_MODE = 0o444
SECRETS_LIMIT = 1000
# What a crash leaves while a file is written: the value may be in it.
LEFT = ".*.tmp"


class NodeSecrets:
    """Blocks on the disk; for threads. No method but `values` answers with a value, and none
    logs or raises with one.

    All methods raise ProblemError `secret.storage`; on a simulated node, `secret.simulated`.
    """

    def __init__(self, folder: Path | None) -> None:
        """None: the node is simulated, and keeps none."""
        self._folder = folder
        self._changing = threading.Lock()

    def all(self) -> Mapping[str, float]:
        """When each was set, Unix seconds, by name."""
        folder = self._there()
        with _told(folder):
            if not folder.is_dir():
                return {}
            found = {}
            for file in sorted(folder.iterdir()):
                status = file.lstat()
                if NAME.fullmatch(file.name) and stat.S_ISREG(status.st_mode):
                    found[file.name] = status.st_mtime
            return found

    def values(self) -> list[tuple[str, bytes]]:
        """Names and values, for seeing that nothing tells them."""
        folder = self._there()
        with _told(folder):
            return [(name, (folder / name).read_bytes()) for name in self.all()]

    def set(self, name: str, value: bytes) -> float:
        """Keep a value, instead of the one that was there; when that was.

        Raises:
            ProblemError: `secret.invalid`, `request.too_large`, `secret.too_many`.
        """
        folder = self._there()
        file = folder / _checked(name)
        _check_value(name, value)
        with self._changing, _told(folder):
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            folder.chmod(FOLDER_MODE)
            self._clear(folder)
            if len(self.all().keys() - {name}) >= SECRETS_LIMIT:
                raise ProblemError(
                    "secret.too_many",
                    f"the node keeps {SECRETS_LIMIT} secrets already",
                    hint="Remove some: roost secret ls NODE, roost secret rm NODE NAME",
                )
            write_whole(file, value, mode=FILE_MODE)
            return file.lstat().st_mtime

    def remove(self, name: str) -> None:
        """Have it be no more.

        Raises:
            ProblemError: `secret.invalid`, `secret.not_found`.
        """
        folder = self._there()
        file = folder / _checked(name)
        with self._changing, _told(folder):
            if name not in self.all():
                raise ProblemError(
                    "secret.not_found",
                    f"the node has no secret {name}",
                    params={"secret": name},
                    hint="`roost secret ls NODE` shows those that it has.",
                )
            file.unlink()
            self._clear(folder)
            sync_folder(folder)

    def _there(self) -> Path:
        if self._folder is None:
            raise ProblemError(
                "secret.simulated",
                "the node is simulated, and keeps no secrets",
                hint="Secrets are for real nodes.",
            )
        return self._folder

    def _clear(self, folder: Path) -> None:
        for left in folder.glob(LEFT):
            with suppress(FileNotFoundError):
                left.unlink()


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ProblemError(
            "secret.invalid",
            "that is no name for a secret",
            hint="Letters, digits, dots, dashes and underscores, at most 63, and no dot first.",
        )
    return name


def _check_value(name: str, value: bytes) -> None:
    if not value:
        raise ProblemError(
            "secret.invalid",
            f"the value of {name} is empty",
            params={"secret": name},
            hint="Give it on standard input: roost secret set NODE NAME < FILE",
        )
    if len(value) > SECRET_LIMIT_BYTES:
        raise ProblemError(
            "request.too_large",
            f"the value of {name} has more than {SECRET_LIMIT_BYTES // 1024} KiB",
            params={"secret": name},
            hint="Put what is larger into a file or a volume.",
        )


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ProblemError(
            "secret.storage",
            f"the folder of secrets {folder}: {error.strerror or type(error).__name__}",
            params={"folder": str(folder)},
            hint="Look at that folder on the node: the agent must be able to write there.",
        ) from None
