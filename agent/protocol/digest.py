"""How content is named: by its SHA-256."""

from __future__ import annotations

from typing import Annotated

import msgspec

Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
