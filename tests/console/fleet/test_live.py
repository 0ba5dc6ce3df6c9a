"""What a node says is checked before anybody reads it."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.live import Change, Sections, difference
from agent.protocol.problems import ProblemError
from console.fleet.live import RECORDS_LIMIT, apply_change, read_snapshot

GPU = {"index": 0, "name": "T4", "state": "ok", "utilization_percent": 5}
SECTIONS: Sections = {"gpus": {"GPU-a": GPU}, "of_tomorrow": {"x": {"y": [1]}}}


def change(**parts: Any) -> bytes:
    return msgspec.json.encode({"at": 1.0, **parts})


def test_a_change_is_applied() -> None:
    sections = copy.deepcopy(SECTIONS)
    before = sections["gpus"]["GPU-a"]
    apply_change(
        "n",
        sections,
        change(
            set={"gpus": {"GPU-a": {"utilization_percent": 9}}, "findings": {}},
            gone={"of_tomorrow": ["x", "never was"], "no such": ["k"]},
        ),
    )
    assert sections["gpus"]["GPU-a"] == {**GPU, "utilization_percent": 9}
    assert sections["of_tomorrow"] == {}
    assert before == GPU  # who holds the old record sees the old record


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"at": "now"}',
        b"[" * 100_000,
        b'{"at": 1, "set": {"gpus": {"GPU-b": {"index": 1}}}}',  # new, and not whole
        b'{"at": 1, "set": {"gpus": {"GPU-a": {"name": "other"}, "GPU-b": 7}}}',
        b'{"at": 1, "set": {"gpus": {"GPU-a": {"name": "other", "index": null}}}}',
        b'{"at": 1, "set": {"gpus": {"GPU-a": {"name": "x"}}, "node": {"": {"name": 1}}}}',
        b'{"at": 1, "set": {"node": {"": {"name": "\xff"}}}}',
    ],
)
def test_what_is_not_valid_changes_nothing(data: bytes) -> None:
    sections = copy.deepcopy(SECTIONS)
    with pytest.raises(ProblemError) as caught:
        apply_change("n", sections, data)
    assert caught.value.code == "link.garbage"
    assert {name: records for name, records in sections.items() if records} == SECTIONS


@pytest.mark.parametrize(
    "data",
    [b"{}", b'{"at": 1, "sections": {"gpus": {"a": {"index": "x"}}}}', b'{"at": 1, "sections": 3}'],
)
def test_a_snapshot_that_is_none(data: bytes) -> None:
    with pytest.raises(ProblemError) as caught:
        read_snapshot("n", data)
    assert caught.value.code == "link.garbage"


def test_records_without_end() -> None:
    many = {f"k{number}": {"x": 1} for number in range(RECORDS_LIMIT + 1)}
    with pytest.raises(ProblemError) as caught:
        apply_change("n", {}, change(set={"of_tomorrow": many}))
    assert caught.value.code == "link.too_large"
    with pytest.raises(ProblemError):
        read_snapshot("n", msgspec.json.encode({"at": 1, "sections": {"of_tomorrow": many}}))


RECORDS = st.dictionaries(
    st.sampled_from(["GPU-a", "GPU-b", "GPU-c"]),
    st.fixed_dictionaries(
        {
            "index": st.integers(0, 7),
            "name": st.just("T4"),
            "state": st.just("ok"),
            "utilization_percent": st.none() | st.integers(0, 100),
        }
    ),
)


@given(RECORDS, RECORDS)
def test_a_difference_leads_from_one_picture_to_the_other(
    before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]
) -> None:
    sections: Sections = copy.deepcopy({"gpus": before})
    found: Change | None = difference({"gpus": before}, {"gpus": after}, at=1.0)
    if found is not None:
        apply_change("n", sections, msgspec.json.encode(found))
    assert sections == {"gpus": after}
