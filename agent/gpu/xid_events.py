"""The thread that waits for NVML's XID events. It is another than the worker, for it blocks."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from typing import Any

from agent.gpu.nvml_calls import (
    FUNCTION_NOT_FOUND,
    UNINITIALIZED,
    Caller,
    Device,
    GpuTroubleError,
    NvmlFailureError,
)
from agent.gpu.xids import XidLog
from agent.protocol.gpus import XidEvent

EVENT_XID = 0x8
TIMEOUT = 10


class XidEvents:
    """An event set of NVML and the thread that waits on it, for as long as NVML is initialised."""

    def __init__(
        self, caller: Caller, devices: list[Device], xids: XidLog, wait_seconds: float
    ) -> None:
        """Raises: NvmlFailureError, DriverTroubleError."""
        self._api = caller.api
        self._xids = xids
        self._wait_seconds = wait_seconds
        self._stopping = threading.Event()
        self._orphaned = False
        self._set: Any = caller.call("nvmlEventSetCreate")
        self._gpus = {
            _address(device.handle): device for device in devices if self._register(caller, device)
        }
        self._thread = threading.Thread(target=self._run, name="xid events", daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """End the thread; whether it has ended (it has not if the driver holds it)."""
        self._stopping.set()
        self._thread.join(self._wait_seconds + 1.0)
        self._orphaned = self._thread.is_alive()
        return not self._orphaned

    def _register(self, caller: Caller, device: Device) -> bool:
        if device.handle is None:
            return False
        try:
            types = caller.call("nvmlDeviceGetSupportedEventTypes", device)
            if not types & EVENT_XID:
                return False
            caller.call("nvmlDeviceRegisterEvents", device, EVENT_XID, self._set)
        except (NvmlFailureError, GpuTroubleError):
            return False
        return True

    def _run(self) -> None:
        milliseconds = int(self._wait_seconds * 1000)
        while not self._stopping.is_set():
            try:
                data = self._api.nvmlEventSetWait_v2(self._set, milliseconds)
            except self._api.NVMLError as error:
                if error.value in (UNINITIALIZED, FUNCTION_NOT_FOUND):
                    return
                if error.value != TIMEOUT:  # a lost GPU: answers at once, so do not spin
                    self._stopping.wait(self._wait_seconds)
                continue
            self._take(data)
        if not self._orphaned:  # else the set is that of a library which may be gone
            with contextlib.suppress(self._api.NVMLError):
                self._api.nvmlEventSetFree(self._set)

    def _take(self, data: Any) -> None:
        if data.eventType != EVENT_XID:
            return
        device = self._gpus.get(_address(data.device))
        event = XidEvent(
            code=int(data.eventData),
            at=time.time(),
            gpu_uuid=None if device is None else device.uuid,
            pci_bus_id=None if device is None else device.pci_bus_id,
        )
        self._xids.add(event, "nvml")


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0
