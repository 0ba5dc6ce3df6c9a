"""Snapshots on the wire: how a node is, so that it can be compared later, and brought back.

`GET /v1/snapshot` answers a `NodeSnapshot`. Values of secrets are never in it, only their names.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.protocol.deployments import ApplyRequest, GpuWay
from agent.protocol.digest import Digest
from agent.protocol.engines import BuildRequest, Engine
from agent.protocol.images import LoadRequest, NodeImage
from agent.protocol.node import NodeFacts
from agent.protocol.node_files import FileKind
from agent.protocol.workloads import Name, Workload

FORMAT = 1
# What stands where a value was left out.
WITHHELD = "<withheld>"
RESTORE = "snapshot.restore"  # the kind of job


class AppliedWorkload(msgspec.Struct, kw_only=True):
    """A workload as it was last asked for, pins included."""

    name: Name
    release: str = ""
    # None: it cannot be applied again from here; `reason` says why.
    workload: Workload | None = None
    reason: str | None = None
    # Texts of it that read `WITHHELD`: "environment.TOKEN", "command.2".
    withheld: list[str] = []
    # Of what was withheld, and of values of the environment that were told, by place: see
    # `NodeSnapshot.sealed_by`.
    seals: dict[str, str] = {}
    image: Digest | None = None  # the runtime's id of what its container is made from
    config_digest: Digest | None = None
    state: str = ""  # of its container
    gpus: list[str] = []
    gpu_way: GpuWay = "none"
    engine: str | None = None  # the key of the engine that its container has


class RecordedFile(msgspec.Struct, kw_only=True, frozen=True):
    """A model or a release file. `sha256` None: it could not be read."""

    kind: FileKind
    name: str
    size_bytes: int
    sha256: Digest | None = None


class NodeSnapshot(msgspec.Struct, kw_only=True):
    """`GET /v1/snapshot`."""

    format: int = FORMAT
    node: str
    taken_at: float  # Unix seconds, by the node's clock
    facts: NodeFacts
    images: list[NodeImage] = []
    workloads: list[AppliedWorkload] = []
    # Variables that the node has, or once had, a value for, by workload: also of those that are
    # gone. A restore there can do without it.
    remembered: dict[str, list[str]] = {}
    engines: list[Engine] = []
    files: list[RecordedFile] = []
    secrets: list[str] = []  # names
    secret_seals: dict[str, str] = {}  # by name
    # Which key the seals were made with. Those of one key tell whether a value is still the same,
    # and nothing else without the key, which never leaves the node. "": there are none.
    sealed_by: str = ""
    configuration: dict[str, str] = {}  # of agent.yaml, by dotted key
    configuration_seals: dict[str, str] = {}  # of those that are withheld, as other seals
    unknown: dict[str, str] = {}  # what could not be told, and why: "engines"


class RestoreRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`POST /v1/snapshot/restore`: one job that has the node be as a snapshot says.

    The same request finds the job that is under way. What is there already stays as it is.
    """

    snapshot: Digest  # which one it comes from
    name: str = ""  # of its file, for people
    # How it was asked for, beside that: "--remove-others --set web.TOKEN". No values.
    wish: Annotated[str, msgspec.Meta(max_length=8192)] = ""
    load: LoadRequest | None = None
    builds: Annotated[list[BuildRequest], msgspec.Meta(max_length=64)] = []
    applies: Annotated[list[ApplyRequest], msgspec.Meta(max_length=64)] = []
    # These workloads are removed, once the others run.
    removes: list[str] = []

    @property
    def alike(self) -> str:
        """The job's `alike`: the snapshot, and how it was asked for."""
        return f"{self.snapshot} {self.wish}".rstrip()
