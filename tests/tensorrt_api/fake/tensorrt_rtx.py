"""The same toy under the name of TensorRT-RTX, whose record it then has."""

# mypy: ignore-errors

from tensorrt import *  # noqa: F403
from tensorrt import RECORD

__version__ = RECORD["version"]
