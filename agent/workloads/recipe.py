"""What a container is made from, as the runtime's API takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Json = Mapping[str, Any]

# Labels of all that Roost makes.
WORKLOAD, DEPLOYMENT = "roost.workload", "roost.deployment"
# A network that is another workload's; which container that is shows when one is made.
SHARED = "service:"
CONTAINER = "container:"
NO_RESTART: Json = {"Name": "no", "MaximumRetryCount": 0}


class Recipe(msgspec.Struct, kw_only=True, frozen=True):
    """All that it takes to make a container again, without a registry and without a tag.

    `body` is that of `POST /containers/create`, without `NetworkingConfig`: `networks` has the
    endpoint settings by name. `restart` is the policy that the container has once it is stable;
    while it is not, it has none.
    """

    image: str  # the runtime's own id, so that no tag that moves changes what runs
    reference: str = ""  # the name that it was asked for by, shown as long as it is that image's
    config_digest: str | None = None
    body: dict[str, Any]
    networks: dict[str, dict[str, Any]] = {}
    restart: dict[str, Any] = msgspec.field(default_factory=lambda: dict(NO_RESTART))
    makes_networks: dict[str, dict[str, Any]] = {}  # to make where they lack
    folders: list[str] = []  # of binds, to make where they lack

    @property
    def network_mode(self) -> str:
        """As the runtime takes it, or "service:NAME"; "": its own choice."""
        return str((self.body.get("HostConfig") or {}).get("NetworkMode") or "")

    @property
    def network_of(self) -> str | None:
        """The workload whose container's network this one is in."""
        mode = self.network_mode
        return mode.removeprefix(SHARED) if mode.startswith(SHARED) else None

    def sharing(self, mode: str) -> Recipe:
        """In the network of "container:ID" or "service:NAME", which has its own name."""
        host = {**(self.body.get("HostConfig") or {}), "NetworkMode": mode}
        return msgspec.structs.replace(self, body={**self.body, "HostConfig": host})

    def made_for(self, workload: str, deployment: str, *, image: str) -> dict[str, Any]:
        """The body of a candidate: labelled, and it does not come up by itself."""
        labels = {
            **(self.body.get("Labels") or {}),
            WORKLOAD: workload,
            DEPLOYMENT: deployment,
        }
        host = {**(self.body.get("HostConfig") or {}), "RestartPolicy": dict(NO_RESTART)}
        return {**self.body, "Image": image, "Labels": labels, "HostConfig": host}
