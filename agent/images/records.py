"""What the agent remembers of images: which ones it loaded, and which a tag named before."""

from __future__ import annotations

import time
from collections.abc import Collection

import msgspec

from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError
from agent.rules.loading import is_staged
from agent.store.database import Database


class ImageRecords:
    """Blocks on the database; for threads.

    Only what Roost loaded is ever removed to make room; and the containerd store does not say
    which config an image has, so that is remembered when it was loaded.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def loaded(self, image_id: str, config_digest: str) -> None:
        """Roost loaded this image and has verified it."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO loaded_images (id, config_digest, at) VALUES (?, ?, ?)",
                (image_id, config_digest, time.time()),
            )

    def moved(self, tag: str, before: str) -> None:
        """Roost takes `tag` away from the image `before`, which is now the previous release."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO moved_tags (tag, image, at) VALUES (?, ?, ?)",
                (tag, before, time.time()),
            )

    def told(self, images: Collection[NodeImage]) -> list[NodeImage]:
        """The images with what is known here filled in: config digests, and what is protected.

        Where the database cannot be read, all are protected, and it says so.
        """
        try:
            configs, previous = self._remembered()
        except ProblemError as problem:
            unknown = f"what Roost loaded is not known: {problem.title}"
            return [msgspec.structs.replace(image, protected=unknown) for image in images]
        return [
            msgspec.structs.replace(
                image,
                config_digest=image.config_digest or configs.get(image.id),
                protected=_protected(image, loaded=image.id in configs, previous=previous),
            )
            for image in images
        ]

    def _remembered(self) -> tuple[dict[str, str], dict[str, str]]:
        """Config digests by image, and tags by the image that had them before."""
        if self._database.untouched:
            return {}, {}
        rows = self._database.rows("SELECT id, config_digest FROM loaded_images")
        configs = {row["id"]: row["config_digest"] for row in rows}
        rows = self._database.rows("SELECT tag, image FROM moved_tags")
        return configs, {row["image"]: row["tag"] for row in rows}

    def loaded_at(self) -> dict[str, float]:
        """When Roost loaded each image, by id: Unix seconds of the node's clock."""
        if self._database.untouched:
            return {}
        rows = self._database.rows("SELECT id, at FROM loaded_images")
        return {row["id"]: row["at"] for row in rows}

    def known(self) -> set[str]:
        """The ids of all images of which something is remembered."""
        if self._database.untouched:
            return set()
        rows = self._database.rows(
            "SELECT id FROM loaded_images UNION SELECT image FROM moved_tags"
        )
        return {row["id"] for row in rows}

    def forget(self, gone: Collection[str]) -> None:
        """Drop what is remembered of these: should one come back, Roost did not load it."""
        if not gone:
            return
        names = [(name,) for name in gone]
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM loaded_images WHERE id = ?", names)
            connection.executemany("DELETE FROM moved_tags WHERE image = ?", names)


def _protected(image: NodeImage, *, loaded: bool, previous: dict[str, str]) -> str | None:
    if image.containers:
        return f"used by {', '.join(image.containers[:3])}"
    if image.id in previous:
        return f"{previous[image.id]} before the last push"
    if is_staged(image):
        return "being loaded"
    return None if loaded else "not loaded by Roost"
