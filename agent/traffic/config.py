"""HAProxy's configuration file: the truth about one proxy, readable back into its state.

It says only what HAProxy 2.6 to 3.2 understand; what differs by mode is in `modes.py`. Weights and
addresses are told to the running HAProxy as they change, so it is never reloaded; a HAProxy that
starts anew finds them here.
"""

from __future__ import annotations

import hashlib

import msgspec

from agent.protocol.decoding import from_json
from agent.traffic.modes import DEFAULTS, FRONTS, MODES, SERVERS
from agent.traffic.state import SLOTS, Bind, ProxyState, Slot, SlotName

FILE, ADMIN_SOCKET, LOG_SOCKET = "haproxy.cfg", "ctl", "log"
# "nobody" everywhere; HAProxy becomes it once it listens.
USER_ID = 65534
# An address that is nobody's (RFC 5737), for slots that are not taken.
NOBODY = "192.0.2.1:1"
_STATE, _DIGEST = "# roost ", "# sha256 "
# Connections at once. A HAProxy keeps about 70 KB for each that is open.
CONNECTIONS = 4000
# How many bytes of log wait for an agent that does not read: 5,000 lines.
LOG_BYTES = 512 * 1024
SOFT_STOP_SECONDS = 10

_BODY = """\
global
  uid {user}
  gid {user}
  nbthread 2
  maxconn {connections}
  stats socket {folder}/{admin} mode 600 level admin
  stats timeout 30s
  hard-stop-after {soft_stop}s
  log ring@answers len 1024 format raw local0

ring answers
  format raw
  maxlen 1024
  size {log_bytes}
  timeout connect 1s
  timeout server 24h
  server agent {folder}/{log} log-proto octet-count
"""
_CHECK = "check inter 1s fastinter 250ms fall 3 rise 1"


class Written(msgspec.Struct, kw_only=True, frozen=True):
    """A configuration file that was read."""

    state: ProxyState
    by_hand: bool  # its text is not what Roost wrote


def rendered(state: ProxyState, *, folder: str, ipv6: bool = True) -> str:
    """The file's text.

    Args:
        folder: with the two sockets, as HAProxy sees it.
        ipv6: whether the machine has it: what is published on all addresses is on those, too.
    """
    body = _BODY.format(
        user=USER_ID,
        connections=CONNECTIONS,
        folder=folder,
        admin=ADMIN_SOCKET,
        log=LOG_SOCKET,
        log_bytes=LOG_BYTES,
        soft_stop=SOFT_STOP_SECONDS,
    )
    for mode in MODES:
        binds = [bind for bind in state.binds if state.mode(bind) == mode]
        body += "\n" + DEFAULTS[mode] if binds else ""
        for bind in binds:
            body += FRONTS[mode].format(
                name=bind.name, binds=_bound(bind, ipv6=ipv6), backend=state.backend(bind)
            )
            body += "".join(_server(state, name, bind) for name in SLOTS)
    head = _STATE + msgspec.json.encode(state).decode() + "\n"
    digest = _DIGEST + hashlib.sha256((head + body).encode()).hexdigest() + "\n"
    return f"# Written by Roost for the workload {state.workload}.\n{digest}{head}{body}"


def read(text: str) -> Written | None:
    """What a file says; None: Roost did not write it, or it is not whole."""
    _, _, rest = text.partition("\n")
    digest, _, said = rest.partition("\n")
    head = said.partition("\n")[0]
    if not digest.startswith(_DIGEST) or not head.startswith(_STATE):
        return None
    try:
        state = from_json(head.removeprefix(_STATE), ProxyState)
    except msgspec.DecodeError:
        return None
    whole = hashlib.sha256(said.encode()).hexdigest() == digest.removeprefix(_DIGEST)
    return Written(state=state, by_hand=not whole)


def endpoint(slot: Slot | None, bind: Bind) -> tuple[str, int] | None:
    """Where a slot's container answers for a published port; None: nowhere."""
    if slot is None or not slot.address or bind.name not in slot.ports:
        return None
    return slot.address, slot.ports[bind.name]


def _bound(bind: Bind, *, ipv6: bool) -> str:
    if bind.host_ip:
        return f"bind {_bracketed(bind.host_ip)}:{bind.port}"
    return f"bind :::{bind.port} v4v6" if ipv6 else f"bind *:{bind.port}"


def _server(state: ProxyState, name: SlotName, bind: Bind) -> str:
    slot = state.slots.get(name)
    there, more = endpoint(slot, bind), f"{_CHECK}{SERVERS[state.mode(bind)]}"
    if slot is None or there is None:
        return f"  server {name} {NOBODY} weight 0 {more} disabled\n"
    address, port = there
    return f"  server {name} {_bracketed(address)}:{port} weight {slot.weight} {more}\n"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
