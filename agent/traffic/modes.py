"""What HAProxy is told of a port, by what goes over it; and what is not known of it then."""

from __future__ import annotations

from collections.abc import Mapping

from agent.protocol.workloads import Mode

MODES: tuple[Mode, ...] = ("http", "grpc", "tcp")
# Another container gets a request, or a connection, only where none was made to the first one.
_AGAIN = """\
  option redispatch 1
  retries 3
"""
_TIMES = """\
  timeout connect 3s
  timeout queue 30s
"""
# One whose other side is gone without a word is found by these.
_ALIVE = """\
  option clitcpka
  clitcpka-idle 60s
  clitcpka-intvl 30s
  clitcpka-cnt 4
  option srvtcpka
  srvtcpka-idle 60s
  srvtcpka-intvl 30s
  srvtcpka-cnt 4
"""
_HTTP = f"""\
defaults
  mode http
  option http-server-close
  option dontlognull
{_AGAIN}\
  retry-on conn-failure
{_TIMES}\
  timeout http-request 30s
  timeout http-keep-alive 60s
  timeout client 10m
  timeout server 10m
  timeout tunnel 1h
  log-format "r %b %s %ST %ts %Tw %Tc %Tr %[var(txn.from)] %[var(txn.us)] %[date(0,us)]"
"""
# A stream may be silent for long, and says itself how long it may last. Each request finds its
# container by itself, whatever connection it came on; those to containers are kept.
_GRPC = f"""\
defaults
  mode http
  option dontlognull
{_AGAIN}\
  retry-on conn-failure
{_TIMES}\
  timeout http-request 30s
  timeout http-keep-alive 1h
  timeout client 24h
  timeout server 24h
{_ALIVE}\
  log-format "g %b %s %ST %ts %Tw %Tc %Tr %[var(txn.from)] %[var(txn.us)] %[date(0,us)]\
 %[var(txn.grpc)]"
"""
# A connection may be silent for long.
_TCP = f"""\
defaults
  mode tcp
{_AGAIN}\
{_TIMES}\
  timeout client 24h
  timeout server 24h
{_ALIVE}"""
DEFAULTS: Mapping[Mode, str] = {"http": _HTTP, "grpc": _GRPC, "tcp": _TCP}

_TIMED = """\
  log global
  http-request set-var(txn.from) date(0,us)
  http-response set-var(txn.us) date(0,us),sub(txn.from)
"""
_BACK = """\
  default_backend {backend}

backend {backend}
  balance roundrobin
"""
FRONTS: Mapping[Mode, str] = {
    "http": f"""
frontend f-{{name}}
  {{binds}}
{_TIMED}{_BACK}""",
    "grpc": f"""
frontend f-{{name}}
  {{binds}} proto h2
{_TIMED}\
  http-response set-var(txn.grpc) res.hdr(grpc-status)
{_BACK}""",
    "tcp": f"""
frontend f-{{name}}
  {{binds}}
{_BACK}""",
}
SERVERS: Mapping[Mode, str] = {"http": "", "grpc": " proto h2", "tcp": ""}


def unseen(modes: Mapping[int, Mode]) -> dict[str, str]:
    """What of requests a proxy does not see, by the name that `Arm.unknown` has for it, and why.

    Args:
        modes: of the published ports.
    """
    tcp = [str(port) for port, mode in sorted(modes.items()) if mode == "tcp"]
    grpc = [str(port) for port, mode in sorted(modes.items()) if mode == "grpc"]
    if tcp:
        why = f"port {', '.join(tcp)} is TCP: the proxy sees connections, no answers"
        return {"requests": why}
    if grpc:
        why = "is gRPC: it tells most errors in trailers, which the proxy does not see"
        return {"requests.errors": f"port {', '.join(grpc)} {why}"}
    return {}
