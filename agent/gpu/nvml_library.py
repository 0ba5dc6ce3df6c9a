"""Loading libnvidia-ml under pynvml, and letting go of it again.

pynvml keeps one library for the process. Roost loads it itself, for two reasons: the version of
the file that the linker chose is known before nvmlInit, and after a driver upgrade the new file
can take the old one's place without a restart of the agent.
"""

from __future__ import annotations

import _ctypes
import ctypes
from pathlib import Path
from typing import Any

from agent.gpu import driver_files

SONAME = "libnvidia-ml.so.1"


class LibraryMissingError(Exception):
    """The linker finds no libnvidia-ml. The text is the linker's."""


class NvmlLibrary:
    """The library, loaded. `api` is the pynvml module on top of it.

    Raises:
        LibraryMissingError
    """

    def __init__(self, name: str, proc: Path) -> None:
        try:
            self._handle = ctypes.CDLL(name)
        except OSError as error:
            raise LibraryMissingError(str(error)) from None
        import pynvml

        self.api: Any = pynvml
        self.api.nvmlLib = self._handle
        self.api._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001  no other way to reload
        self.file = driver_files.mapped_file(proc, self._address())
        self.version = driver_files.version_in_name(self.file or "")

    def unload(self, *, nobody_inside: bool) -> None:
        """Let go. While a call hangs in it the code must stay mapped."""
        self.api.nvmlLib = None
        self.api._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001  no other way to reload
        if nobody_inside:
            _ctypes.dlclose(self._handle._handle)  # noqa: SLF001  ctypes has no public dlclose

    def _address(self) -> int:
        function = getattr(self._handle, "nvmlInitWithFlags", None)
        return (ctypes.cast(function, ctypes.c_void_p).value or 0) if function else 0
