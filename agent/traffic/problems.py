"""What can be wrong with a proxy, as problems."""

from __future__ import annotations

from agent.protocol.problems import ProblemError


def no_proxy(why: str, image: str) -> ProblemError:
    """Nothing here could run a proxy."""
    return ProblemError(
        "traffic.no_proxy",
        f"traffic cannot be split on this node: {why}",
        params={"image": image},
        hint="Where systemd runs, install HAProxy, 2.6 or newer: Roost uses the program alone,"
        f" never its service or its haproxy.cfg. Or send the image {image}, which has it:"
        " roost image push ARCHIVE --to @NODE",
    )


def port_taken(workload: str, port: int, why: str) -> ProblemError:
    """A published port belongs to somebody else."""
    return ProblemError(
        "traffic.port_taken",
        f"{workload}: port {port} cannot be had: {why}",
        params={"workload": workload, "port": port},
        hint="`roost container ls NODE` shows who publishes it; on the node `ss -ltnp` shows any"
        " other program.",
    )


def no_answer(workload: str, why: str) -> ProblemError:
    """The proxy cannot be told anything."""
    return ProblemError(
        "traffic.no_answer",
        f"{workload}: its proxy does not answer: {why}",
        params={"workload": workload},
        hint="What it shall do is written down, and it does that once it runs again."
        " `roost doctor NODE` looks for the cause.",
    )


def not_as_told(workload: str, differences: list[str]) -> ProblemError:
    """The proxy does not do what it was told."""
    return ProblemError(
        "traffic.not_as_told",
        f"{workload}: its proxy is not as it was told to be: {'; '.join(differences)}",
        params={"workload": workload, "differences": differences},
        hint="Look whether somebody else talks to its socket, and try again.",
    )


def no_address(workload: str, container: str, why: str) -> ProblemError:
    """A container that no proxy could reach."""
    return ProblemError(
        "traffic.no_address",
        f"{workload}: the proxy cannot reach its container: {why}",
        params={"workload": workload, "container": container},
        hint="It must be in a network of its own with an address that the node itself reaches"
        " (bridge, not macvlan, and not the host's).",
    )


def not_started(workload: str, why: str) -> ProblemError:
    """What shall run the proxy does not."""
    return ProblemError(
        "traffic.not_started",
        f"{workload}: its proxy does not start: {why}",
        params={"workload": workload},
        hint="The words are systemd's, the runtime's or HAProxy's own.",
    )
