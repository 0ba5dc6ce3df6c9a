"""A KServe client with tensors in shared memory: python shared_memory_requests.py HOST:PORT.

Run by itself, with tritonclient. Prints as JSON what came of it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.http as client
from tritonclient.utils import InferenceServerException, shared_memory

OUTPUT_BYTES = 2 * 7 * 64 * 4


def main() -> None:
    server = client.InferenceServerClient(sys.argv[1])
    images = np.full((2, 3, 64, 64), 0.45, np.float32)
    images[1, :, 16:32, 16:32] = [[[1.0]], [[0.0]], [[0.0]]]
    size = images.nbytes + OUTPUT_BYTES
    handle = shared_memory.create_shared_memory_region("frames", "/roost-test", size)
    try:
        shared_memory.set_shared_memory_region(handle, [images])
        told: dict[str, Any] = {
            "server": server.get_server_metadata(),
            "not_ours": _said(lambda: _register(server, size)),
        }
        # The server is another user.
        Path("/dev/shm/roost-test").chmod(0o666)
        told["longer"] = _said(lambda: _register(server, size + 1))
        _register(server, size)
        told["twice"] = _said(lambda: _register(server, size))
        told["other"] = _said(lambda: server.register_system_shared_memory("b", "/roost-test", 8))
        told["status"] = server.get_system_shared_memory_status()
        answer = _infer(server, images.shape, images.nbytes)
        told["answer"] = answer.get_response()
        output = shared_memory.get_contents_as_numpy(
            handle, np.float32, [2, 7, 64], offset=images.nbytes
        )
        told["red"] = [int((image[4] > 0.9).sum()) for image in output]
        in_body = client.InferInput("images", list(images.shape), "FP32")
        in_body.set_data_from_numpy(images)
        told["same"] = bool(
            np.array_equal(server.infer("detector", [in_body]).as_numpy("output0"), output)
        )
        told["wrong_size"] = _said(lambda: _infer(server, images.shape, images.nbytes - 4))
        # Whoever has mapped it would end with SIGBUS: this client has, the server has not.
        os.truncate("/dev/shm/roost-test", 4096)
        told["cut_off"] = _said(lambda: _infer(server, images.shape, images.nbytes))
        told["live"] = server.is_server_live()
        server.unregister_system_shared_memory("frames")
        told["gone"] = _said(lambda: _infer(server, images.shape, images.nbytes))
        told["left"] = server.get_system_shared_memory_status()
    finally:
        shared_memory.destroy_shared_memory_region(handle)
    json.dump(told, sys.stdout)


def _register(server: Any, size: int) -> None:
    server.register_system_shared_memory("frames", "/roost-test", size)


def _infer(server: Any, shape: tuple[int, ...], size: int) -> Any:
    given = client.InferInput("images", list(shape), "FP32")
    given.set_shared_memory("frames", size)
    wanted = client.InferRequestedOutput("output0")
    wanted.set_shared_memory("frames", OUTPUT_BYTES, offset=2 * 3 * 64 * 64 * 4)
    return server.infer("detector", [given], outputs=[wanted])


def _said(ask: Any) -> str:
    try:
        return str(ask())
    except InferenceServerException as error:
        return f"{error.status()}: {error.message()}"


if __name__ == "__main__":
    main()
