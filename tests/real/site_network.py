"""A site and the way to it: network namespaces on two bridges, one of them behind a slow link."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.real.enclosure import Enclosure

HEADQUARTERS = "hq"


class SiteNetwork:
    """Every host has `wan`, those of the site `lan` too; all of it lies in the enclosure.

    What leaves and reaches headquarters goes at `mbit` Mbit/s (tc tbf), and is counted.
    """

    def __init__(self, enclosure: Enclosure, hosts: Sequence[str], *, mbit: int) -> None:
        """The enclosure needs a network of its own. `hosts` are at the site."""
        self._enclosure = enclosure
        self._ends: dict[str, int] = {}
        for bridge in ("wan", "lan"):
            self._ip("link", "add", bridge, "type", "bridge")
            self._ip("link", "set", bridge, "up")
        for number, host in enumerate([HEADQUARTERS, *hosts], 1):
            self._ends[host] = number
            self._ip("netns", "add", host)
            self._ip("-n", host, "link", "set", "lo", "up")
            self._join(host, "wan", f"{self.wan(host)}/24")
            if host != HEADQUARTERS:
                self._join(host, "lan", f"{self.lan(host)}/24")
        limit = ("root", "tbf", "rate", f"{mbit}mbit", "burst", "32kb", "latency", "300ms")
        self.run(HEADQUARTERS, "tc", "qdisc", "add", "dev", "wan", *limit)
        enclosure.enter("tc", "qdisc", "add", "dev", f"wan{self._ends[HEADQUARTERS]}", *limit)

    def wan(self, host: str) -> str:
        """A host's address that headquarters reaches."""
        return f"10.77.0.{self._ends[host]}"

    def lan(self, host: str) -> str:
        """A host's address that only its site reaches."""
        return f"192.168.77.{self._ends[host]}"

    def wan_bytes(self) -> int:
        """What went over the slow link so far, both ways, as headquarters' interface counts."""
        done = self._ip("-n", HEADQUARTERS, "-s", "-j", "link", "show", "wan")
        (link,) = json.loads(done)
        counts = link["stats64"]
        return int(counts["rx"]["bytes"]) + int(counts["tx"]["bytes"])

    def cut_off(self, host: str) -> None:
        """Take a host off the site's network."""
        self._ip("-n", host, "link", "set", "lan", "down")

    def pull(self, host: str) -> None:
        """Take a host off the slow network, as a cable that is pulled."""
        self._ip("-n", host, "link", "set", "wan", "down")

    def plug(self, host: str) -> None:
        """Put it back."""
        self._ip("-n", host, "link", "set", "wan", "up")

    def within(self, host: str) -> tuple[str, ...]:
        """The words before a command that make it run on a host."""
        return (*self._enclosure.entering(), "ip", "netns", "exec", host)

    def run(self, host: str, *argv: str, check: bool = True, seconds: float = 30) -> str:
        """Run a command on a host; what it prints."""
        words = ("ip", "netns", "exec", host, *argv)
        return self._enclosure.enter(*words, check=check, seconds=seconds).stdout

    def _join(self, host: str, bridge: str, address: str) -> None:
        outside = f"{bridge}{self._ends[host]}"
        peer = ("type", "veth", "peer", "name", bridge, "netns", host)
        self._ip("link", "add", outside, *peer)
        self._ip("link", "set", outside, "master", bridge, "up")
        self._ip("-n", host, "addr", "add", address, "dev", bridge)
        self._ip("-n", host, "link", "set", bridge, "up")

    def _ip(self, *words: str) -> str:
        return self._enclosure.enter("ip", *words).stdout
