"""CDI specification files."""

from __future__ import annotations

from pathlib import Path

from agent.host.cdi import read_cdi_specs
from tests.agent.host.tree import write

SPEC = """\
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
- name: GPU-aaa
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
- name: all
containerEdits:
  mounts:
  - hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.535.183.01
    containerPath: /usr/lib/x86_64-linux-gnu/libcuda.so.535.183.01
  - hostPath: /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.183.01
  - hostPath: /usr/lib/x86_64-linux-gnu/libEGL_nvidia.so.9.99
"""


def test_devices_and_driver_are_read(tmp_path: Path) -> None:
    write(tmp_path, {"etc/cdi/nvidia.yaml": SPEC})
    (spec,) = read_cdi_specs(tmp_path)
    assert spec.path == "/etc/cdi/nvidia.yaml"
    assert spec.kind == "nvidia.com/gpu"
    assert spec.devices == ("0", "GPU-aaa", "all")
    assert spec.driver_versions == ("535.183.01",)
    assert spec.reason is None


def test_json_is_read_and_others_are_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "var/run/cdi/b.json": '{"kind": "nvidia.com/gpu", "devices": [{"name": "0"}]}',
            "var/run/cdi/a.yaml": "kind: example.com/net\n",
            "var/run/cdi/readme.txt": "kind: nvidia.com/gpu\n",
        },
    )
    assert [(spec.path, spec.devices) for spec in read_cdi_specs(tmp_path)] == [
        ("/var/run/cdi/b.json", ("0",))
    ]


def test_a_broken_file_is_listed_with_its_reason(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "etc/cdi/a.yaml": "kind: [nvidia.com/gpu\n",
            "etc/cdi/b.json": "{",
            "etc/cdi/c.yaml": "- a list\n",
            "etc/cdi/f.yaml": "devices: " + "[" * 40_000,
            "etc/cdi/d.yaml": "kind: nvidia.com/gpu\ndevices: 3\ncontainerEdits: [1]\n",
        },
    )
    (tmp_path / "etc/cdi/e.yaml").mkdir()
    reasons = {spec.path[-6:]: spec.reason for spec in read_cdi_specs(tmp_path)}
    assert (reasons["a.yaml"] or "").startswith("not valid: ")
    assert (reasons["b.json"] or "").startswith("not valid: ")
    assert reasons["c.yaml"] == "not valid: no mapping at the top"
    assert reasons["d.yaml"] is None
    assert (reasons["f.yaml"] or "").endswith("it is nested too deep")
    assert reasons["e.yaml"] == "error:EISDIR"


def test_no_folders_no_specs(tmp_path: Path) -> None:
    assert read_cdi_specs(tmp_path) == []


def test_other_folders_can_be_named(tmp_path: Path) -> None:
    write(tmp_path, {"opt/cdi/x.yaml": SPEC})
    assert [spec.path for spec in read_cdi_specs(tmp_path, ["/opt/cdi", "/opt/cdi"])] == [
        "/opt/cdi/x.yaml"
    ]
