"""The proxies of one node, kept as they are written while containers come and go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec
from anyio import move_on_after

from agent.containers.runtime import NodeRuntime
from agent.protocol.problems import ProblemError
from agent.traffic.addresses import address_of
from agent.traffic.homes import Home
from agent.traffic.ports import OWN_NETWORK, check_free, has_ipv6
from agent.traffic.problems import no_address, no_proxy
from agent.traffic.proxy import Proxy
from agent.traffic.state import Bind, FrontPort, ProxyState, Slot, SlotName, Target, front_of
from agent.traffic.traffic import DRAIN_SECONDS, Window

# How soon a proxy that ended, or that somebody changed, is seen to; while requests are shared, and
# while they are not.
LOOK_SECONDS, REST_SECONDS = 2.0, 10.0
# Containers come and go in bursts.
SETTLE_SECONDS = 0.1
DRAIN_LOOK_SECONDS = 0.1

log = logging.getLogger(__name__)


class NodeTraffic:
    """See `traffic.Traffic`.

    Args:
        home: what runs proxies here.
        files: the folder with one folder for each workload.
        image: the gateway's, for hints.
        network: the network namespace that published ports belong to.
    """

    def __init__(
        self,
        runtime: NodeRuntime,
        home: Home,
        files: Path,
        *,
        image: str,
        network: Path = OWN_NETWORK,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._runtime, self._home, self._files = runtime, home, files
        self._image, self._network, self._drain_seconds = image, network, drain_seconds
        self._ipv6 = has_ipv6()
        self._proxies: dict[str, Proxy] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._told: dict[str, str] = {}  # problems in the log already

    async def start(self) -> None:
        """Take up what a former agent left; begin to follow addresses."""
        for folder in await asyncio.to_thread(_folders, self._files):
            proxy = self._proxy(folder.name)
            try:
                await proxy.take_up()
            except OSError as error:
                log.warning("the proxy of %s is not taken up: %s", folder.name, error)
        self._runtime.on_change(self._changed.set)
        self._task = asyncio.create_task(self._keep(), name="traffic")

    async def stop(self) -> None:
        """Proxies go on without the agent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for proxy in self._proxies.values():
            await proxy.stop()

    async def ready(self) -> None:
        """Raises ProblemError `traffic.no_proxy`."""
        why = await self._home.why_not()
        if why is not None:
            raise no_proxy(why, self._image)

    async def check(self, workload: str, binds: frozenset[Bind]) -> None:
        """Raises ProblemError `traffic.no_proxy`, `traffic.port_taken`."""
        await self.ready()
        state = self._state(workload)
        own = frozenset[Bind]() if state is None else frozenset(state.binds)
        for bind in sorted(binds - own):
            await check_free(
                workload, bind, self._runtime.containers().values(), network=self._network
            )

    async def put(self, workload: str, targets: Mapping[SlotName, Target]) -> None:
        """Have its proxy run so; none: have it gone."""
        if not targets:
            if workload in self._proxies:
                await self._proxies[workload].remove()
                del self._proxies[workload]
            return
        slots = {name: await self._slot(workload, each) for name, each in targets.items()}
        binds = {bind for each in targets.values() for bind in each.front.binds}
        modes = {name: mode for each in targets.values() for name, mode in each.front.modes.items()}
        state = ProxyState(workload=workload, binds=tuple(sorted(binds)), slots=slots, modes=modes)
        await self._proxy(workload).put(lambda _: state)

    async def targets(self, workload: str) -> Mapping[SlotName, Target]:
        """As they were put last."""
        state = self._state(workload)
        if state is None:
            return {}
        return {name: _target(state, slot) for name, slot in state.slots.items()}

    async def unreached(self, workload: str, slot: SlotName) -> str | None:
        """Why the proxy does not reach the container in a slot."""
        if workload not in self._proxies:
            return "it has no proxy"
        return await self._proxies[workload].unreached(slot)

    async def refuses(self, workload: str, slot: SlotName) -> str | None:
        """That nobody takes connections in a slot any more; None also where that is not known."""
        if workload not in self._proxies:
            return None
        try:
            return await self._proxies[workload].refuses(slot)
        except ProblemError as problem:
            log.info("%s: %s", workload, problem.detail)
            return None

    async def drain(self, workload: str, slot: SlotName) -> bool:
        """Wait until nothing that a slot was given goes on; False: something still does."""
        if workload not in self._proxies:
            return True
        until = asyncio.get_running_loop().time() + self._drain_seconds
        while asyncio.get_running_loop().time() < until:
            try:
                if not await self._proxies[workload].sessions(slot):
                    return True
            except ProblemError as problem:  # it is started again, with nothing going on
                log.info("draining %s: %s", workload, problem.detail)
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        return False

    async def wrong(self, workload: str) -> list[str]:
        """How its proxy differs from what is written."""
        if workload not in self._proxies:
            return []
        return await self._proxies[workload].wrong()

    def shown(self, workload: str) -> str:
        """What its proxy runs in, or would."""
        return self._home.shown(workload)

    def figures(self, workload: str) -> Window | None:
        """What its proxy saw."""
        return self._proxies[workload].figures() if workload in self._proxies else None

    def _proxy(self, workload: str) -> Proxy:
        if workload not in self._proxies:
            self._proxies[workload] = Proxy(
                workload, self._files / workload, self._home, ipv6=self._ipv6
            )
        return self._proxies[workload]

    def _state(self, workload: str) -> ProxyState | None:
        proxy = self._proxies.get(workload)
        return None if proxy is None else proxy.state

    async def _slot(self, workload: str, target: Target) -> Slot:
        address = await address_of(self._runtime, target.container)
        if address is None:
            raise no_address(workload, target.container, "it has no address")
        return Slot(
            container=target.container,
            address=address,
            ports={each.bind.name: each.target for each in target.front.ports},
            weight=target.weight,
        )

    def _sharing(self) -> bool:
        return any(each.state and len(each.state.slots) > 1 for each in self._proxies.values())

    async def _keep(self) -> None:
        while True:
            with move_on_after(LOOK_SECONDS if self._sharing() else REST_SECONDS):
                await self._changed.wait()
                await asyncio.sleep(SETTLE_SECONDS)
            self._changed.clear()
            for workload, proxy in list(self._proxies.items()):
                try:
                    await self._follow(workload, proxy)
                    await proxy.look_after()
                except ProblemError as problem:
                    if self._told.get(workload) != problem.detail:
                        log.warning("%s", problem.detail)
                        self._told[workload] = problem.detail
                except Exception:
                    log.exception("seeing to the proxy of %s failed", workload)
                else:
                    self._told.pop(workload, None)

    async def _follow(self, workload: str, proxy: Proxy) -> None:
        """An address changes when a container, or the runtime, is started again."""
        if proxy.state is None:
            return
        found = {}
        for name, slot in proxy.state.slots.items():
            address = await address_of(self._runtime, slot.container)
            if address is not None and address != slot.address:
                found[name, slot.container] = address
        if found:
            await proxy.put(lambda state: _moved(state, found))


def _moved(
    state: ProxyState | None, found: Mapping[tuple[SlotName, str], str]
) -> ProxyState | None:
    """With these addresses, of slots that still have the same container."""
    if state is None:
        return None
    slots = {
        name: msgspec.structs.replace(slot, address=found.get((name, slot.container), slot.address))
        for name, slot in state.slots.items()
    }
    return msgspec.structs.replace(state, slots=slots)


def _target(state: ProxyState, slot: Slot) -> Target:
    ports = [
        FrontPort(bind=bind, target=slot.ports[bind.name], mode=state.mode(bind))
        for bind in state.binds
        if bind.name in slot.ports
    ]
    return Target(container=slot.container, front=front_of(ports), weight=slot.weight)


def _folders(files: Path) -> list[Path]:
    return sorted(each for each in files.iterdir() if each.is_dir()) if files.is_dir() else []
