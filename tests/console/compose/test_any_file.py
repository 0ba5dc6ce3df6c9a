"""Whatever a file says, there are workloads that can cross the wire, or problems; never a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocol.problems import CODES, ProblemError
from console.compose.compose_file import NodeWorkloads
from console.compose.supported import KNOWN
from tests.console.compose.files import FILE, meaning

DATA = Path(__file__).parents[2] / "data" / "compose"
PROJECTS = [path.read_text(encoding="utf-8") for path in sorted(DATA.glob("*.yaml"))]

TEXTS = st.one_of(
    st.sampled_from(
        [
            *("", "a", "0", "-1", "1.5", "true", "no", "~", "$A", "${A:-b}", "${B", "$$", "all"),
            *("/a:/b", "a:/b:ro", "./a:/b", "80", "8080:80", "80-90:80-90", "1m30s", "2g", "::1"),
            *(
                "service:app",
                "on-failure:3",
                "CMD",
                "NONE",
                "service_healthy",
                "host",
                "gpu",
                "app",
            ),
            *(
                "A=b",
                "=",
                "127.0.0.1",
                "10.0.0.0/8",
                "nvidia.com/gpu=0",
                "GPU-12345678",
                "0,1",
                ":",
            ),
            *("99999999999999999999", "1e400", "\x00", "\u2028", "é", "x" * 300),
        ]
    ),
    st.text(max_size=12),
)
SCALARS = st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats())
INNER = st.sampled_from(
    [
        *(
            "type",
            "source",
            "target",
            "published",
            "host_ip",
            "protocol",
            "bind",
            "volume",
            "tmpfs",
        ),
        *("size", "mode", "aliases", "ipv4_address", "test", "interval", "retries", "disable"),
        *("driver", "options", "soft", "hard", "resources", "limits", "reservations", "devices"),
        *("capabilities", "count", "device_ids", "cpus", "memory", "replicas", "gpu", "select"),
        *("probes", "http", "exec", "port", "path", "command", "timeout", "soak", "strategy"),
        *("condition", "required", "app", "net", "vol", "sec", "name", "external", "format"),
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(st.one_of(INNER, INNER, TEXTS), below, max_size=4),
    ),
    max_leaves=12,
)
SERVICES = st.dictionaries(st.sampled_from(sorted(KNOWN)), VALUES, max_size=6).map(
    lambda keys: {"image": "edge/app:1", **keys}
)
TOPS = st.dictionaries(st.sampled_from(["net", "vol", "sec", "default"]), VALUES, max_size=2)
DOCUMENTS = st.fixed_dictionaries(
    {"services": st.dictionaries(st.sampled_from(["app", "db", "c.d"]), SERVICES, max_size=3)},
    optional=dict.fromkeys(("networks", "volumes", "secrets", "name"), TOPS),
)


def read(text: str, variables: dict[str, str] | None = None) -> None:
    try:
        found = meaning(text, variables, path=FILE)
    except ProblemError as problem:
        code, hint = problem.code, problem.hint
    else:
        see(found)
        return
    assert code.startswith("compose.")
    assert hint


def see(found: NodeWorkloads) -> None:
    for named in found.problems:
        assert named.code in CODES
        assert named.what
        assert named.hint
        assert named.line is None or named.line >= 1
    assert found.refused or found.workloads


@settings(max_examples=20, deadline=None)
@given(DOCUMENTS, st.dictionaries(st.sampled_from("AB"), TEXTS))
def test_any_document(document: Any, variables: dict[str, str]) -> None:
    read(yaml.safe_dump(document, allow_unicode=True), variables)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(KNOWN - {"image"})), VALUES, min_size=1, max_size=1))
def test_any_one_key(service: dict[str, Any]) -> None:
    read(yaml.safe_dump({"services": {"app": {"image": "a", **service}}}))


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_any_text(text: str) -> None:
    read(text)


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="ab:-?*&!|>'\"[]{},#<%@ \n\t", max_size=80))
def test_any_punctuation(text: str) -> None:
    read(text)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(PROJECTS), st.data())
def test_projects_with_a_slip(text: str, data: st.DataObject) -> None:
    lines = text.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    key, colon, _ = lines[at].partition(":")
    slips = ["", lines[at][: len(lines[at]) // 2], lines[at] + "x", f"{key}{colon} 5", lines[0]]
    lines[at] = data.draw(st.sampled_from([*slips, " " + lines[at], lines[at].replace(" ", "", 1)]))
    read("\n".join(lines), {"A": "a"})
