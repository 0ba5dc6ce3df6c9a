"""Images on the wire: what a node has, what it would take, and layers on their way."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent.protocol.digest import Digest
from agent.protocol.node_files import FILES_LIMIT, NodeFile, PlannedFile
from agent.protocol.problems import Problem
from agent.protocol.signatures import SignedManifest

# Docker's own limit on a manifest is 4 MiB; a config with a long history is some 100 KB.
CONFIG_LIMIT_BYTES = 4 * 1024 * 1024
LAYERS_LIMIT = 512  # overlay2 takes 128, the containerd store more
# How a line of a load's log begins that says what was removed for it.
MADE_ROOM = "made room: "
STAGING_REPOSITORY = "roost.local/staging"  # the name an image has until it is verified


class NodeImage(msgspec.Struct, kw_only=True):
    """An image that a node's runtime has.

    `id` is the runtime's own: the config's digest on the graphdriver store and on Podman, the
    manifest's on the containerd store. Across nodes an image is its `diff_ids` and, where it is
    known, its `config_digest`.
    """

    id: Digest
    config_digest: Digest | None = None
    diff_ids: list[Digest]  # bottom first
    tags: list[str] = []
    size_bytes: int
    created_at: float | None = None
    tagged_at: float | None = None  # when a name was last given to it here; None: not told
    os: str = "linux"
    architecture: str = ""
    variant: str = ""
    containers: list[str] = []  # names of those made from it
    protected: str | None = None  # why it may not be removed to make room


class Layer(msgspec.Struct, kw_only=True, frozen=True):
    """One layer: `size_bytes` is that of the uncompressed tar whose SHA-256 is `diff_id`."""

    diff_id: Digest
    size_bytes: Annotated[int, msgspec.Meta(ge=0)]


class ImageContent(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One image as it shall be on the node."""

    config: bytes  # exactly as in the archive: its SHA-256 is the config digest
    layers: Annotated[list[Layer], msgspec.Meta(max_length=LAYERS_LIMIT)]  # bottom first
    tags: list[str] = []


class LoadRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`POST /v1/images/plan` answers a `LoadPlan`; `POST /v1/images/load` begins the job.

    One without images and files has nothing to do.
    """

    images: Annotated[list[ImageContent], msgspec.Meta(max_length=64)] = []
    # Models and release files that go with the images; they are placed after those are loaded.
    files: Annotated[list[NodeFile], msgspec.Meta(max_length=FILES_LIMIT)] = []
    source: str = ""  # for people: the archive's name
    signed: Annotated[list[SignedManifest], msgspec.Meta(max_length=64)] = []  # who vouches
    # Images may be removed for it, of those that Roost loaded and nothing uses. It makes no other
    # job of it: once anybody has said so, it holds for the job that has these images.
    make_room: bool = False


class WantedLayer(msgspec.Struct, kw_only=True):
    """A layer that the node lacks, and how much of it lies there already."""

    diff_id: Digest
    size_bytes: int
    upload: str | None = None  # the id of an upload that was begun
    encoder: str | None = None  # of that upload
    received_bytes: int = 0  # encoded


class PlannedImage(msgspec.Struct, kw_only=True):
    tags: list[str]
    config_digest: Digest
    state: Literal["present", "retag", "load"]  # retag: there, under other tags
    replaces: dict[str, str] = {}  # tag: the id of the image that has it now


class SpaceNeed(msgspec.Struct, kw_only=True):
    """Space on one filesystem of the node."""

    path: str
    # "blobs", "files" (models), "runtime", "temporary" (the runtime's, while it loads)
    purposes: list[str]
    needed_bytes: int
    free_bytes: int  # what other jobs have reserved, and a spare, are taken off
    reserved_bytes: int = 0  # by other jobs
    spare_bytes: int = 0  # stay free whatever comes


class Freeable(msgspec.Struct, kw_only=True):
    """Something that would be removed to make room, oldest first."""

    kind: Literal["blob", "upload", "image"]  # upload: a layer of which only a part has come
    name: str  # the diff_id of a layer; a tag or id of an image
    size_bytes: int


class LoadPlan(msgspec.Struct, kw_only=True):
    """What a load would do. Nothing has changed yet."""

    images: list[PlannedImage]
    files: list[PlannedFile] = []
    wanted: list[WantedLayer]  # to send, bottom first; a file is one by its SHA-256
    space: list[SpaceNeed]
    frees: list[Freeable] = []  # layers go unasked, also partial ones, images with `make_room`
    problems: list[Problem] = []  # why it would be refused

    @property
    def is_there(self) -> bool:
        """Whether a load would change nothing."""
        states = [*(image.state for image in self.images), *(each.state for each in self.files)]
        return all(state == "present" for state in states)


class RemoveRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/images/remove`: by tag, id, or start of an id. Never one that is in use."""

    images: Annotated[list[str], msgspec.Meta(min_length=1, max_length=256)]


class TagRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/images/tag`."""

    image: str
    tag: str


class ImportRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`POST /v1/images/import`: load an archive that lies on the node."""

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]  # absolute
    make_room: bool = False  # as that of a load


class FoundArchive(msgspec.Struct, kw_only=True):
    """A file that looks like an archive by its name."""

    path: str
    size_bytes: int
    modified_at: float


class Medium(msgspec.Struct, kw_only=True):
    """A place where archives arrive: a USB stick, a share."""

    path: str  # where it is mounted
    device: str
    filesystem: str
    removable: bool
    free_bytes: int | None = None
    archives: list[FoundArchive] = []
    reason: str | None = None  # why it could not be looked through
