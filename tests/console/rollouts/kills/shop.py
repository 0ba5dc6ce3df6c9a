"""A node with a workload that can be worse than it was, and rollouts of it under a real load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.protocol.workloads import HttpProbe, Mount, Port, Workload
from console.rollouts.judging.analysis import Analysis
from tests.agent.traffic.weighted import PORT, Load
from tests.console.rollouts.kills import candidate
from tests.console.rollouts.kills.scene import Running, Scene, Way
from tests.real import python_image


class Shop(Scene):
    """The node, with a workload that can be worse."""

    def workload(self, version: str, strategy: str = "weighted", **habits: str) -> Any:
        script = Path(candidate.__file__)
        mount = Mount(kind="bind", source=str(script), target="/candidate.py", read_only=True)
        return Workload(
            name="web",
            image=python_image.WITHOUT_TENSORRT,
            command=["python3", "/candidate.py"],
            environment={"VERSION": version, **habits},
            mounts=[mount],
            ports=[Port(target=candidate.PORT, published=PORT)],
            probes=[HttpProbe(port=candidate.PORT)],
            strategy="weighted",
            stop_signal="SIGKILL",
            soak=0.0,
        )

    @contextmanager
    def let_out(
        self,
        rate: float,
        analysis: Analysis,
        *,
        ways: Sequence[Way] = (),
        soak: float = 1.0,
        weight: int = 50,
        **habits: str,
    ) -> Iterator[tuple[Running, Load]]:
        """A version with these habits, at a weight, under that load."""
        self.settle()
        workload = self.workload(self.next_version(), **habits)
        running = self.rollout(workload, weights=(weight,), soak=soak, analysis=analysis)
        load = Load(self.engine, rate)
        try:
            running.start(*ways)
            yield running, load
        finally:
            running.kill()
            load.kill()
