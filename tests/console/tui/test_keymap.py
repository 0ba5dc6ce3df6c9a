"""The person's own keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.tui.keymap import load_keymap
from tests.console.tui.conftest import MakeApp
from tests.console.tui.showing import settled


def written(folder: Path, text: str) -> Path:
    file = folder / "keymap.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_no_file_is_no_change(tmp_path: Path) -> None:
    assert load_keymap(tmp_path / "keymap.yaml") == {}
    assert load_keymap(written(tmp_path, "")) == {}


def test_keys_are_taken_as_people_write_them(tmp_path: Path) -> None:
    file = written(tmp_path, 'help: "f1, ?"\ncontainer.stop: Ctrl+X\nmark.range: ctrl+space\n')
    assert load_keymap(file) == {
        "help": "f1,question_mark",
        "container.stop": "ctrl+x",
        "mark.range": "ctrl+@",
    }


@pytest.mark.parametrize(
    ("text", "code", "detail", "hint"),
    [
        ("help: f1\n\tmark: x", "settings.syntax", "line 2", "indentation"),
        ("help: 2024-99-99", "settings.syntax", "month", "plain text"),
        ("- x", "settings.invalid", "action ids and keys", "container.stop"),
        ("help: f1\nhelpp: f2", "settings.unknown_key", "line 2", "Did you mean 'help'?"),
        ("help: 3", "settings.invalid", "a key is missing", "commas"),
        ("help: ''", "settings.invalid", "a key is missing", "commas"),
        ("help: ctrl+b", "settings.invalid", "ctrl+b cannot be used", "tmux"),
        ("logs: d", "settings.invalid", "d would mean logs and doctor on fleet", "another key"),
    ],
)
def test_a_mistake_names_file_line_and_what_to_do(
    tmp_path: Path, text: str, code: str, detail: str, hint: str
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ProblemError) as caught:
        load_keymap(file)
    assert caught.value.code == code
    assert str(file) in caught.value.detail
    assert detail in caught.value.detail
    assert hint in str(caught.value.hint)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        load_keymap(tmp_path)
    assert caught.value.code == "settings.unreadable"


async def test_another_key_works_and_is_what_footer_and_help_show(make_app: MakeApp) -> None:
    app = make_app(keymap={"help": "f1", "doctor": "w"})
    async with app.run_test(size=(80, 24)) as pilot:
        text = await settled(pilot)
        assert "F1 help" in text
        assert "w doctor" in text
        await pilot.press("question_mark")
        assert "Keys: fleet" not in await settled(pilot)
        await pilot.press("f1")
        assert " F1           Every key of this screen" in await settled(pilot)
