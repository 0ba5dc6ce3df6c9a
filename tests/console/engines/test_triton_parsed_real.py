"""What Triton is told of an engine, read by protobuf's own parser of Triton's own message."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pytest

from agent.protocol.engines import Dla, Engine
from console.engines.triton_config import triton_config
from tests.console.engines.triton_made import made, ranges, tensor
from tests.real import roots

pytestmark = [pytest.mark.real("triton_config"), pytest.mark.runtimes]


def parsed(engine: Engine, **asked: Any) -> Any:
    """By the class that tritonclient has of Triton's model_config.proto."""
    text_format: Any = importlib.import_module("google.protobuf.text_format")
    (path,) = roots.folder("detector-client").glob(
        "lib/python3*/site-packages/tritonclient/grpc/model_config_pb2.py"
    )
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return text_format.Parse(triton_config(engine, **asked).text, module.ModelConfig())


def test_triton_reads_a_model_that_batches() -> None:
    config = parsed(made())
    assert (config.name, config.platform, config.backend) == (
        *("detector", "tensorrt_plan", "tensorrt"),
    )
    assert config.max_batch_size == 16
    assert [(each.name, each.data_type, list(each.dims)) for each in config.input] == [
        ("images", type_of(config, "TYPE_FP32"), [3, 640, 640])
    ]
    assert list(config.output[0].dims) == [84, 8400]
    # Half of the 11.42 ms that a run of 8 took.
    assert list(config.dynamic_batching.preferred_batch_size) == [8]
    assert config.dynamic_batching.max_queue_delay_microseconds == 5710
    assert config.version_policy.latest.num_versions == 1
    assert len(config.instance_group) == 0
    asked = parsed(made(), delay_us=20)
    assert asked.dynamic_batching.max_queue_delay_microseconds == 20


def test_triton_reads_every_type_and_name() -> None:
    types = ["float", "half", "bf16", "int8", "uint8", "int32", "int64", "bool"]
    inputs = [tensor(f'in "{n}"\\\né', [-1, 4], kind) for n, kind in enumerate(types)]
    profile = {each["name"]: [[1, 4], [1, 4], [4, 4]] for each in inputs}
    config = parsed(made(inputs, [tensor("of the batch alone", [-1])], [profile]))
    names = [each.name for each in type_descriptor(config).values]
    told = [names[each.data_type] for each in config.input]
    assert told == [
        *("TYPE_FP32", "TYPE_FP16", "TYPE_BF16", "TYPE_INT8"),
        *("TYPE_UINT8", "TYPE_INT32", "TYPE_INT64", "TYPE_BOOL"),
    ]
    assert config.input[1].name == inputs[1]["name"]
    assert list(config.output[0].dims) == [1]
    assert config.output[0].HasField("reshape")
    assert list(config.output[0].reshape.shape) == []
    # Tuned for one item: no size is better than another one.
    assert list(config.dynamic_batching.preferred_batch_size) == []
    assert config.max_batch_size == 4


def test_triton_reads_several_profiles() -> None:
    profiles = [{"images": ranges(1, 1, 4)}, {"images": ranges(4, 16, 32)}]
    config = parsed(made(profiles=profiles))
    assert config.max_batch_size == 32
    (group,) = config.instance_group
    assert (list(group.profile), group.kind) == (["0", "1"], type(group).KIND_GPU)
    assert list(config.dynamic_batching.preferred_batch_size) == [16]
    # Of larger images there may be two at most, and Triton has one limit for all.
    other = [{"images": ranges(1, 8, 16)}, {"images": ranges(1, 2, 2, size=1280)}]
    several = made([tensor("images", [-1, 3, -1, -1])], profiles=other)
    assert parsed(several).max_batch_size == 2


def test_triton_reads_which_dla() -> None:
    engine = made()
    assert engine.manifest.parts.recipe is not None
    engine.manifest.parts.recipe.dla = Dla(core=1)
    (group,) = parsed(engine).instance_group
    (device,) = group.secondary_devices
    assert (device.kind, device.device_id) == (type(device).KIND_NVDLA, 1)


def test_triton_reads_a_model_that_does_not_batch() -> None:
    fixed = [8, 3, 640, 640]
    config = parsed(made([tensor("images", fixed)], [tensor("boxes", [8, 84])]))
    assert (config.max_batch_size, list(config.input[0].dims)) == (0, fixed)
    assert not config.HasField("dynamic_batching")


def type_descriptor(config: Any) -> Any:
    return type(config.input[0]).DESCRIPTOR.fields_by_name["data_type"].enum_type


def type_of(config: Any, name: str) -> int:
    number: int = type_descriptor(config).values_by_name[name].number
    return number
