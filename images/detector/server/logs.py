"""Log lines: one JSON object each, with the fields that the metrics have, too."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO


class JsonLines(logging.Formatter):
    """`fields` are in every line; they may change as the model does."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            **self._fields,
            # Last, for who shows a container's last words shows the end of them.
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def start_logging(fields: Mapping[str, Any], stream: TextIO = sys.stdout) -> logging.Logger:
    """The server's logger; uvicorn's lines come the same way, its warnings alone."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(fields))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("uvicorn.access").disabled = True
    # Nor that it listens, which may come behind why there is no model: the last words of many.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return logging.getLogger("detector")
