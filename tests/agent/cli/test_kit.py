"""`roost-agent kit`, as a kit's installer asks it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from agent.cli.kit import command
from agent.protocol.problems import CODES
from tests.kits_made import small_kit


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("policy: {require_signature: true}\n", "signature.missing"),
        ("policy: {require_signature: true}\nnonsense: 1\n", "settings.unknown_key"),
        ("policy: {require_signature: [\n", "settings.syntax"),
        ("policy: {require_signature: false}\n", None),
    ],
)
def test_an_agent_yaml_that_cannot_be_read_takes_no_kit(
    tmp_path: Path, settings: str, code: str | None
) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(settings)
    kit = str(small_kit(tmp_path))
    done = CliRunner().invoke(command, ["--json", "--config", str(config), kit])
    problem = msgspec.json.decode(done.output).get("problem")
    assert (problem and problem["code"]) == code
    assert code is None or code in CODES
    assert done.exit_code == (0 if code is None else 1)
