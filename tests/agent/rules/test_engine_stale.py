"""What makes an engine stale, and what may become current."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.protocol.engine_figures import EngineCheck
from agent.protocol.engines import EngineManifest, Validation
from agent.protocol.gpus import Gpu
from agent.rules.engine_stale import Now, stale_reasons, tried_under, why_not_good
from tests.agent.engines.engine_side import recipe
from tests.agent.engines.test_store import A, manifest

A10 = Gpu(uuid="a", index=0, name="A10", compute_capability="8.6", memory_total_bytes=24 * 2**30)
NOW = Now(gpus=[A10], driver_version="580.95.05", l4t="36.4", tensorrt="tensorrt 10.13.2.6")


def built(**parts: Any) -> EngineManifest:
    """On the A10, with the TensorRT and the driver of NOW."""
    made = manifest(A)
    given = {
        "gpu": "A10",
        "compute_capability": "8.6",
        "gpu_memory_bytes": 24 * 2**30,
        **parts,
    }
    changed = msgspec.structs.replace(made.parts, **given)
    return msgspec.structs.replace(
        made, parts=changed, verification="ran", driver_version="580.95.05"
    )


def now(**changes: Any) -> Now:
    return msgspec.structs.replace(NOW, **changes)


def tried_on(capability: str, made: EngineManifest) -> EngineManifest:
    check = EngineCheck(state="ran", driver_version="580.95.05", compute_capability=capability)
    return msgspec.structs.replace(made, check=check)


T4 = Gpu(uuid="t", index=0, name="Tesla T4", compute_capability="7.5")
L4 = Gpu(uuid="l", index=0, name="L4", compute_capability="8.9")
# Of TensorRT-RTX, which builds without a GPU.
GENERAL = built(gpu=None, recipe=recipe(Path("/m.onnx"), compute_capabilities=[]))
BOTH = built(gpu=None, recipe=recipe(Path("/m.onnx"), compute_capabilities=["8.6", "8.9"]))
IMPORTED = built(gpu=None, recipe=None)


@pytest.mark.parametrize(
    ("made", "here", "told"),
    [
        (built(), NOW, []),
        (built(), now(driver_version="590.1"), [("driver", False)]),
        (built(), now(driver_version="580.95.06"), [("driver", False)]),
        (built(), now(driver_version=None, tensorrt=None), []),
        (built(), now(tensorrt="tensorrt 10.13.3.9"), [("tensorrt", True)]),
        (built(), now(tensorrt="tensorrt_rtx 10.13.2.6"), [("tensorrt", True)]),
        (built(), now(gpus=[]), [("gpu", True)]),
        (built(gpu="Tesla T4", compute_capability="7.5"), NOW, [("gpu", True)]),
        (built(gpu_memory_bytes=12 * 2**30), NOW, [("gpu", True)]),
        (built(l4t="36.3"), NOW, [("driver", True)]),
        (built(l4t="36.4"), NOW, []),
        (built(power_mode="2: 15W"), now(power_mode="0: MAXN"), [("power_mode", True)]),
        (built(power_mode="2: 15W"), now(power_mode="2: 15W"), []),
        (built(image="sha256:a"), now(tensorrt="another", image="sha256:a"), []),
        (built(image="sha256:a"), now(image="sha256:b"), [("image", True)]),
        (built(image="sha256:a"), now(image_gone=True), [("image", True)]),
        (built(image="sha256:a"), NOW, []),
        (built(), now(changed_files=["/m.onnx"]), [("model", True)]),
        (built(gpu=None, recipe=recipe(Path("/m.onnx"))), NOW, []),
        (
            built(gpu=None, recipe=recipe(Path("/m.onnx"), compute_capabilities=["8.9"])),
            NOW,
            [("gpu", True)],
        ),
        (GENERAL, NOW, []),
        (GENERAL, now(gpus=[T4]), [("gpu", True)]),
        (GENERAL, now(gpus=[T4, A10]), []),
        (tried_on("8.6", GENERAL), NOW, []),
        (tried_on("8.6", GENERAL), now(gpus=[L4]), [("gpu", False)]),
        (tried_on("8.6", GENERAL), now(gpus=[]), []),
        (tried_on("8.6", BOTH), now(gpus=[L4]), [("gpu", False)]),
        (tried_on("8.6", IMPORTED), now(gpus=[T4]), [("gpu", False)]),
        (BOTH, now(gpus=[L4]), []),  # it was not tried anywhere
    ],
)
def test_each_reason(made: EngineManifest, here: Now, told: list[tuple[str, bool]]) -> None:
    assert [(each.what, each.rebuild) for each in stale_reasons(made, here)] == told


def test_the_driver_that_counts_is_that_of_the_last_check() -> None:
    made = built()
    assert tried_under(made) == "580.95.05"
    made.check = EngineCheck(state="ran", driver_version="590.1")
    assert tried_under(made) == "590.1"
    assert stale_reasons(made, now(driver_version="590.1")) == []
    made.verification = "header"
    assert tried_under(made) is None


def test_an_import_is_compared_with_what_tried_it() -> None:
    """Not with what built it, of which its plan or its manifest tells."""
    host = EngineCheck(state="ran", driver_version="580.95.05", tensorrt=NOW.tensorrt)
    made = msgspec.structs.replace(
        built(tensorrt="8.6.1.6", image="sha256:elsewhere"), imported="/stick/a.plan", check=host
    )
    assert stale_reasons(made, NOW) == []
    [other] = stale_reasons(made, now(tensorrt="tensorrt 10.14.0"))
    assert (other.what, other.text) == (
        "tensorrt",
        "tensorrt 10.13.2.6 then, tensorrt 10.14.0 now",
    )
    inside = msgspec.structs.replace(host, tensorrt="tensorrt 10.3.0", image="sha256:a")
    made = msgspec.structs.replace(made, check=inside, image_name="edge/detector:1")
    assert stale_reasons(made, now(image="sha256:a")) == []
    [other] = stale_reasons(made, now(image="sha256:b"))
    assert (other.what, other.text) == ("image", "image sha256:a then, sha256:b now")
    [gone] = stale_reasons(made, now(image_gone=True))
    assert gone.text == "the image edge/detector:1 is not here any more"
    made.check = msgspec.structs.replace(host, tensorrt=None)  # as older agents wrote it
    assert [each.what for each in stale_reasons(made, now(image="sha256:b"))] == ["image"]


def test_what_may_become_current() -> None:
    made = built()
    assert why_not_good(made) is None
    made.verification, made.verification_reason = "deserialised", "no inputs"
    assert why_not_good(made) == (
        "it was loaded, and did not run: no inputs (validation: {iterations: 0} in its recipe takes"
        " being loaded for enough)"
    )
    made.verification = "header"
    assert why_not_good(made) == "it was not tried: no inputs"
    asked = recipe(Path("/m.onnx"))
    asked.validation = Validation(iterations=0)
    loaded = built(recipe=asked)
    loaded.verification = "deserialised"
    assert why_not_good(loaded) is None
