"""The container toolkit, as packages and programs tell of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.host.toolkit import ToolkitReader
from agent.protocol.node import ToolkitFacts
from tests.agent.host.tree import write

STATUS = """\
Package: libnvidia-container1
Status: install ok installed
Version: 1.16.0-1

Package: nvidia-container-toolkit
Status: install ok installed
Depends: libc6,
 more: text
Version: 1.17.8-1

Package: zlib1g
Status: install ok installed
Version: 1:1.2.13
"""
CONFIG = """\
mode = "not-this-one"
# mode = "nor-this"
[nvidia-container-cli]
mode = "nor-this-one"
[nvidia-container-runtime]
debug = "/var/log/x"
mode = "cdi"  # as we want it
[nvidia-container-runtime.modes.csv]
mode = "wrong"
"""
CTK = """\
#!/bin/sh
[ "$1" = --version ] || exit 9
echo "NVIDIA Container Toolkit CLI version 1.14.3"
echo "commit: 0123abcd"
"""


def reader(root: Path) -> ToolkitReader:
    """Of a tree that no program can have as its root."""
    return ToolkitReader(root, command=lambda command, at: [f"{at}{command[0]}", *command[1:]])


def read_toolkit(root: Path) -> ToolkitFacts:
    return reader(root).read()


def test_the_runtime_says_where_its_cdi_specifications_are(tmp_path: Path) -> None:
    here = "kind: nvidia.com/gpu\ndevices: [{name: '0'}]\n"
    write(tmp_path, {"etc/cdi/nvidia.yaml": here, "srv/cdi/nvidia.yaml": here.replace("0", "7")})
    facts = reader(tmp_path).read(["/srv/cdi"])
    assert (facts.cdi_specs, facts.cdi_devices) == (["/srv/cdi/nvidia.yaml"], ["nvidia.com/gpu=7"])


def test_the_package_database_gives_the_version_without_running_anything(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "var/lib/dpkg/status": STATUS,
            "var/lib/dpkg/info/nvidia-container-toolkit.list": "",
            "usr/bin/nvidia-ctk": f"#!/bin/sh\ntouch {tmp_path}/ran\n",
            "usr/bin/nvidia-container-runtime": "#!/bin/sh\n",
            "usr/bin/nvidia-container-runtime-hook": "#!/bin/sh\n",
            "etc/nvidia-container-runtime/config.toml": CONFIG,
            "etc/cdi/nvidia.yaml": "kind: nvidia.com/gpu\ndevices: []\n",
            "var/run/cdi/other.json": '{"kind": "example.com/net"}',
        },
    )
    facts = read_toolkit(tmp_path)
    assert facts.version == "1.17.8"
    assert facts.mode == "cdi"
    assert facts.ctk_path == "/usr/bin/nvidia-ctk"
    assert facts.runtime_path == "/usr/bin/nvidia-container-runtime"
    assert facts.hook_path == "/usr/bin/nvidia-container-runtime-hook"
    assert facts.cdi_specs == ["/etc/cdi/nvidia.yaml"]
    assert facts.unknown == {}
    assert not (tmp_path / "ran").exists()


def test_without_dpkg_the_program_is_asked(tmp_path: Path) -> None:
    write(tmp_path, {"usr/local/bin/nvidia-ctk": CTK})
    facts = read_toolkit(tmp_path)
    assert facts.version == "1.14.3"
    assert facts.ctk_path == "/usr/local/bin/nvidia-ctk"
    assert facts.mode is None
    assert facts.unknown == {"mode": "missing"}


def test_a_program_that_fails_leaves_a_reason(tmp_path: Path) -> None:
    write(tmp_path, {"usr/bin/nvidia-ctk": "#!/bin/sh\nexit 3\n"})
    facts = read_toolkit(tmp_path)
    assert facts.version is None
    assert facts.unknown["version"] == "nvidia-ctk --version ended with 3 and told no version"


def test_a_program_that_cannot_run_leaves_a_reason(tmp_path: Path) -> None:
    write(tmp_path, {"usr/bin/nvidia-ctk": "#!/no/such/shell\n"})
    assert read_toolkit(tmp_path).unknown["version"] == "missing"


def test_a_removed_package_is_not_installed(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "var/lib/dpkg/status": STATUS.replace(
                "install ok installed", "deinstall ok config-files"
            ),
            "var/lib/dpkg/info/nvidia-container-toolkit.list": "",
        },
    )
    facts = read_toolkit(tmp_path)
    assert facts.version is None
    assert "version" not in facts.unknown  # not installed, and that is known


def test_a_file_that_is_not_executable_is_no_program(tmp_path: Path) -> None:
    write(tmp_path, {"usr/bin/nvidia-container-runtime-hook": "not a program"})
    assert read_toolkit(tmp_path).hook_path is None


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("[nvidia-container-runtime]\nmode = 'csv'\n", "csv"),
        ('  [ nvidia-container-runtime ] # x\n  mode="auto"\n', "auto"),
        ("[nvidia-container-runtime]\nmode = auto\n", None),
        ("", None),
    ],
)
def test_the_mode_line(tmp_path: Path, text: str, mode: str | None) -> None:
    write(tmp_path, {"etc/nvidia-container-runtime/config.toml": text})
    facts = read_toolkit(tmp_path)
    assert facts.mode == mode
    assert facts.unknown.get("mode") == (None if mode else "not_set")


def test_the_program_is_run_again_only_when_it_changed(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = CTK.replace("#!/bin/sh\n", f"#!/bin/sh\necho x >> {ran}\n")
    write(tmp_path, {"usr/bin/nvidia-ctk": script})
    toolkit = reader(tmp_path)
    assert [toolkit.read().version, toolkit.read().version] == ["1.14.3", "1.14.3"]
    assert ran.read_text() == "x\n"
    write(tmp_path, {"usr/bin/nvidia-ctk": script.replace("1.14.3", "1.17.10")})
    assert toolkit.read().version == "1.17.10"
    assert ran.read_text() == "x\nx\n"
