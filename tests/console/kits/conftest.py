"""What is installed on machines without a Python of their own."""

from __future__ import annotations

import os
import sys

import pytest

from console.kits.agent_image import ARCHES, AgentImage, make_agent_image
from console.kits.making import make_kit
from console.kits.reading import Kit, read_kit
from tests.archives_made import Made, docker_archive
from tests.real.python_image import plain_root


@pytest.fixture(scope="session")
def agent_kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """A real one, for the Python of the image below."""
    folder = tmp_path_factory.mktemp("kit")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    arch = os.uname().machine
    return read_kit(make_kit(folder, arch=arch, pythons=[python], say=lambda _line: None)[0])


@pytest.fixture(scope="session")
def agent_image(agent_kit: Kit, tmp_path_factory: pytest.TempPathFactory) -> AgentImage:
    """Over this machine's own Python."""
    folder = tmp_path_factory.mktemp("image")
    root, base = folder / "root.tar", folder / "base.tar"
    plain_root(root)
    made = Made([root.read_bytes()], tags=["python:1"], architecture=ARCHES[os.uname().machine])
    base.write_bytes(docker_archive([made]))
    return make_agent_image(agent_kit, base, folder)
