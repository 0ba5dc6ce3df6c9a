"""NVML from nvmlInit to nvmlShutdown: opening, finding the GPUs, closing. All of it blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from agent.gpu import driver_files
from agent.gpu.nvml_calls import (
    LIBRARY_NOT_FOUND,
    NO_PERMISSION,
    Caller,
    Device,
    DriverTroubleError,
    GpuTroubleError,
    NvmlFailureError,
    Way,
    text,
)
from agent.gpu.nvml_library import LibraryMissingError, NvmlLibrary
from agent.gpu.worker import Watch
from agent.gpu.xid_events import XidEvents
from agent.gpu.xids import XidLog
from agent.protocol.gpus import GpuStack


class Session:
    """An initialised NVML and its GPUs."""

    def __init__(self, library: NvmlLibrary, system_memory_bytes: int | None) -> None:
        self.system_memory_bytes = system_memory_bytes
        self.devices: list[Device] = []
        self.events: XidEvents | None = None
        self._library = library
        self._missing: set[Way] = set()

    def caller(self, watch: Watch) -> Caller:
        """For one job."""
        return Caller(self._library, watch, self._missing)

    def close(self, watch: Watch, *, threads_stuck: int) -> None:
        """nvmlShutdown, and let go of the library unless a thread is still in it."""
        events_ended = self.events is None or self.events.stop()
        # It is being left in any case, so its answer does not matter.
        with contextlib.suppress(NvmlFailureError, DriverTroubleError):
            self.caller(watch).call("nvmlShutdown")
        self._library.unload(nobody_inside=events_ended and not threads_stuck)


class Opener:
    """Opens sessions.

    Args:
        library: soname or path of libnvidia-ml.
        proc, sys: where procfs and sysfs are.
        event_wait_seconds: how long one wait for an XID takes, and so a session's end at most.
    """

    def __init__(
        self, library: str, proc: Path, sys: Path, xids: XidLog, event_wait_seconds: float
    ) -> None:
        self._library = library
        self._proc, self._sys = proc, sys
        self._xids = xids
        self._event_wait_seconds = event_wait_seconds

    def open(
        self, watch: Watch, stack: GpuStack, hung: Mapping[int, str], before: Mapping[int, str]
    ) -> Session:
        """Load, compare versions, initialise, and find the GPUs.

        Args:
            stack: gains what is learned, also when opening fails.
            hung: GPUs (by index) that are not to be touched, and why.
            before: UUIDs by index as they were last: names for GPUs that do not answer now.

        Raises:
            DriverTroubleError
        """
        stack.module_version = driver_files.loaded_module_version(self._proc)
        try:
            library = NvmlLibrary(self._library, self._proc)
        except LibraryMissingError as error:
            reason = f"{error}. Is the NVIDIA driver installed?"
            raise self._no_gpu() or DriverTroubleError("no_library", reason) from None
        stack.library_version = library.version
        session = Session(library, driver_files.memory_total_bytes(self._proc))
        try:
            self._check_versions(stack)
            self._initialise(session.caller(watch), stack)
        except DriverTroubleError:
            library.unload(nobody_inside=True)
            raise
        try:
            _read_stack(session.caller(watch), stack)
            session.devices = _find_devices(session.caller(watch), hung, before)
            if not session.devices:
                raise self._no_device()
            session.events = self._events(session.caller(watch), session.devices, stack)
        except DriverTroubleError:
            session.close(watch, threads_stuck=0)
            raise
        return session

    def _check_versions(self, stack: GpuStack) -> None:
        module, library = stack.module_version, stack.library_version
        if module and library and module != library:
            raise DriverTroubleError(
                "driver_mismatch",
                f"the loaded kernel module is {module}, the driver library on disk is {library}: "
                "reboot, or reload the module",
            )

    def _initialise(self, caller: Caller, stack: GpuStack) -> None:
        try:
            caller.call("nvmlInit")
        except NvmlFailureError as failure:
            if failure.code == LIBRARY_NOT_FOUND:
                raise DriverTroubleError("no_library", str(failure)) from None
            if failure.code == NO_PERMISSION:
                reason = "the agent may not use the NVIDIA device files"
                raise DriverTroubleError("no_permission", reason) from None
            raise DriverTroubleError("error", str(failure)) from None
        except DriverTroubleError as trouble:
            if trouble.state == "driver_not_loaded":
                raise self._no_gpu() or trouble from None
            raise

    def _no_gpu(self) -> DriverTroubleError | None:
        """Where the bus can be seen and has no NVIDIA GPU, that explains everything else."""
        if driver_files.gpus_on_pci(self._sys) == 0:
            return DriverTroubleError("no_gpu", "there is no NVIDIA GPU on the PCI bus")
        return None

    def _no_device(self) -> DriverTroubleError:
        if on_bus := driver_files.gpus_on_pci(self._sys):
            reason = f"the driver lists no GPU, but {on_bus} are on the PCI bus"
            return DriverTroubleError("error", reason)
        return DriverTroubleError("no_gpu", "the driver lists no GPU")

    def _events(self, caller: Caller, devices: list[Device], stack: GpuStack) -> XidEvents | None:
        """A driver without events is no trouble: the kernel log has the XIDs too."""
        try:
            return XidEvents(caller, devices, self._xids, self._event_wait_seconds)
        except NvmlFailureError as failure:
            stack.unknown["xids"] = f"error:{failure.code}"
            return None


def _read_stack(caller: Caller, stack: GpuStack) -> None:
    def ask(field: str, name: str) -> str | int | None:
        try:
            answer: str | int = caller.call(name)
        except NvmlFailureError as failure:
            stack.unknown[field] = f"error:{failure.code}"
            return None
        return text(answer) if isinstance(answer, str | bytes) else answer

    driver = ask("driver_version", "nvmlSystemGetDriverVersion")
    nvml = ask("nvml_version", "nvmlSystemGetNVMLVersion")
    cuda = ask("cuda_version", "nvmlSystemGetCudaDriverVersion_v2")
    stack.driver_version = None if driver is None else str(driver)
    stack.nvml_version = None if nvml is None else str(nvml)
    # 12020 is 12.2
    stack.cuda_version = f"{cuda // 1000}.{cuda % 1000 // 10}" if isinstance(cuda, int) else None


def _find_devices(
    caller: Caller, hung: Mapping[int, str], before: Mapping[int, str]
) -> list[Device]:
    try:
        count = int(caller.call("nvmlDeviceGetCount"))
    except NvmlFailureError as failure:
        raise DriverTroubleError("error", str(failure)) from None
    devices = [_find_device(caller, index, hung.get(index)) for index in range(count)]
    taken = {device.uuid for device in devices}
    for device in devices:
        if not device.uuid:
            uuid = before.get(device.index)
            device.uuid = uuid if uuid and uuid not in taken else f"unknown-{device.index}"
    return devices


def _find_device(caller: Caller, index: int, hung: str | None) -> Device:
    """One GPU. Without a UUID, where it does not answer."""
    device = Device(index, "")
    if hung is not None:
        device.trouble = GpuTroubleError("hung", hung, "hung")
        return device
    try:
        handle = caller.call_index("nvmlDeviceGetHandleByIndex", index)
        device.handle = handle
        device.uuid = text(caller.call("nvmlDeviceGetUUID", device))
        device.pci_bus_id = _pci_bus_id(caller, device)
    except GpuTroubleError as trouble:
        device.handle, device.trouble = None, trouble
    except NvmlFailureError as failure:
        word = caller.reason(failure.code, device)
        device.handle, device.trouble = None, GpuTroubleError("error", str(failure), word)
    return device


def _pci_bus_id(caller: Caller, device: Device) -> str | None:
    try:
        return text(caller.call("nvmlDeviceGetPciInfo", device).busId).upper()
    except NvmlFailureError:
        return None
