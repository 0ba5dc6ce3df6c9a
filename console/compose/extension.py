"""`x-roost` of a service: what Compose has no words for."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.protocol.workloads import ExecProbe, GpuProbe, HttpProbe, Mode, Port, Probe, Strategy
from console.compose.commands import read_command
from console.compose.reading import Place

# `gpu` is read in gpus.py, `engine` in engine.py.
_KEYS = ("gpu", "engine", "variants", "strategy", "mode", "probes", "soak", "start_deadline")
_STRATEGIES: dict[str, Strategy] = {
    "stop-then-start": "stop-then-start",
    "start-then-stop": "start-then-stop",
    "weighted": "weighted",
}
_MODES: dict[str, Mode] = {"http": "http", "tcp": "tcp", "grpc": "grpc"}
_KINDS = ("http", "exec", "gpu")


@dataclass(slots=True)
class Extension:
    """As `agent.protocol.workloads.Workload` has it, and with its defaults; times in seconds."""

    variants: list[str] = field(default_factory=list)
    strategy: Strategy | None = None
    probes: list[Probe] = field(default_factory=list)
    soak: float = 10.0
    start_deadline: float = 120.0


def read_extension(service: Place) -> Extension:
    """What the service's `x-roost` says."""
    found = Extension()
    place = service.get("x-roost")
    if place is None or place.known(_KEYS) is None:
        return found
    if variants := place.get("variants"):
        found.variants = [text for item in variants.items() if (text := item.text()) is not None]
    if strategy := place.get("strategy"):
        word = strategy.one_of(_STRATEGIES)
        found.strategy = _STRATEGIES[word] if word else None
    if soak := place.get("soak"):
        found.soak = _or(soak.seconds(), found.soak)
    if deadline := place.get("start_deadline"):
        found.start_deadline = _or(deadline.seconds(), found.start_deadline)
    if probes := place.get("probes"):
        read = (_probe(item) for item in probes.items())
        found.probes = [probe for probe in read if probe is not None]
    return found


def read_modes(service: Place, ports: list[Port]) -> None:
    """Give ports the modes that the service's `x-roost` says: one for all, or each its own."""
    extension = service.get("x-roost")
    place = None if extension is None else extension.get("mode")
    if place is None or extension is None:
        return
    there = {port.target for port in ports if port.protocol == "tcp"}
    wanted: dict[int, Mode] = {}
    if place.is_text():
        word = place.one_of(_MODES)
        wanted = dict.fromkeys(there, _MODES[word]) if word else {}
    else:
        for key, each in place.entries():
            word = each.one_of(_MODES)
            if not key.isdecimal() or int(key) not in there:
                hint = "Name ports of the container that `ports` publishes, as TCP."
                each.wrong("is no port that it publishes", hint)
            elif word is not None:
                wanted[int(key)] = _MODES[word]
    strategy = extension.get("strategy")
    if not there or (strategy is not None and strategy.word() == "stop-then-start"):
        place.ignored("Only a proxy asks for it: publish a TCP port, with strategy: weighted.")
    for port in ports:
        mode = wanted.get(port.target, "http") if port.protocol == "tcp" else "http"
        if mode != "http":
            port.mode = mode


def _probe(item: Place) -> Probe | None:
    if item.known(_KINDS) is None:
        return None
    given = [(kind, place) for kind in _KINDS if (place := item.get(kind))]
    if len(given) != 1:
        hint = "Write it like http: {port: 8080, path: /health}, exec: {command: ...} or gpu: ..."
        item.wrong("is not one probe", hint)
        return None
    kind, place = given[0]
    if kind == "http":
        return _http(place)
    if place.known(("command", "timeout")) is None:
        return None
    command = read_command(place.get("command"))
    if not command:
        place.wrong("lacks its command", "Say what to run in the container: command: ...")
        return None
    probe = ExecProbe(command=command) if kind == "exec" else GpuProbe(command=command)
    if timeout := place.get("timeout"):
        probe.timeout = _or(timeout.seconds(), probe.timeout)
    return probe


def _http(place: Place) -> Probe | None:
    if place.known(("port", "path", "timeout")) is None:
        return None
    port = number.integer(1, 65535) if (number := place.get("port")) else None
    if port is None:
        if place.get("port") is None:
            place.wrong("lacks its port", "Say which port of the container answers: port: 8080")
        return None
    probe = HttpProbe(port=port)
    if path := place.get("path"):
        text = path.text()
        if text is not None and not text.startswith("/"):
            path.wrong(f"is {text[:60]!r}", "A path begins with a slash.")
        probe.path = text or "/"
    if timeout := place.get("timeout"):
        probe.timeout = _or(timeout.seconds(), probe.timeout)
    return probe


def _or(given: float | None, otherwise: float) -> float:
    return otherwise if given is None else given
