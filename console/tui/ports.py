"""What the screens need of the rest of the console, as the types they are written against."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from agent.protocol.compatibility import ImageNeeds
from agent.protocol.containers import ContainerChange, LogLine
from agent.protocol.findings import DoctorReport
from agent.protocol.images import (
    ImportRequest,
    LoadPlan,
    Medium,
    NodeImage,
    RemoveRequest,
    TagRequest,
)
from agent.protocol.jobs import Job, JobLogLine
from agent.protocol.packages import PackageList
from agent.protocol.site import SiteStatus
from agent.protocol.telemetry import History, Metric
from console.fleet.inventory import Inventory, NodeEntry
from console.fleet.picture import NodeView
from console.tui.built import Benches, Built
from console.tui.compat import Compat
from console.tui.look.look import Look
from console.tui.placed import Placed
from console.tui.profile import Profile
from console.tui.pushing import Pushes
from console.tui.rollouts import Rollouts
from console.tui.shelf import Shelf
from console.tui.snapshots import NoSnapshots, SnapshotDesk
from console.tui.terms import Terms

# The images side is imported with the first push.
if TYPE_CHECKING:
    from agent.archives.index import ArchiveIndex
    from agent.protocol.deployments import (
        Deployment,
        DeployPlan,
        PinRequest,
        ResolveRequest,
        WorkloadStatus,
    )
    from agent.protocol.engine_figures import EngineBench
    from agent.protocol.engines import (
        BenchRequest,
        BuildRequest,
        Engine,
        EngineLog,
        EngineRemoveRequest,
        UseRequest,
        VerifyRequest,
    )
    from console.images.push import PushState
    from console.images.sites import Account

ContainerVerb = Literal["start", "stop", "restart"]


class WorkloadClient(Protocol):
    """What Roost placed on one node. All raise ProblemError."""

    async def list(self) -> list[WorkloadStatus]: ...

    async def plan_pin(self, container: str, request: PinRequest) -> DeployPlan:
        """What a pin would do. Nothing changes."""

    async def pin(self, container: str, request: PinRequest, key: str) -> Job: ...

    async def deployment(self, deployment: str) -> Deployment: ...

    async def undo(self, workload: str, deployment: str | None = None) -> Job:
        """Refused where another deployment than that one is its newest now."""

    async def remove(self, workload: str, key: str) -> Job: ...

    async def restart(self, workload: str, key: str) -> Job: ...

    async def confirm_workload(self, workload: str) -> Deployment:
        """Its newest deployment may stay; whether it does is in the answer's state."""

    async def resolve(self, workload: str, request: ResolveRequest) -> Job:
        """The way out of a deployment that is stuck."""


class EngineClient(Protocol):
    """The TensorRT engines of one node. All raise ProblemError."""

    async def log(self, model: str, key: str) -> EngineLog: ...

    async def build(self, request: BuildRequest, key: str) -> Job: ...

    async def bench(self, request: BenchRequest, key: str) -> Job: ...

    async def verify(self, model: str, request: VerifyRequest, key: str) -> Job: ...

    async def use(self, model: str, request: UseRequest) -> Engine: ...

    async def remove(self, model: str, request: EngineRemoveRequest) -> list[Engine]: ...

    async def benches(self) -> list[EngineBench]: ...

    async def list(self) -> list[Engine]: ...


class PackageClient(Protocol):
    """What is installed in a node's images."""

    async def read(self, image: str, key: str) -> Job: ...

    async def get(self, image: str) -> PackageList | None: ...


class NodeClient(Protocol):
    """Requests to one node. All raise ProblemError."""

    @property
    def packages(self) -> PackageClient: ...

    @property
    def workloads(self) -> WorkloadClient: ...

    @property
    def engines(self) -> EngineClient: ...

    async def doctor(
        self,
        *,
        clock_offset_seconds: float | None = None,
        clock_uncertainty_seconds: float | None = None,
    ) -> DoctorReport: ...

    async def history(
        self, *, metric: Metric | None = None, seconds: int | None = None
    ) -> History: ...

    async def act(self, name: str, action: ContainerVerb) -> ContainerChange: ...

    def logs(
        self, name: str, *, follow: bool = False, since: str | None = None, tail: int | None = None
    ) -> AsyncGenerator[list[LogLine], None]:
        """Lines in batches as they come."""

    async def job(self, name: str) -> Job: ...

    def job_log(
        self, name: str, *, follow: bool = True, after: int = 0
    ) -> AsyncGenerator[list[JobLogLine] | Job, None]:
        """Lines after that number in batches, and the job at last."""

    async def cancel_job(self, name: str) -> Job: ...

    async def retry_job(self, name: str, key: str) -> Job: ...

    async def images(self) -> list[NodeImage]: ...

    async def image_needs(self, image: str, *, inside: bool = False) -> ImageNeeds:
        """By its config; `inside` has an operator's node look at files of it, too."""

    async def media(self) -> list[Medium]: ...

    async def import_images(self, request: ImportRequest, key: str) -> Job: ...

    async def remove_images(self, request: RemoveRequest, key: str) -> Job: ...

    async def tag_image(self, request: TagRequest, key: str) -> Job: ...


class Fleet(Protocol):
    """All nodes, and which of them changed."""

    @property
    def nodes(self) -> Mapping[str, NodeView]: ...

    def take_changed(self) -> set[str]:
        """Names of nodes that changed since the last call."""

    async def start(self) -> None:
        """Begin to follow the nodes. Called once, after the first paint."""

    async def stop(self) -> None: ...

    def client(self, node: str) -> NodeClient: ...

    def retry(self, node: str | None = None) -> None:
        """Try to reach a node now, instead of waiting for the next try."""


class Pusher(Protocol):
    """Brings one archive to one node; console.images.push.Push is the real one."""

    @property
    def state(self) -> PushState: ...

    async def run(self) -> PushState:
        """Do it; how it went is in the state. A cancellation leaves the job to go on waiting."""

    async def check(self) -> LoadPlan:
        """What it would do; nothing changes. Raises ProblemError."""


class Convoy(Protocol):
    """Pushes of one archive to some nodes, under the same terms."""

    async def begin(self) -> None:
        """Before any of them runs: find out which node gets it first at each site."""

    def pusher(self, node: str) -> Pusher:
        """For one of the nodes. Raises ProblemError where it cannot be reached."""

    def goes_first(self, node: str) -> bool:
        """Whether other nodes wait for what this one gets."""

    def ended(self, node: str, *, stopped: bool) -> None:
        """The push of a node has ended; `stopped`: nothing more goes to it."""

    def account(self, state: PushState) -> Account:
        """Which way the layers of a node took."""

    async def end(self) -> None:
        """The last push has ended; after this `account` says all."""

    def again(
        self, nodes: Sequence[NodeEntry], helpers: Sequence[NodeEntry], terms: Terms
    ) -> Convoy:
        """The same to these nodes once more. `helpers` have it: they can pass it on."""


class Carrier(Protocol):
    """How archives get to nodes."""

    def read(self, path: Path, heard: Callable[[int, int], None]) -> ArchiveIndex:
        """What an archive holds. Blocks; `heard` is told of bytes and of how many.

        Raises ProblemError, and whatever `heard` raises to end it.
        """

    def convoy(
        self,
        nodes: Sequence[NodeEntry],
        archive: ArchiveIndex,
        terms: Terms,
        on_change: Callable[[], None],
    ) -> Convoy:
        """Pushes to these nodes; nothing is sent yet."""

    async def site(self, node: str) -> SiteStatus:
        """Whether a node can pass layers on at its site. Raises ProblemError."""


class Context(msgspec.Struct, frozen=True):
    """What every screen is given."""

    fleet: Fleet
    fleet_name: str
    look: Look
    profile: Profile
    keymap: Mapping[str, str] = {}
    sorts: dict[str, tuple[str, bool]] = {}
    """Screens to the column that they were sorted by, and whether the other way round."""
    shelf: Shelf = msgspec.field(default_factory=Shelf)
    """Which images the nodes said they have."""
    compat: Compat = msgspec.field(default_factory=Compat)
    """What images need, and where they run."""
    placed: Placed = msgspec.field(default_factory=Placed)
    """Which workloads the nodes said they have."""
    built: Built = msgspec.field(default_factory=Built)
    """Which engines the nodes said they have."""
    benches: Benches = msgspec.field(default_factory=Benches)
    """What the nodes measured of them."""
    rollouts: Rollouts = msgspec.field(default_factory=Rollouts)
    """What this host's journal says of rollouts."""
    snapshots: SnapshotDesk = msgspec.field(default_factory=NoSnapshots)
    """How nodes were, in files of this console."""
    pushes: Pushes = msgspec.field(default_factory=Pushes)
    """What is sent to nodes, whatever screen is shown."""
    inventory: Inventory = msgspec.field(default_factory=Inventory)
    """What fleet.yaml expects of the nodes."""
    shell_command: Callable[[NodeView, str | None], Sequence[str]] | None = None
    """The command for a shell on a node, or in one of its containers; raises ProblemError."""


class Host(Protocol):
    """What a screen asks of the app."""

    paused: bool
    refresh_seconds: float
    typed: list[str]
    """Commands that were typed, newest last."""

    @property
    def bytes_per_second(self) -> float | None:
        """To the terminal; None while that is not shown."""

    def go(self, command: str) -> None:
        """Do what was typed after `:`."""

    def drill(self, command: str) -> None:
        """Open a view on top of this one."""

    def go_back(self) -> bool:
        """Leave the screen; False on the first one."""

    def do(self, action_id: str) -> None:
        """What does not depend on the screen: theme, refresh, pause, help, palette."""
