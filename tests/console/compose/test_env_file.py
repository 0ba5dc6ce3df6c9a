"""Files of variables: the forms of their lines, and what services make of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.compose.compose_file import NodeValues, read_compose, workloads_for
from console.compose.env_file import parse_env_file
from console.compose.findings import Findings


def values(text: str, *, raw: bool = False) -> tuple[dict[str, str], list[tuple[str, int | None]]]:
    findings = Findings("c.yaml")
    found = parse_env_file(text, name="e", variables={"A": "a"}, findings=findings, raw=raw)
    assert all(problem.file == "e" for problem in findings.problems)
    return found, [(problem.code, problem.line) for problem in findings.problems]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("V=", ""),
        ("V=b", "b"),
        ("V = b ", "b"),
        ("V: b", "b"),
        ("export V=b", "b"),
        ("  V=b", "b"),
        ("V=b # c", "b"),
        ("V=b# c", "b# c"),
        ("V=# c", "# c"),
        ("V= # c", ""),
        ("V=b\t# c", "b\t# c"),
        ("V=b c  d", "b c  d"),
        ("V=b=c", "b=c"),
        ("V='b # c'", "b # c"),
        ("V='b' # c", "b"),
        ("V='$A ${A}'", "$A ${A}"),
        (r"V='it\'s'", "it's"),
        (r"V='a\tb'", r"a\tb"),
        (r"V=a\tb", r"a\tb"),
        (r'V="a\tb\n\\ \"c\""', 'a\tb\n\\ "c"'),
        (r'V="\$A"', "$A"),
        (r'V="\d"', r"\d"),
        ('V="two\nlines"', "two\nlines"),
        ("V='two\nlines'", "two\nlines"),
        ('V=""', ""),
        ("V=$A", "a"),
        ("V=${NO:-b}", "b"),
        ('V="${A}-x"', "a-x"),
        ("V=$$A", "$A"),
        ("U=u\nV=$U", "u"),
        ("A=other\nV=$A", "a"),  # what the node has goes before the file
        ("# V=c\n\nV=b\r\n", "b"),
        ("V=b\nV=c", "c"),
    ],
)
def test_line(line: str, value: str) -> None:
    found, problems = values(line)
    assert problems == []
    assert found["V"] == value


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("A=b\n\njust words\n", "compose.env_file", 3),
        ("=b", "compose.env_file", 1),
        ("a b=c", "compose.env_file", 1),
        ("A", "compose.env_file", 1),
        ("A # c\n", "compose.env_file", 1),
        ("A=b\nB='c\nd", "compose.env_file", 2),
        ('A="b" c', "compose.env_file", 1),
        ("A=b\nB='c\nd'\nC=$NO", "compose.variable", 4),
        ("A=${NO:?say it}", "compose.variable", 1),
        ("A=${", "compose.env_file", 1),
    ],
)
def test_line_that_does_not_fit(text: str, code: str, line: int) -> None:
    assert values(text)[1][0] == (code, line)


def test_raw_lines_are_taken_as_they_stand() -> None:
    text = "A='b' # c\n# D=e\n\nF=$G ${H\n I = j \nnothing\n"
    found, problems = values(text, raw=True)
    assert found == {"A": "'b' # c", "F": "$G ${H", "I": " j "}
    assert problems == [("compose.env_file", 6)]


@given(st.text(alphabet="AB=:\"'\\ \n\t#$${}-?export", max_size=60), st.booleans())
def test_any_text(text: str, raw: bool) -> None:
    found, _ = values(text, raw=raw)
    assert all(name for name in found)


def compose(folder: Path, lines: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(f"name: p\nservices:\n  app:\n    image: x\n{lines}")
    return path


def test_files_of_a_service(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.env").write_text("A=1\nB=1\nC=1\n")
    (tmp_path / "sub" / "b.env").write_text("B=2\nC=2\nFROM=$WHERE\n")
    (tmp_path / "raw.env").write_text("R='$x'\n")
    path = compose(
        tmp_path,
        """
    env_file:
    - a.env
    - ${DIR}/b.env
    - {path: raw.env, format: raw}
    - {path: none.env, required: false}
    environment: {C: "3"}
""",
    )
    found = workloads_for(read_compose(path), NodeValues("n", {"WHERE": "here", "DIR": "./sub"}))
    assert found.problems == []
    assert found.workloads[0].environment == {
        "A": "1",
        "B": "2",
        "C": "3",
        "FROM": "here",
        "R": "'$x'",
    }


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("none.env", "there is no such file"),
        ("{path: none.env}", "there is no such file"),
        ("/dev/zero", "no plain file"),
        ("folder", "no plain file"),
        ("large.env", "more than 1 MiB"),
        ("binary.env", "not UTF-8"),
        ('"a\\0b"', "no such file"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, entry: str, says: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "large.env").write_text("A=b\n" * (1 << 18) + "\n")
    (tmp_path / "binary.env").write_bytes(b"A=\xff")
    found = workloads_for(
        read_compose(compose(tmp_path, f"    env_file: [{entry}]\n")), NodeValues("n", {})
    )
    (problem,) = found.problems
    assert (problem.code, problem.line) == ("compose.env_file", 5)
    assert says in problem.what


def test_what_does_not_fit_in_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("A=1\nB=$NO\n")
    file = read_compose(compose(tmp_path, "    env_file: a.env\n"))
    (problem,) = workloads_for(file, NodeValues("n", {})).problems
    assert (problem.code, problem.line) == ("compose.variable", 2)
    assert problem.place == f"{tmp_path / 'a.env'}, line 2"
