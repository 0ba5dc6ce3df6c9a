"""XID events from the driver and from the kernel log, each event once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from agent.gpu.kernel_log import KernelLog
from agent.gpu.nvml import NvmlSource
from agent.gpu.xids import KEPT, XidLog, nvml_bus_id, parse_line
from agent.protocol.gpus import XidEvent
from tests.agent.gpu.conftest import Node
from tests.nvml_stub import scenario as scenarios

LINE = "NVRM: Xid (PCI:0000:02:00): 79, pid=1234, name=python3, GPU has fallen off the bus."
PCI = "00000000:02:00.0"


@pytest.mark.parametrize(
    ("line", "code", "pci", "text"),
    [
        (LINE, 79, PCI, "pid=1234, name=python3, GPU has fallen off the bus."),
        ("NVRM: Xid (PCI:0000:3b:00.0): 31, Ch 00000010", 31, "00000000:3B:00.0", "Ch 00000010"),
        ("NVRM: Xid (0000:03:00): 13", 13, "00000000:03:00.0", None),
        ("NVRM: Xid (PCI:0008:01:00): 94, Contained", 94, "00000008:01:00.0", "Contained"),
        ("NVRM: Xid (PCI:zz): 1, x", None, None, None),
        ("NVRM: GPU at PCI:0000:3b:00: GPU-aa", None, None, None),
    ],
)
def test_lines(line: str, code: int | None, pci: str | None, text: str | None) -> None:
    event = parse_line(line, at=5.0)
    if code is None:
        assert event is None
    else:
        assert event == XidEvent(code=code, at=5.0, pci_bus_id=pci, text=text)


def test_bus_ids() -> None:
    assert nvml_bus_id("3b:00") == "00000000:3B:00.0"
    assert nvml_bus_id("nonsense") is None


def event(code: int, at: float, **more: str) -> XidEvent:
    return XidEvent(code=code, at=at, pci_bus_id=PCI, **more)


def test_two_reports_of_one_event_are_one() -> None:
    log = XidLog()
    log.add(event(31, 10.0, gpu_uuid="GPU-a"), "nvml")
    log.add(event(31, 10.5, text="from the log"), "kernel_log")
    assert log.take() == [event(31, 10.0, gpu_uuid="GPU-a", text="from the log")]
    # The second report may also come after the first was taken.
    log.add(event(31, 20.0, text="x"), "kernel_log")
    assert len(log.take()) == 1
    log.add(event(31, 20.1), "nvml")
    assert log.take() == []


def test_a_storm_keeps_its_number() -> None:
    log = XidLog()
    for at in range(5):
        log.add(event(31, float(at)), "nvml")
    for at in range(5):
        log.add(event(31, float(at)), "kernel_log")
    log.add(event(31, 100.0), "kernel_log")
    log.add(event(43, 1.0), "kernel_log")
    taken = [(each.code, each.at) for each in log.take()]
    assert taken == [(31, 0.0), (31, 1.0), (43, 1.0), (31, 2.0), (31, 3.0), (31, 4.0), (31, 100.0)]


def test_the_log_is_bounded() -> None:
    log = XidLog()
    for code in range(3 * KEPT):
        log.add(event(code, 1.0), "kernel_log")
    assert [each.code for each in log.take()] == list(range(2 * KEPT, 3 * KEPT))


async def take(source: NvmlSource, count: int) -> list[XidEvent]:
    events: list[XidEvent] = []
    while len(events) < count:
        await asyncio.sleep(0.005)
        events += source.take_xids()
    return events


async def test_events_of_the_driver(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    node.scenario.xid(0, 13)  # before somebody waited
    node.scenario.save()
    source = node.source()
    await source.inventory()
    node.scenario.xid(1, 79)
    node.scenario.xid(1, 48)
    node.scenario.save()
    first, second = await take(source, 2)
    assert (first.code, second.code) == (79, 48)
    assert (first.gpu_uuid, first.pci_bus_id) == (scenarios.uuid_of(1), "00000000:02:00.0")
    assert abs(first.at - time.time()) < 60
    assert source.take_xids() == []


async def test_the_log_adds_text_and_history_without_a_driver(node: Node) -> None:
    source = node.source()
    await source.start()
    node.log("usb 1-1: new device")
    node.log(LINE)
    (found,) = await take(source, 1)
    # The record is of 5 s after boot.
    boot = time.time() - time.monotonic()
    assert abs(found.at - boot - 5) < 60
    assert (found.code, found.gpu_uuid, found.pci_bus_id) == (79, None, PCI)
    assert found.text == "pid=1234, name=python3, GPU has fallen off the bus."


async def test_the_log_s_address_becomes_a_gpu(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    source = node.source()
    await source.start()
    await source.inventory()
    node.log(LINE)
    (found,) = await take(source, 1)
    assert found.gpu_uuid == scenarios.uuid_of(1)


async def test_gpus_that_report_no_xids_are_left_out(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=3))
    node.scenario.set(0, event_types=0x4)
    node.scenario.fail("nvmlDeviceRegisterEvents", 3, 1)
    node.scenario.save()
    source = node.source()
    assert (await source.inventory()).stack.state == "ok"
    for gpu in range(3):
        node.scenario.xid(gpu, 60 + gpu)
    node.scenario.save()
    assert [each.code for each in await take(source, 1)] == [62]


async def test_a_driver_without_events(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=1))
    node.scenario.fail("nvmlEventSetCreate", 3, "sys")
    node.scenario.save()
    stack = (await node.source().inventory()).stack
    assert (stack.state, stack.unknown) == ("ok", {"xids": "error:3"})


async def test_waiting_for_events_of_a_lost_gpu_does_not_spin(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=1))
    node.scenario.fail("nvmlEventSetWait_v2", 15, "sys")
    node.scenario.save()
    source = node.source()
    await source.inventory()
    await asyncio.sleep(0.3)
    # One call each 50 ms: with a spin it would be many thousands.
    assert node.scenario.calls()["nvmlEventSetWait_v2", "sys"] < 50


async def test_event_sets_are_given_back(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=1))
    source = node.source()
    await source.inventory()
    await source.stop()
    calls = node.scenario.calls()
    assert calls["nvmlEventSetCreate", "sys"] == calls["nvmlEventSetFree", "sys"] == 1


async def test_without_the_log_the_stack_says_so(node: Node) -> None:
    node.install(scenarios.h200(node.scenario.path, count=1))
    node.kernel_log = node.folder / "missing"
    source = node.source()
    await source.start()
    inventory = await source.inventory()
    assert inventory.stack.unknown == {"kernel_log": "not_supported"}
    assert await source.inventory() is inventory


async def test_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    log = KernelLog(tmp_path / "missing", XidLog())
    log.start()
    assert log.reason == "not_supported"
    plain = tmp_path / "plain"
    plain.write_text("4,1,1,-;x\n")
    log = KernelLog(plain, XidLog())
    log.start()
    assert log.reason == "not_supported"
    log.stop()


async def test_the_real_kernel_log_is_read_to_its_end() -> None:
    log = KernelLog(Path("/dev/kmsg"), xids := XidLog())
    log.start()
    await asyncio.sleep(0.05)
    # Also on a machine that shows it to nobody, or in a container that has none.
    assert log.reason in (None, "no_permission", "not_supported")
    assert all(each.code > 0 for each in xids.take())
    log.stop()
