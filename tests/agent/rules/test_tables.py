"""The tables: what is in them, what must not be, and an operator's own rows."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocol.problems import ProblemError
from agent.rules.tables import SHAPES, Tables, built_in, merge
from agent.rules.versions import numbers

TABLES = built_in()


def test_every_row_has_a_source_and_says_if_nobody_looked_it_up() -> None:
    for name in SHAPES:
        rows = getattr(TABLES, name)
        assert rows, name
        for row in rows.values():
            assert row.source.strip()
            assert row.recalled == row.source.startswith("recalled") or name in {
                *("toolkit_drivers", "driver_floors", "forward_compat", "tensorrt")
            }


@pytest.mark.parametrize(
    ("cuda", "driver"),
    [
        # The tables that circulate have 515 for 11.8, 525 for 11.8 and 535.104.05 for 12.1.
        ("11.7.0", "515.43.04"),
        ("11.8.0", "520.61.05"),
        ("12.0.0", "525.60.13"),
        ("12.1.0", "530.30.02"),
        ("12.1.1", "530.30.02"),
        ("12.2.0", "535.54.03"),
        ("12.2.2", "535.104.05"),
        ("11.4.0", "470.42.01"),
        ("12.4.0", "550.54.14"),
        ("12.8.0", "570.86.10"),
        ("13.0.0", "580.65.06"),
        ("13.3.0", "610.43.02"),
    ],
)
def test_the_toolkits_own_drivers(cuda: str, driver: str) -> None:
    assert TABLES.toolkit_drivers[cuda].driver == driver


def test_no_wrong_pair_has_crept_in() -> None:
    pairs = {(row.cuda[:4], row.driver[:3]) for row in TABLES.toolkit_drivers.values()}
    assert pairs & {("11.8", "515"), ("11.8", "525"), ("12.1", "535"), ("12.7", "565")} == set()
    # Below the toolkit's own driver an image still runs: these are no floors.
    floors = {row.cuda: row.driver for row in TABLES.driver_floors.values()}
    assert floors["11"] == "450.80.02"
    assert floors["12"] == "525.60.13"
    assert floors["13"] == "580.65.06"
    assert not any(name.startswith(("11.", "12.", "13.")) for name in floors)


def test_a_later_release_never_has_an_older_driver() -> None:
    rows = sorted(TABLES.toolkit_drivers.values(), key=lambda row: numbers(row.cuda) or ())
    drivers = [numbers(row.driver) or () for row in rows]
    assert drivers == sorted(drivers)


@pytest.mark.parametrize(
    ("capability", "first", "last", "last_driver"),
    [
        ("3.7", "6.0", "11", 470),
        ("5.2", "6.5", "12", 580),
        ("6.1", "8.0", "12", 580),
        ("7.0", "9.0", "12", 580),
        ("7.5", "10.0", None, None),
        ("8.9", "11.8", None, None),
        ("12.0", "12.8", None, None),
    ],
)
def test_architectures(
    capability: str, first: str, last: str | None, last_driver: int | None
) -> None:
    row = TABLES.gpu_architectures[capability]
    assert (row.first_cuda, row.last_cuda, row.last_driver) == (first, last, last_driver)


def test_windows_and_brands_of_compatibility_libraries() -> None:
    assert TABLES.forward_compat["12.9"].drivers == [535, 550, 560, 565, 570, 575]
    assert 470 not in TABLES.forward_compat["13.0"].drivers
    assert not {"geforce", "titan", "geforcertx", "titanrtx"} & set(TABLES.compat_brands)
    for row in TABLES.forward_compat.values():
        assert row.drivers == sorted(row.drivers)


# An operator's rows


def override(**tables: object) -> str:
    return json.dumps(tables)


def test_rows_are_replaced_added_and_removed() -> None:
    merged = merge(
        TABLES,
        override(
            toolkit_drivers=[
                {"cuda": "13.4.1", "driver": "615.10", "source": "our depot"},
                {"cuda": "11.8.0", "driver": "520.61.07", "source": "our depot"},
                {"cuda": "9.0.176", "remove": True},
            ],
            driver_branches=[{"branch": 615, "kind": "lts", "cuda": "13", "source": "our depot"}],
        ),
    )
    assert merged.toolkit_drivers["13.4.1"].driver == "615.10"
    assert merged.toolkit_drivers["11.8.0"].driver == "520.61.07"
    assert "9.0.176" not in merged.toolkit_drivers
    assert merged.driver_branches["615"].end_of_life is None
    assert merged.gpu_architectures == TABLES.gpu_architectures
    # The tables themselves are as they were.
    assert TABLES.toolkit_drivers["11.8.0"].driver == "520.61.05"
    assert "9.0.176" in TABLES.toolkit_drivers


@pytest.mark.parametrize("text", ["", " \n", "{}"])
def test_nothing_to_merge(text: str) -> None:
    merged = merge(TABLES, text)
    assert all(getattr(merged, name) == getattr(TABLES, name) for name in SHAPES)


BRANCH = {"branch": 615, "kind": "lts", "cuda": "13", "source": "our depot"}
ROW = {"cuda": "13.4.1", "driver": "615.10", "source": "our depot"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{\n "toolkit_drivers": [\n  {"cuda": }\n]}', "tables.json, line 3"),
        ("[]", "must be an object"),
        ("[" * 100_000, "cannot be read"),
        (override(toolkit_driver=[]), "'toolkit_driver', which is no table: toolkit_drivers?"),
        (override(zzz=[]), "'zzz', which is no table"),
        (override(toolkit_drivers={}), "toolkit_drivers: must be a list"),
        (override(toolkit_drivers=[ROW, 7]), "toolkit_drivers, row 2: must be an object"),
        (override(toolkit_drivers=[{"driver": "1"}]), "row 1: must be an object with 'cuda'"),
        (override(toolkit_drivers=[{"cuda": "13.4.1", "driver": "615.10"}]), "`source`"),
        (override(toolkit_drivers=[{**ROW, "source": ""}]), "$.source"),
        (override(toolkit_drivers=[{**ROW, "cuda": "new"}]), "$.cuda"),
        (override(toolkit_drivers=[{**ROW, "driver": 615}]), "$.driver"),
        (override(toolkit_drivers=[{**ROW, "drvier": "615"}]), "unknown field `drvier`"),
        (override(toolkit_drivers=[{"cuda": "1.0", "remove": True}]), "which is not there"),
        (
            override(driver_branches=[{"branch": 1, "kind": "old", "cuda": "1", "source": "x"}]),
            "old",
        ),
    ],
)
def test_bad_input_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ProblemError) as caught:
        merge(TABLES, text, file="tables.json")
    assert caught.value.code == "compatibility.tables"
    assert caught.value.detail.startswith("tables.json")
    assert told in caught.value.detail
    assert caught.value.hint


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=6)
VALUES = SCALARS | st.lists(SCALARS, max_size=3)
FIELDS = st.sampled_from(["cuda", "driver", "source", "remove", "branch", "brand", "x"])


@settings(deadline=None)
@given(
    st.text()
    | st.dictionaries(
        st.sampled_from([*SHAPES]), st.lists(st.dictionaries(FIELDS, VALUES) | VALUES, max_size=3)
    ).map(json.dumps)
)
def test_any_text_is_merged_or_refused(text: str) -> None:
    with contextlib.suppress(ProblemError):
        assert isinstance(merge(TABLES, text), Tables)
