"""What NVML says a GPU does: figures once a second, slow counters once a minute.

Measured on an H200 with driver 580.159.04, CPU time of one call: total energy 3,650 us, PCIe
replays 144 us, fan 141 us, the others 1 to 20 us. So energy and replays are read every 30th time,
and the fan and what hardly anybody looks at every 5th. PCIe throughput is never read: it measures
for 20 ms.
"""

from __future__ import annotations

from typing import Any

from agent.gpu.nvml_calls import Caller, Device, GpuTroubleError, Way
from agent.gpu.nvml_facts import MEMORY
from agent.protocol.gpus import GpuHealth, GpuSample

MINOR_EVERY = 5
COUNTERS_EVERY = 30

# nvmlClocksEventReason*; 1 is "idle", which slows nothing down.
THROTTLE = (
    (0x2, "application_clocks"),
    (0x4, "sw_power_cap"),
    (0x8, "hw_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "sw_thermal"),
    (0x40, "hw_thermal"),
    (0x80, "hw_power_brake"),
    (0x100, "display_clocks"),
    (0x200, "board_limit"),
    (0x400, "reliability"),
)

UTILIZATION = Way("nvmlDeviceGetUtilizationRates")
TEMPERATURE = (Way("nvmlDeviceGetTemperatureV", (0,)), Way("nvmlDeviceGetTemperature", (0,)))
FIELD_MEMORY_TEMPERATURE = 82
FIELDS = Way("nvmlDeviceGetFieldValues", ((FIELD_MEMORY_TEMPERATURE,),))
POWER = Way("nvmlDeviceGetPowerUsage")
ENERGY = Way("nvmlDeviceGetTotalEnergyConsumption")
SM_CLOCK, MEMORY_CLOCK = Way("nvmlDeviceGetClockInfo", (1,)), Way("nvmlDeviceGetClockInfo", (2,))
ENCODER, DECODER = Way("nvmlDeviceGetEncoderUtilization"), Way("nvmlDeviceGetDecoderUtilization")
REASONS = (
    Way("nvmlDeviceGetCurrentClocksEventReasons"),
    Way("nvmlDeviceGetCurrentClocksThrottleReasons"),
)
PERFORMANCE = Way("nvmlDeviceGetPerformanceState")
FAN = Way("nvmlDeviceGetFanSpeed")
REPLAYS = Way("nvmlDeviceGetPcieReplayCounter")

_NO_FIGURES = ("uuid", "state", "reason", "throttle", "unknown")
SAMPLE_FIGURES = [name for name in GpuSample.__struct_fields__ if name not in _NO_FIGURES]
HEALTH_FIGURES = [name for name in GpuHealth.__struct_fields__ if name not in _NO_FIGURES]

# When none of these can be read, and not just for want of support, the GPU does not work.
VITAL = ("memory_used_bytes", "utilization_percent", "temperature_celsius", "sm_clock_mhz")
FAILURES = ("error:", "no_permission")


def read_sample(
    caller: Caller, device: Device, turn: int, system_memory_bytes: int | None
) -> GpuSample:
    """One sample. Of unified memory what is used is for the caller to say, from its processes.

    Args:
        turn: number of the reading; what costs much is read on some turns only.

    Raises:
        GpuTroubleError, DriverTroubleError
    """
    unknown: dict[str, str] = {}

    def ask(field: str, *ways: Way) -> Any:
        return caller.ask(device, unknown, (field,), *ways)

    def rarely(field: str, every: int, way: Way) -> Any:
        due = (turn + device.index) % every == 0
        return caller.ask_rarely(device, unknown, field, way, due=due)

    rates = caller.ask(
        device, unknown, ("utilization_percent", "memory_utilization_percent"), UTILIZATION
    )
    encoder = rarely("encoder_percent", MINOR_EVERY, ENCODER)
    decoder = rarely("decoder_percent", MINOR_EVERY, DECODER)
    fields = rarely("memory_temperature_celsius", MINOR_EVERY, FIELDS)
    power, energy = ask("power_watts", POWER), rarely("energy_joules", COUNTERS_EVERY, ENERGY)
    used, reserved, total = _memory(caller, device, unknown, system_memory_bytes)
    sample = GpuSample(
        uuid=device.uuid,
        utilization_percent=None if rates is None else float(rates.gpu),
        memory_utilization_percent=None if rates is None else float(rates.memory),
        encoder_percent=None if encoder is None else float(encoder[0]),
        decoder_percent=None if decoder is None else float(decoder[0]),
        memory_used_bytes=used,
        memory_reserved_bytes=reserved,
        memory_total_bytes=total,
        temperature_celsius=_float(ask("temperature_celsius", *TEMPERATURE)),
        memory_temperature_celsius=_memory_temperature(fields, caller, device, unknown),
        power_watts=None if power is None else power / 1000,
        energy_joules=None if energy is None else energy / 1000,
        sm_clock_mhz=ask("sm_clock_mhz", SM_CLOCK),
        memory_clock_mhz=ask("memory_clock_mhz", MEMORY_CLOCK),
        fan_percent=_float(rarely("fan_percent", MINOR_EVERY, FAN)),
        performance_state=ask("performance_state", PERFORMANCE),
        throttle=throttle_words(ask("throttle", *REASONS) or 0),
        pcie_replay_count=rarely("pcie_replay_count", COUNTERS_EVERY, REPLAYS),
        unknown=unknown,
    )
    vital = [unknown.get(field) for field in (VITAL[1:] if device.unified else VITAL)]
    failed = [reason for reason in vital if reason and reason.startswith(FAILURES)]
    if failed and None not in vital:
        sample.state = "error"
        sample.reason = f"the driver answers every question about this GPU with {failed[0]}"
    return sample


def read_health(caller: Caller, device: Device) -> GpuHealth:
    """The slow counters.

    Raises:
        GpuTroubleError, DriverTroubleError
    """
    unknown: dict[str, str] = {}

    def ask(field: str, name: str, *arguments: Any) -> Any:
        return caller.ask(device, unknown, (field,), Way(name, arguments))

    def pages(field: str, cause: int) -> int | None:
        addresses = ask(field, "nvmlDeviceGetRetiredPages", cause)
        return None if addresses is None else len(addresses)

    def ecc(field: str, kind: int, counter: int) -> int | None:
        count = ask(field, "nvmlDeviceGetTotalEccErrors", kind, counter)
        return None if count is None else int(count)

    rows = caller.ask(
        device,
        unknown,
        ("remapped_correctable", "remapped_uncorrectable", "remap_pending", "remap_failed"),
        Way("nvmlDeviceGetRemappedRows"),
    )
    pending = ask("retired_pages_pending", "nvmlDeviceGetRetiredPagesPendingStatus")
    return GpuHealth(
        uuid=device.uuid,
        remapped_correctable=rows and rows[0],
        remapped_uncorrectable=rows and rows[1],
        remap_pending=None if rows is None else bool(rows[2]),
        remap_failed=None if rows is None else bool(rows[3]),
        retired_pages_pending=None if pending is None else bool(pending),
        retired_pages_single_bit=pages("retired_pages_single_bit", 0),
        retired_pages_double_bit=pages("retired_pages_double_bit", 1),
        ecc_corrected_volatile=ecc("ecc_corrected_volatile", 0, 0),
        ecc_uncorrected_volatile=ecc("ecc_uncorrected_volatile", 1, 0),
        ecc_corrected_aggregate=ecc("ecc_corrected_aggregate", 0, 1),
        ecc_uncorrected_aggregate=ecc("ecc_uncorrected_aggregate", 1, 1),
        slowdown_celsius=_float(ask("slowdown_celsius", "nvmlDeviceGetTemperatureThreshold", 1)),
        unknown=unknown,
    )


def blank_sample(uuid: str, trouble: GpuTroubleError) -> GpuSample:
    """The sample of a GPU that nothing can be read from."""
    return GpuSample(
        uuid=uuid,
        state=trouble.state,
        reason=trouble.reason,
        unknown=dict.fromkeys(SAMPLE_FIGURES, trouble.word),
    )


def blank_health(uuid: str, trouble: GpuTroubleError) -> GpuHealth:
    """The counters of a GPU that nothing can be read from."""
    return GpuHealth(uuid=uuid, unknown=dict.fromkeys(HEALTH_FIGURES, trouble.word))


def throttle_words(bits: int) -> list[str]:
    """NVML's bit mask as words."""
    return [word for bit, word in THROTTLE if bits & bit]


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _memory(
    caller: Caller, device: Device, unknown: dict[str, str], system_memory_bytes: int | None
) -> tuple[int | None, int | None, int | None]:
    """Used, reserved and total. The older call counts the reserved as used."""
    if device.unified:
        unknown["memory_reserved_bytes"] = "not_supported"
        return None, None, system_memory_bytes
    fields = ("memory_used_bytes", "memory_reserved_bytes", "memory_total_bytes")
    memory = caller.ask(device, unknown, fields, *MEMORY)
    if memory is None:
        return None, None, None
    reserved = getattr(memory, "reserved", None)
    if reserved is None:
        unknown["memory_reserved_bytes"] = "function_missing"
    return int(memory.used), reserved, int(memory.total)


def _memory_temperature(
    values: Any, caller: Caller, device: Device, unknown: dict[str, str]
) -> float | None:
    """Each field of the call has an error of its own."""
    field = "memory_temperature_celsius"
    if values is None:
        return None
    if code := int(values[0].nvmlReturn):
        unknown[field] = caller.reason(code, device)
        return None
    return float(values[0].value.uiVal)
