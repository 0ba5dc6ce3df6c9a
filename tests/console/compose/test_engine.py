"""`x-roost.engine` of a service."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.compose.compose_file import NodeValues, parse_compose, workloads_for_each

FILE = """\
name: plant
x-profiles: &sizes
  - images: {{min: [1, 3, 64, 64], opt: [4, 3, 64, 64], max: [8, 3, 64, 64]}}
services:
  detector:
    image: edge/detector:2
    x-roost:
      engine:
        onnx: /srv/models/${{MODEL}}.onnx
        profiles: *sizes
        {more}
  other: {{image: a:1}}
"""


def read(more: str, *models: str) -> list[tuple[list[str], object]]:
    file = parse_compose(FILE.format(more=more), path=Path("/srv/app.yaml"))
    nodes = [NodeValues(f"n{number}", {"MODEL": name}) for number, name in enumerate(models)]
    return [
        (
            [f"{problem.place}: {problem.what}" for problem in found.problems],
            dict(found.engines),
        )
        for found in workloads_for_each(file, nodes)
    ]


def test_what_it_leaves_out_is_the_services(tmp_path: Path) -> None:
    more = "timing_cache: false\n        workspace_bytes: 1048576\n        timeout_seconds: 90.5"
    (problems, first), (_, second) = read(more, "yolo", "yolo-2")
    assert problems == []
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert list(first) == ["detector"]
    recipe = first["detector"]
    assert (recipe.model, recipe.image, recipe.executor) == (
        "detector",
        "edge/detector:2",
        "container",
    )
    assert (recipe.onnx, recipe.timing_cache) == ("/srv/models/yolo.onnx", False)
    assert (recipe.workspace_bytes, recipe.timeout_seconds) == (1048576, 90.5)
    assert recipe.profiles[0]["images"].max == [8, 3, 64, 64]
    assert second["detector"].onnx == "/srv/models/yolo-2.onnx"


def test_its_own_words_go_before() -> None:
    [(problems, found)] = read("executor: host\n        model: yolo", "a")
    assert problems == []
    assert isinstance(found, dict)
    recipe = found["detector"]
    assert (recipe.model, recipe.executor, recipe.image) == ("yolo", "host", None)


def test_the_workload_gets_it_as_it_is_built() -> None:
    text = FILE.format(more="required: false")
    file = parse_compose(text, path=Path("/srv/app.yaml"))
    [found] = workloads_for_each(file, [NodeValues("n", {"MODEL": "a"})])
    uses = {workload.name: workload.engine for workload in found.workloads}
    detector = uses["detector"]
    assert uses["other"] is None
    assert detector is not None
    assert (detector.model, detector.required) == ("detector", False)
    assert detector.recipe == found.engines["detector"]


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("{precision: fp16}", "required field `onnx`"),
        ("{required: maybe}", "maybe"),
        ("{modell: a}", "unknown key 'modell'"),
    ],
)
def test_one_without_a_model_builds_nothing(engine: str, words: str) -> None:
    text = f"name: plant\nservices:\n  detector: {{image: a:1, x-roost: {{engine: {engine}}}}}\n"
    [found] = workloads_for_each(parse_compose(text, path=Path("/app.yaml")), [NodeValues("n", {})])
    assert [words in problem.what for problem in found.problems if problem.level == "error"] == [
        True
    ]
    plain = text.replace(engine, "{model: yolo}")
    [found] = workloads_for_each(
        parse_compose(plain, path=Path("/app.yaml")), [NodeValues("n", {})]
    )
    assert dict(found.engines) == {}
    [workload] = found.workloads
    assert workload.engine is not None
    assert (workload.engine.model, workload.engine.recipe) == ("yolo", None)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("precison: fp16", "unknown key 'precison' in services.detector.x-roost.engine"),
        ("precision: fp17", "does not fit: Invalid enum value 'fp17'"),
        ("compute_capabilities: [8.6]", "Expected `str`, got `float`"),
        ("compute_capabilities: ['86']", "'86' is no compute capability"),
        ("optimization_level: 7", "Expected `int` <= 5"),
    ],
)
def test_what_is_wrong_is_named(more: str, words: str) -> None:
    [([problem], found)] = read(more, "a")
    assert words in problem
    assert found == {}
