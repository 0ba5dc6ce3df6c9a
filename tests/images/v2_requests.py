"""What a KServe client sees: run by itself, with tritonclient: python v2_requests.py HOST:PORT.

Prints as JSON what the server said of itself, and the outcome of each way to ask.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
import tritonclient.http as client
import tritonclient.http.aio as asyncio_client
from tritonclient.utils import InferenceServerException


def main() -> None:
    server = client.InferenceServerClient(sys.argv[1])
    images = np.full((2, 3, 64, 64), 0.45, np.float32)
    images[1, :, 16:32, 16:32] = [[[1.0]], [[0.0]], [[0.0]]]
    told: dict[str, Any] = {
        "live": server.is_server_live(),
        "ready": server.is_server_ready(),
        "model_ready": server.is_model_ready("detector"),
        "other_ready": _said(lambda: server.is_model_ready("other")),
        "server": server.get_server_metadata(),
        "model": server.get_model_metadata("detector"),
    }
    for binary in (True, False):
        given = client.InferInput("images", list(images.shape), "FP32")
        given.set_data_from_numpy(images, binary_data=binary)
        wanted = client.InferRequestedOutput("output0", binary_data=binary)
        answer = server.infer("detector", [given], outputs=[wanted], request_id="seven")
        output = answer.as_numpy("output0")
        told["binary" if binary else "json"] = {
            "shape": output.shape,
            "red": [int((image[4] > 0.9).sum()) for image in output],
            "id": answer.get_response()["id"],
        }
    for packing in ("gzip", "deflate"):
        given.set_data_from_numpy(images, binary_data=packing == "gzip")
        answer = server.infer("detector", [given], request_compression_algorithm=packing)
        told[packing] = answer.as_numpy("output0").shape
    told["beside_each_other"] = asyncio.run(_at_once(given))
    sorted_out = client.InferRequestedOutput("output0", class_count=2)
    told["classes"] = _said(lambda: server.infer("detector", [given], outputs=[sorted_out]))
    told["configuration"] = _said(lambda: server.get_model_config("detector"))
    told["wrong_shape"] = _said(lambda: _infer(server, np.zeros((1, 3, 32, 32), np.float32)))
    told["wrong_type"] = _said(lambda: _infer(server, np.zeros((1, 3, 64, 64), np.int32)))
    told["wrong_name"] = _said(lambda: _infer(server, images, name="pictures"))
    told["wrong_model"] = _said(lambda: _infer(server, images, model="other"))
    json.dump(told, sys.stdout)


def _infer(server: Any, images: Any, *, name: str = "images", model: str = "detector") -> Any:
    given = client.InferInput(name, list(images.shape), _TYPES[images.dtype.name])
    given.set_data_from_numpy(images)
    return server.infer(model, [given])


async def _at_once(given: Any) -> list[list[int]]:
    async with asyncio_client.InferenceServerClient(sys.argv[1]) as server:
        asked = (server.infer("detector", [given]) for _ in range(20))
        return [list(each.as_numpy("output0").shape) for each in await asyncio.gather(*asked)]


_TYPES = {"float32": "FP32", "int32": "INT32"}


def _said(ask: Any) -> str:
    try:
        return str(ask())
    except InferenceServerException as error:
        return f"{error.status()}: {error.message()}"


if __name__ == "__main__":
    main()
