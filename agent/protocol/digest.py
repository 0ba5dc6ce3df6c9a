"""How content is named: by its SHA-256."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.protocol.patterns import whole

Digest = Annotated[str, msgspec.Meta(pattern=whole(r"sha256:[0-9a-f]{64}"))]
