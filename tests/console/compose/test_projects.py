"""Whole files in the shape of well-known projects, and the workloads that they are for a node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from console.compose.compose_file import NodeValues, read_compose, workloads_for

DATA = Path(__file__).parents[2] / "data" / "compose"
NODE = {"ROOST_NODE": "cam-7", "ROOST_LABEL_SITE": "plant-7"}
PROJECTS: dict[str, dict[str, str]] = {
    "nvr": {"CAMERAS": "gate,yard", "CAMERA_HOST": "10.7.0.20", "NAS": "10.7.0.2", "SHM_MB": "512"},
    "inference": {"MODEL": "yolo v8"},
    "llm": {"MODEL_DIR": "m-70b", "GPUS": "4"},
    "web": {},
    "anchors": {"TAG": "3.1", "CAMERA_1": "10.7.0.21"},
}


def said(value: Any) -> Any:
    """Structs as mappings without the fields that have their defaults."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(type(value))
        shown = {}
        for field in fields:
            default = field.default
            if field.default_factory is not msgspec.NODEFAULT:
                default = field.default_factory()
            if (given := getattr(value, field.name)) != default:
                shown[field.name] = said(given)
        tag = value.__struct_config__.tag
        return {"type": tag, **shown} if tag else shown
    if isinstance(value, list):
        return [said(item) for item in value]
    if isinstance(value, dict):
        return {key: said(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize("project", PROJECTS)
def test_project(project: str, snapshot: SnapshotAssertion) -> None:
    file = read_compose(DATA / f"{project}.yaml")
    found = workloads_for(file, NodeValues("cam-7", {**NODE, **PROJECTS[project]}))
    assert not found.refused, found.problems
    assert {
        "project": found.project,
        "told": [f"{named.code} in line {named.line}: {named.what}" for named in found.problems],
        "workloads": [said(workload) for workload in found.workloads],
    } == snapshot(extension_class=JSONSnapshotExtension)


@pytest.mark.parametrize("project", ["nvr", "inference", "llm", "anchors"])
def test_values_that_are_missing_are_told(project: str) -> None:
    file = read_compose(DATA / f"{project}.yaml")
    found = workloads_for(file, NodeValues("cam-7", NODE))
    missing = {
        named.what.split()[2] for named in found.problems if named.code == "compose.variable"
    }
    assert missing == PROJECTS[project].keys() - {"SHM_MB"}


def test_every_file_is_tried() -> None:
    assert {path.stem for path in DATA.glob("*.yaml")} == PROJECTS.keys()
