"""`python3 -m detector_server.health`: 0 if the server is ready, for the image's HEALTHCHECK."""

from __future__ import annotations

import http.client
import os
import sys
from http import HTTPStatus

SECONDS = 2.5


def main() -> int:
    """What /readyz says goes to the container's health log."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(os.environ.get("DETECTOR_PORT") or 8080), timeout=SECONDS
    )
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read(1000).decode(errors="replace")
    except OSError as error:
        sys.stdout.write(f"no answer: {error}\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(f"{said}\n")
    return 0 if answer.status == HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
