"""What is installed in the detector's image: as dpkg and Python say inside it."""

from __future__ import annotations

import pytest

from agent.containers.docker_runtime import DockerRuntime
from tests.agent.containers.parts import PATIENCE
from tests.images.detector_side import Built

pytestmark = [pytest.mark.real, pytest.mark.runtimes, pytest.mark.timeout(300)]

PYTHON = """\
from importlib.metadata import distributions
for each in distributions():
    print(each.metadata["Name"], each.version)
"""


async def test_as_its_own_tools_say(detector_image: Built) -> None:
    run = ("run", "--rm", "--network", "none", "--entrypoint")
    tag = detector_image.image["tag"]
    shown = "${db:Status-Status} ${Package} ${Version}\\n"
    told = detector_image.engine.docker(*run, "dpkg-query", tag, "--show", "--showformat", shown)
    debs = {tuple(each.split()[1:]) for each in told.splitlines() if each.startswith("installed")}
    told = detector_image.engine.docker(*run, "python3", tag, "-c", PYTHON)
    projects = {tuple(each.split()) for each in told.splitlines()}
    runtime = DockerRuntime([detector_image.engine.url], patience=PATIENCE)
    await runtime.start()
    try:
        found = await runtime.image_packages(tag, lambda *_: None)
    finally:
        await runtime.stop()
    assert len(debs) > 50
    assert {(each.name, each.version) for each in found.packages if each.kind == "deb"} == debs
    assert len(projects) > 10
    python = [each for each in found.packages if each.kind == "pypi"]
    assert projects <= {(each.name, each.version) for each in python}
    # What Debian brought, and what the wheels did, are told apart.
    assert {each.part_of.partition(" ")[0] for each in python} >= {""}
    assert not any(each.part_of for each in python if each.name == "onnxruntime")
    assert (found.os_id, found.os_version, found.unknown) == ("debian", "12", [])
