"""Asking NVML: which answer is a value, which is unknown for a reason, which is trouble.

A healthy GPU answers many calls with an error (an H200 with six different ones). So an error is
the reason why one figure is unknown, and nothing more, except for the few that say that the GPU
or the driver is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from agent.gpu.nvml_library import NvmlLibrary
from agent.gpu.worker import Watch
from agent.protocol.gpus import GpuStackState, GpuState

UNINITIALIZED = 1
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
DRIVER_NOT_LOADED = 9
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
LIB_RM_VERSION_MISMATCH = 18
ARGUMENT_VERSION_MISMATCH = 25
NOT_READY = 27

# Answers to any call that mean that the driver is gone, not just this figure.
DRIVER_STATES: Mapping[int, tuple[GpuStackState, str]] = {
    UNINITIALIZED: ("driver_not_loaded", "the driver has forgotten this program: it was reloaded"),
    DRIVER_NOT_LOADED: ("driver_not_loaded", "the NVIDIA kernel module is not loaded"),
    LIB_RM_VERSION_MISMATCH: (
        "driver_mismatch",
        "the driver library and the loaded kernel module are of different versions",
    ),
}
# The same for one GPU.
GPU_STATES: Mapping[int, tuple[GpuState, str]] = {
    GPU_IS_LOST: ("lost", "the GPU has fallen off the bus or is not reachable any more"),
    RESET_REQUIRED: ("reset_required", "the GPU must be reset before it can work again"),
}
_REASONS: Mapping[int, str] = {
    NOT_SUPPORTED: "not_supported",
    NO_PERMISSION: "no_permission",
    FUNCTION_NOT_FOUND: "function_missing",
    ARGUMENT_VERSION_MISMATCH: "function_missing",
    GPU_IS_LOST: "gpu_lost",
    RESET_REQUIRED: "reset_required",
    NOT_READY: "not_ready",
}


class DriverTroubleError(Exception):
    """Nothing can be read from the driver at all."""

    def __init__(self, state: GpuStackState, reason: str) -> None:
        super().__init__(reason)
        self.state: GpuStackState = state
        self.reason = reason


class GpuTroubleError(Exception):
    """Nothing can be read from this GPU. `word` is the reason for each of its unknown figures."""

    def __init__(self, state: GpuState, reason: str, word: str) -> None:
        super().__init__(reason)
        self.state: GpuState = state
        self.reason = reason
        self.word = word


class NvmlFailureError(Exception):
    """One call failed with an NVML error that is no state of GPU or driver."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} failed with NVML error {code}")
        self.name = name
        self.code = code


class Way(NamedTuple):
    """One way to ask: a function of pynvml, and its arguments after the device."""

    name: str
    arguments: tuple[Any, ...] = ()


class Device:
    """A GPU as NVML hands it out.

    `handle` is None where NVML gives none; `trouble` then says why.
    """

    def __init__(self, index: int, uuid: str, handle: Any = None) -> None:
        self.index = index
        self.uuid = uuid
        self.handle = handle
        self.pci_bus_id: str | None = None
        self.trouble: GpuTroubleError | None = None
        self.mig = False
        self.unified = False
        self.instances: dict[tuple[int, int], str] = {}  # MIG: (GPU, compute instance) to UUID
        self.refused: dict[str, str] = {}  # field to reason: not worth asking for now
        self.kept: dict[str, tuple[Any, str | None]] = {}  # of figures that are read rarely


class Caller:
    """Asks NVML within one job.

    Args:
        missing: ways that this driver does not know; shared by all jobs of a session.
    """

    def __init__(self, library: NvmlLibrary, watch: Watch, missing: set[Way]) -> None:
        self.api = library.api
        self._watch = watch
        self._missing = missing
        self._failed = library.api.NVMLError

    def call(self, name: str, device: Device | None = None, *arguments: Any) -> Any:
        """What the function answers.

        Raises:
            NvmlFailureError, GpuTroubleError, DriverTroubleError
        """
        if device is not None:
            arguments = (device.handle, *arguments)
        return self._call(name, None if device is None else device.index, arguments)

    def call_on(self, name: str, device: Device, handle: Any, *arguments: Any) -> Any:
        """Like `call`, on another handle that belongs to the device: that of a MIG device."""
        return self._call(name, device.index, (handle, *arguments))

    def call_index(self, name: str, index: int) -> Any:
        """Like `call`, for a GPU that there is no handle of yet."""
        return self._call(name, index, (index,))

    def ask(
        self, device: Device, unknown: dict[str, str], fields: tuple[str, ...], *ways: Way
    ) -> Any:
        """The answer to the first way that this driver knows, else None.

        Without an answer `unknown` gains the reason for each of `fields`. What the GPU does not
        support is not asked for again until `Device.refused` is cleared.
        """
        reason = device.refused.get(fields[0])
        if reason is None:
            reason = "function_missing"
            for way in ways:
                if way in self._missing:
                    continue
                try:
                    return self._call(way.name, device.index, (device.handle, *way.arguments))
                except NvmlFailureError as failure:
                    reason = self.reason(failure.code, device)
                    if failure.code in (FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH):
                        self._missing.add(way)
                        continue
                    if failure.code == NOT_SUPPORTED:
                        device.refused[fields[0]] = reason
                    break
        for field in fields:
            unknown[field] = reason
        return None

    def ask_rarely(
        self, device: Device, unknown: dict[str, str], field: str, *ways: Way, due: bool
    ) -> Any:
        """Like `ask`, but the last answer unless it is due. For calls that cost the driver much."""
        kept = device.kept.get(field)
        if due or kept is None:
            reasons: dict[str, str] = {}
            value = self.ask(device, reasons, (field,), *ways)
            kept = device.kept[field] = (value, reasons.get(field))
        value, reason = kept
        if reason is not None:
            unknown[field] = reason
        return value

    @staticmethod
    def reason(code: int, device: Device) -> str:
        """The word for why a figure is unknown."""
        if code == NOT_SUPPORTED and device.mig:
            return "mig"
        return _REASONS.get(code, f"error:{code}")

    def _call(self, name: str, subject: int | None, arguments: tuple[Any, ...]) -> Any:
        function = getattr(self.api, name, None)
        if function is None:  # an nvidia-ml-py that is older than this call
            raise NvmlFailureError(name, FUNCTION_NOT_FOUND)
        try:
            return self._watch.call(name, subject, function, *arguments)
        except self._failed as error:
            code = int(error.value)
        if code in DRIVER_STATES:
            raise DriverTroubleError(*DRIVER_STATES[code])
        if subject is not None and code in GPU_STATES:
            raise GpuTroubleError(*GPU_STATES[code], _REASONS[code])
        raise NvmlFailureError(name, code)


def text(value: str | bytes) -> str:
    """nvidia-ml-py has answered both over its releases."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value
