"""Proxies in systemd units, on a whole machine: through `kill -9`, another boot, and their end."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from agent.traffic.proxy import Proxy
from agent.traffic.state import Bind, ProxyState, Slot, SlotName
from agent.traffic.units import Units
from tests.real.bare_machine import BareMachine
from tests.real.fixtures import MachineFactory

FILES = Path("/var/lib/roost/traffic")
HAPROXY = Path("/usr/sbin/haproxy")
UNIT = "roost-traffic@web.service"


def state(weight: int, port: int = 8080) -> ProxyState:
    """Two containers of which neither is there."""
    bind = Bind(port=port)

    def slot(address: str, share: int) -> Slot:
        return Slot(container=address, address=address, ports={bind.name: 80}, weight=share)

    slots: dict[SlotName, Slot] = {
        "stable": slot("127.0.0.2", 100 - weight),
        "candidate": slot("127.0.0.3", weight),
    }
    return ProxyState(workload="web", binds=(bind,), slots=slots)


def put_haproxy(machine: BareMachine) -> None:
    """This machine's own, as Debian's package would."""
    said = subprocess.run(["ldd", str(HAPROXY)], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"(?:=> |^\s+)(/\S+) \(", said, re.MULTILINE):
        if not machine.path(library).exists():
            machine.path(library).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(library).resolve(), machine.path(library))
    shutil.copy(HAPROXY.resolve(), machine.path(str(HAPROXY)))


def home(machine: BareMachine) -> Units:
    way = ("nsenter", f"--target={machine._pid}", "--all", "--")
    units = machine.path("/etc/systemd/system")
    return Units(HAPROXY, FILES, units=units, systemctl=(*way, "systemctl"))


def proxy(machine: BareMachine) -> Proxy:
    return Proxy("web", machine.path(str(FILES)) / "web", home(machine), ipv6=True)


async def weights(made: Proxy) -> dict[str, int]:
    servers = await made._admin.servers()
    return {name: one.weight for (_, name), one in servers.items() if not one.off}


@pytest.mark.real
@pytest.mark.runtimes
@pytest.mark.timeout(120)
async def test_a_unit_keeps_its_proxy(machine_factory: MachineFactory) -> None:
    machine = await asyncio.to_thread(machine_factory, "machine-bookworm")
    put_haproxy(machine)
    made = proxy(machine)
    await made.put(lambda _: state(30))
    assert await weights(made) == {"stable": 70, "candidate": 30}
    verified = machine.tried("systemd-analyze", "verify", "--man=no", UNIT)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert machine.enter("ss", "-Hltn", "sport = :8080").count("LISTEN") == 1
    pid = machine.enter("systemctl", "show", "--value", "--property=MainPID", UNIT).strip()
    status = machine.path(f"/proc/{pid}/status").read_text()
    assert re.findall(r"^[UG]id:\t(.*)", status, re.MULTILINE) == ["65534\t65534\t65534\t65534"] * 2
    machine.enter("kill", "-9", pid)
    while True:
        try:
            if (await made._admin.process()).pid != int(pid):
                break
        except ProblemError:
            pass
        await asyncio.sleep(0.05)
    assert await weights(made) == {"stable": 70, "candidate": 30}
    await made.put(lambda _: state(60))
    assert await weights(made) == {"stable": 40, "candidate": 60}
    await made.put(lambda _: state(60, port=8081))  # another port: it starts anew
    assert "8081" in machine.enter("ss", "-Hltn")
    await made.stop()
    await asyncio.to_thread(machine.power_cut)
    await asyncio.to_thread(machine.boot)
    again = proxy(machine)
    await again.take_up()
    await again.look_after()
    assert await again.wrong() == []
    assert await weights(again) == {"stable": 40, "candidate": 60}
    await again.remove()
    assert machine.enter("systemctl", "is-enabled", UNIT, check=False) == "disabled\n"
    assert "8081" not in machine.enter("ss", "-Hltn")
    assert not machine.path(str(FILES / "web")).exists()
