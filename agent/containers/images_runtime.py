"""What the rest of the agent needs of a container runtime for images."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from typing import Protocol

from agent.containers.images_results import ImageRemoval, ImageUsage, LoadedImages
from agent.protocol.compatibility import ImageNeeds
from agent.protocol.image_builds import BuildImageRequest
from agent.protocol.images import NodeImage
from agent.protocol.packages import PackageList


class ImageRuntime(Protocol):
    """The images of a container runtime.

    An image is named by a tag in its short or full form, its id or an unambiguous start of it, or
    its config digest where that is known. All methods raise `runtime.*`, and those that take a
    name `image.not_found` and `image.ambiguous`.
    """

    async def images(self) -> list[NodeImage]:
        """The images, those with tags first, and which containers were made from each.

        What does not change for an id is asked once, so this is cheap enough for every plan.
        `protected` is for others to fill in.
        """

    async def image(self, reference: str) -> NodeImage: ...

    async def load_image(
        self,
        chunks: AsyncIterator[bytes] | Iterator[bytes],
        *,
        size_bytes: int | None = None,
        platform: tuple[str, str, str] | None = None,
    ) -> LoadedImages:
        """Stream an archive, a plain tar, into the runtime. Tags in it move at once.

        Memory stays at one chunk. A plain iterator is read in a thread. Cancelling cuts the
        connection; one that had the whole archive already may still load it. There is no deadline
        here: the caller has one.

        Args:
            size_bytes: how long the archive is, where it is known: another length is a failure.
            platform: os, architecture and variant: where the runtime can, it refuses an image
                of which content is missing (Docker's containerd store from API 1.48). Its tag
                has moved nevertheless.

        Raises:
            ProblemError: `image.load_failed` with the runtime's words, `space.full`,
                `runtime.unreachable` when it died or closed the connection without a word.
                What `chunks` raises comes out as it is.
        """

    async def build_image(
        self,
        chunks: AsyncIterator[bytes] | Iterator[bytes],
        request: BuildImageRequest,
        told: Callable[[str], None],
    ) -> str:
        """Build an image of a context, a plain tar, with the runtime's builder; its id.

        There is no deadline here, and cancelling cuts the connection, as in `load_image`.

        Args:
            told: hears each line that the builder says.

        Raises:
            ProblemError: `image.build_failed` with the builder's words, `space.full`,
                `runtime.unreachable`. What `chunks` raises comes out as it is.
        """

    def save_images(self, references: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """These images as one archive that `load_image` takes, each layer once, in pieces.

        The first piece is empty and comes as soon as the runtime agreed: what is wrong with the
        request is raised before it. Close the generator to end the stream. On Docker's containerd
        store an archive may lack layers; whoever reads it sees that.

        Raises:
            ProblemError: `image.export_simulated`.
        """

    async def check_image(
        self, reference: str, *, diff_ids: Sequence[str] | None = None
    ) -> NodeImage:
        """The image, if it has these layers and a container can be made from it.

        None is started. This finds the image that a failed load left behind with its tag moved.

        Raises:
            ProblemError: `image.broken`, `space.full` where it could not be unpacked.
        """

    async def image_needs(self, reference: str, *, inside: bool = False) -> ImageNeeds:
        """What the image says it needs to run; kept by its id.

        Args:
            inside: look at its files, too, through a container that is made from it, never
                started, and removed again.

        Raises:
            ProblemError: only about the image's name and its config; that nobody could look
                inside is told in the answer.
        """

    async def image_packages(
        self, reference: str, heard: Callable[[int, int], None]
    ) -> PackageList:
        """The packages that the image's own databases name. All its files are read once.

        Through a container that is made from it, never started, and removed again. Cancelling
        ends the reading.

        Args:
            heard: told of bytes, done and in all, from another thread; the whole is a guess.

        Raises:
            ProblemError: `image.no_layers` where it is simulated.
        """

    async def tag_image(self, reference: str, tag: str) -> NodeImage:
        """Give an image a tag, taken away from whichever had it; read back.

        Raises:
            ProblemError: `image.reference`, the tag can be none.
        """

    async def untag_image(self, tag: str) -> None:
        """Take a tag away from an image that has others.

        Raises:
            ProblemError: `image.last_tag`, the runtime would remove the image.
        """

    async def remove_image(self, reference: str) -> ImageRemoval:
        """By a tag of several: only the tag. Else the image with all its tags, never by force.

        Raises:
            ProblemError: `image.in_use` with the containers' names; nothing has changed.
        """

    async def image_usage(self) -> ImageUsage:
        """Disk that all images take, and what each alone would free. Slow: seconds."""
