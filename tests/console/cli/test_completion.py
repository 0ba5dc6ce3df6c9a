"""What the shell completes after `roost`."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from console.fleet.cache import PictureCache
from console.fleet.inventory import NodeEntry
from tests.console.cli.commands import ROOST, environment, roost, write_fleet
from tests.console.tui.fakes import make_node

pytestmark = pytest.mark.timeout(60)


def complete(home: Path, words: str, env: dict[str, str] | None = None) -> list[str]:
    """What bash would be offered for the last of `words`."""
    asked = {
        "_ROOST_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = subprocess.run(
        [ROOST],
        capture_output=True,
        text=True,
        env=environment(home, asked | (env or {})),
        check=True,
    )
    assert done.stderr == ""
    # Nothing to offer is one empty line, of which bash makes no word.
    return [line.partition(",")[2] for line in done.stdout.split()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(tmp_path: Path, shell: str) -> None:
    done = roost(tmp_path, "completion", shell)
    assert (done.code, done.err) == (0, "")
    assert "_ROOST_COMPLETE" in done.out


def test_fish_is_to_show_all_that_is_said_of_a_command(tmp_path: Path) -> None:
    script = roost(tmp_path, "completion", "fish").out
    assert 'string split --max 1 "," $completion' in script  # commas come in what is said, too


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_takes_its_script(tmp_path: Path) -> None:
    script = roost(tmp_path, "completion", "bash").out
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_nouns_verbs_and_the_names_of_nodes(tmp_path: Path) -> None:
    entries = [NodeEntry(name=name, address="ssh://x") for name in ("cam-1", "cam-2", "gate")]
    fleet = write_fleet(tmp_path / "fleet.yaml", entries)
    assert complete(tmp_path, "roost con") == ["container"]
    assert complete(tmp_path, "roost node sh") == ["show"]
    named = f"roost --fleet {fleet}"
    assert complete(tmp_path, f"{named} node show cam") == ["cam-1", "cam-2"]
    assert complete(tmp_path, f"{named} node ls @g") == ["@gate"]
    assert complete(tmp_path, "roost container stop c", {"ROOST_FLEET": str(fleet)}) == [
        "cam-1",
        "cam-2",
    ]


def test_labels_as_selectors_write_them(tmp_path: Path) -> None:
    labels = [{"site": "plant-7", "gpu": "t4"}, {"site": "plant-8"}, {"site": "two words"}]
    entries = [
        NodeEntry(name=f"cam-{number}", address="ssh://x", labels=each)
        for number, each in enumerate(labels)
    ]
    fleet = write_fleet(tmp_path / "fleet.yaml", entries)
    named = f"roost --fleet {fleet} node ls"
    sites = ["site=plant-7", "site=plant-8"]  # no shell takes the other unquoted
    assert complete(tmp_path, f"{named} ") == ["@cam-0", "@cam-1", "@cam-2", "gpu=t4", *sites]
    assert complete(tmp_path, f"{named} si") == sites
    assert complete(tmp_path, f"{named} site=plant-8") == ["site=plant-8"]
    assert complete(tmp_path, f"{named} gpu=t4,s") == [f"gpu=t4,{site}" for site in sites]
    assert complete(tmp_path, f"{named} gpu=t4,!g") == ["gpu=t4,!gpu"]
    assert complete(tmp_path, f"{named} @cam-0,@cam-2") == ["@cam-0,@cam-2"]


def test_containers_of_the_node_from_the_last_picture(tmp_path: Path) -> None:
    """The nodes are nowhere: nobody is asked."""
    views = {name: make_node(name, containers=2) for name in ("cam-1", "cam-2")}
    for view in views.values():
        for index, record in enumerate(view.sections["containers"].values()):
            record["name"] = f"{view.name}-box-{index}"
    odd = make_node("odd", containers=1)
    next(iter(odd.sections["containers"].values()))["name"] = "\x1b[2J$(reboot)"
    views["odd"] = odd
    fleet = write_fleet(tmp_path / "fleet.yaml", [view.entry for view in views.values()])
    cache = PictureCache.of_fleet(fleet, {"XDG_CACHE_HOME": str(tmp_path / "cache")})
    named = f"roost --fleet {fleet} container"
    assert complete(tmp_path, f"{named} logs cam-1 ") == []
    asyncio.run(cache.save(views))
    for verb in ("logs", "exec", "stop", "start", "restart"):
        boxes = complete(tmp_path, f"{named} {verb} cam-1 cam")
        assert boxes == ["cam-1-box-0", "cam-1-box-1"], verb
    assert complete(tmp_path, f"{named} logs @cam-2 cam-2-box-1") == ["cam-2-box-1"]
    assert complete(tmp_path, f"{named} logs odd ") == []
    assert complete(tmp_path, f"{named} logs nowhere ") == []
    cache.file.write_text("junk")
    assert complete(tmp_path, f"{named} logs cam-1 ") == []


def test_completing_nouns_and_verbs_loads_none_of_them(tmp_path: Path) -> None:
    assert {"container", "doctor", "gpu", "node", "tui"} <= set(complete(tmp_path, "roost "))
    asked = {"_ROOST_COMPLETE": "bash_complete", "COMP_WORDS": "roost ", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", ROOST],
        capture_output=True,
        text=True,
        env=environment(tmp_path, asked),
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "console.cli.main" in loaded
    assert not loaded & {"textual", "msgspec", "yaml", "asyncio", "console.cli.tui"}
    assert complete(tmp_path, "roost --fl") == ["--fleet"]
    assert complete(tmp_path, "roost container re") == ["restart"]


def test_a_fleet_that_cannot_be_read_completes_nothing(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("nodes: 3\n")
    assert complete(tmp_path, f"roost --fleet {fleet} node show c") == []
