"""The constraint language, case by case as libnvidia-container's dsl.c goes through it."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from agent.protocol.compatibility import Found, ImageNeeds
from agent.rules.requirements import (
    Outcome,
    Requirement,
    State,
    Subject,
    evaluate,
    legacy_expression,
    requirements,
)

T4 = Subject(cuda="11.4", driver="470.256.02", arch="7.5", brand="tesla")
GEFORCE = Subject(cuda="12.4", driver="550.54.14", arch="8.9", brand="geforce")
NOTHING = Subject()

# nvidia/cuda:12.4.1 has this for three branches and ten brands; the shape is the same.
IMAGE_12_4 = (
    "cuda>=12.4 brand=tesla,driver>=470,driver<471 brand=geforce,driver>=470,driver<471"
    " brand=tesla,driver>=525,driver<526 brand=tesla,driver>=535,driver<536"
)
IMAGE_13_0 = (
    "cuda>=13.0 brand=unknown,driver>=535,driver<536 brand=tesla,driver>=535,driver<536"
    " brand=nvidia,driver>=535,driver<536 brand=tesla,driver>=575,driver<576"
)

CASES: list[tuple[str, Subject, State]] = [
    # one term, every operator
    ("cuda=11.4", T4, "satisfied"),
    ("cuda=11.5", T4, "unsatisfied"),
    ("cuda!=11.4", T4, "unsatisfied"),
    ("cuda!=11.5", T4, "satisfied"),
    ("cuda<11.5", T4, "satisfied"),
    ("cuda<11.4", T4, "unsatisfied"),
    ("cuda<=11.4", T4, "satisfied"),
    ("cuda<=11.3", T4, "unsatisfied"),
    ("cuda>11.3", T4, "satisfied"),
    ("cuda>11.4", T4, "unsatisfied"),
    ("cuda>=11.4", T4, "satisfied"),
    ("cuda>=11.8", T4, "unsatisfied"),
    # an operator may be cut short where that is clear; what is longer than one is none
    ("brand!tesla", T4, "unsatisfied"),
    ("brand!geforce", T4, "satisfied"),
    ("cuda==11.4", T4, "invalid"),
    ("cuda=>11.4", T4, "invalid"),
    ("cuda=<11.4", T4, "invalid"),
    ("cuda<>11.4", T4, "invalid"),
    ("cuda>=!11.4", T4, "invalid"),
    # numbers between dots, not text and not decimals
    ("driver>=470.82", T4, "satisfied"),
    ("driver<470.1000", T4, "satisfied"),
    ("driver>=470.256.02", T4, "satisfied"),
    ("driver=470.256.2", T4, "satisfied"),
    ("driver<471", T4, "satisfied"),
    ("driver>=470", T4, "satisfied"),
    ("driver<=470", T4, "unsatisfied"),
    ("driver>470", T4, "satisfied"),
    ("cuda>=9.0", T4, "satisfied"),
    ("arch>=7.5", T4, "satisfied"),
    ("arch>=8.0", T4, "unsatisfied"),
    ("arch<10.0", T4, "satisfied"),
    # trailing zeros are nothing; so are more dots than one
    ("cuda=12", Subject(cuda="12.0"), "satisfied"),
    ("cuda=12.0.0", Subject(cuda="12"), "satisfied"),
    ("cuda<12.0.1", Subject(cuda="12"), "satisfied"),
    ("cuda>12", Subject(cuda="12.0"), "unsatisfied"),
    ("cuda>=12.0", Subject(cuda="12"), "satisfied"),
    ("cuda!=12.0", Subject(cuda="12"), "unsatisfied"),
    ("cuda=11..4", T4, "satisfied"),
    ("cuda=11.4.", T4, "satisfied"),
    ("cuda=12.10", Subject(cuda="12.1"), "unsatisfied"),
    ("cuda=12.01", Subject(cuda="12.1"), "satisfied"),
    ("cuda=.0", Subject(cuda=""), "satisfied"),
    # what is no version
    ("cuda>=.4", T4, "invalid"),
    ("cuda>=11.x", T4, "invalid"),
    ("cuda>=v11", T4, "invalid"),
    ("cuda>=-1", T4, "invalid"),
    ("cuda>=11=4", T4, "invalid"),
    ("cuda>=18446744073709551614", T4, "unsatisfied"),
    ("cuda>=18446744073709551615", T4, "invalid"),
    (f"cuda>={'9' * 5000}", T4, "invalid"),
    (f"cuda>={'0' * 200}11", T4, "satisfied"),
    ("arch>=7.5", Subject(arch="7.5a"), "invalid"),
    # half a term
    ("cuda", T4, "invalid"),
    ("cuda>=", T4, "invalid"),
    (">=11.0", T4, "invalid"),
    ("11.0", T4, "invalid"),
    ("cuda >= 11.0", T4, "invalid"),
    ("cuda>=11.0\tbrand=tesla", T4, "invalid"),
    # names and brands go without case; brands are text and have no order
    ("CUDA>=11.0", T4, "satisfied"),
    ("Brand=TESLA", T4, "satisfied"),
    ("brand=tesla", GEFORCE, "unsatisfied"),
    ("brand!=Tesla", GEFORCE, "satisfied"),
    ("brand>=tesla", T4, "invalid"),
    ("brand<tesla", T4, "invalid"),
    ("brand=te", T4, "unsatisfied"),
    # commas: all of them; spaces: one of them
    ("cuda>=11.0,driver>=470", T4, "satisfied"),
    ("cuda>=11.0,driver>=525", T4, "unsatisfied"),
    ("cuda>=12.0,driver>=470", T4, "unsatisfied"),
    ("cuda>=12.0 driver>=470", T4, "satisfied"),
    ("cuda>=12.0 driver>=525", T4, "unsatisfied"),
    ("cuda>=12.0 brand=tesla,driver>=470,driver<471", T4, "satisfied"),
    ("cuda>=12.0 brand=geforce,driver>=470,driver<471", T4, "unsatisfied"),
    (" cuda>=11.0 ", T4, "satisfied"),
    (",cuda>=11.0,,driver>=470,", T4, "satisfied"),
    ("", T4, "satisfied"),
    (" ", T4, "satisfied"),
    # commas alone: an alternative that decides nothing, and is the last one looked at
    (",", T4, "satisfied"),
    ("cuda>=12.0 ,", T4, "unsatisfied"),
    ("cuda>=12.0 , cuda>=11.0", T4, "unsatisfied"),
    # as soon as the outcome is clear nothing more is read
    ("cuda>=11.0 nonsense", T4, "satisfied"),
    ("cuda>=12.0,nonsense driver>=470", T4, "satisfied"),
    ("cuda>=11.0,nonsense", T4, "invalid"),
    ("nonsense cuda>=11.0", T4, "invalid"),
    ("cuda>=12.0 nonsense", T4, "invalid"),
    # what this language does not know; the toolkit's newer part skips it, the older refuses
    ("vbios>=90", T4, "unknown_property"),
    ("cuda>=11.0 vbios>=90", T4, "satisfied"),
    ("cuda>=12.0 vbios>=90", T4, "unknown_property"),
    ("vbios>=90,cuda>=12.0", T4, "unknown_property"),
    # a term that does not hold must fit into a buffer of 128 bytes, with two spaces and a NUL
    (f"brand={'x' * 118}", T4, "unsatisfied"),
    (f"brand={'x' * 119}", T4, "unsatisfied"),
    (f"brand={'x' * 120}", T4, "invalid"),
    (f"brand!={'x' * 500}", T4, "satisfied"),
    # what is not known holds, even if it is written badly
    ("cuda>=99,driver>=999,arch>=99,brand=tesla", NOTHING, "satisfied"),
    ("cuda>=nonsense", NOTHING, "satisfied"),
    ("brand<tesla", NOTHING, "satisfied"),
    ("cuda==11", NOTHING, "invalid"),
    ("vbios=1", NOTHING, "unknown_property"),
    # what images really have
    (IMAGE_12_4, T4, "satisfied"),
    (IMAGE_12_4, T4._replace(brand="geforce"), "satisfied"),
    (IMAGE_12_4, T4._replace(brand="nvidia"), "unsatisfied"),
    (IMAGE_12_4, T4._replace(driver="450.80.02", cuda="11.0"), "unsatisfied"),
    (IMAGE_12_4, GEFORCE, "satisfied"),
    (IMAGE_12_4, GEFORCE._replace(cuda="12.3", driver="545.23.08"), "unsatisfied"),
    (IMAGE_13_0, T4, "unsatisfied"),
    (IMAGE_13_0, Subject("12.2", "535.183.01", "8.6", "nvidia"), "satisfied"),
    (IMAGE_13_0, Subject("12.2", "535.183.01", "8.9", "geforce"), "unsatisfied"),
    (IMAGE_13_0, Subject("13.0", "580.65.06", "8.9", "geforce"), "satisfied"),
    ("cuda>=9.0", GEFORCE, "satisfied"),  # every NGC framework image
]


def test_the_table_is_as_large_as_promised() -> None:
    assert len(CASES) >= 60
    assert len({(expression, subject) for expression, subject, _ in CASES}) == len(CASES)


@pytest.mark.parametrize(("expression", "subject", "state"), CASES)
def test_a_case(expression: str, subject: Subject, state: State) -> None:
    assert evaluate(expression, subject).state == state


def test_the_outcome_names_the_term_that_decided() -> None:
    assert evaluate("cuda>=12.0 arch>=8.0", T4) == Outcome("unsatisfied", "arch>=8.0")
    assert evaluate("cuda>=12.0 cuda>=x", T4) == Outcome("invalid", "cuda>=x")


TERMS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["cuda", "driver", "arch", "brand", "CUDA", "vbios", ""]),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "!", "==", ""]),
        st.one_of(st.from_regex(r"[0-9.]{0,8}", fullmatch=True), st.text(max_size=5)),
    ),
)
EXPRESSIONS = st.one_of(
    st.text(),
    st.lists(st.lists(TERMS, max_size=4).map(",".join), max_size=5).map(" ".join),
)
WORDS = st.none() | st.text(max_size=8) | st.from_regex(r"\d{1,3}(\.\d{1,3}){0,2}", fullmatch=True)
SUBJECTS = st.builds(Subject, cuda=WORDS, driver=WORDS, arch=WORDS, brand=WORDS)


@settings(deadline=None)
@given(EXPRESSIONS, SUBJECTS)
@example("brand=\ud800", Subject(brand="\ud800"))
@example("cuda>=\u0661\u0662", T4)
def test_it_never_raises(expression: str, subject: Subject) -> None:
    assert evaluate(expression, subject).state in (
        *("satisfied", "unsatisfied"),
        *("unknown_property", "invalid"),
    )


@settings(deadline=None)
@given(st.lists(TERMS, min_size=1, max_size=4), SUBJECTS)
def test_a_term_that_holds_for_sure_makes_every_later_alternative_unread(
    terms: list[str], subject: Subject
) -> None:
    assert evaluate(f"cuda>=0 {' '.join(terms)}", subject._replace(cuda="12.4")).state == (
        "satisfied"
    )


GOOD_TERMS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["cuda", "driver", "arch"]),
    st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
    st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True),
)


@settings(deadline=None)
@given(GOOD_TERMS, GOOD_TERMS, SUBJECTS)
def test_two_good_terms_are_as_boolean_as_they_look(one: str, other: str, subject: Subject) -> None:
    single = [evaluate(term, subject).state for term in (one, other)]
    assume(set(single) <= {"satisfied", "unsatisfied"} and one and other)
    assume(not set(" ,") & set(one + other))
    held = [state == "satisfied" for state in single]
    assert (evaluate(f"{one},{other}", subject).state == "satisfied") == all(held)
    assert (evaluate(f"{one} {other}", subject).state == "satisfied") == any(held)


# Which constraints an image has


def needs(cuda: Found | None = None, *, off: bool = False, **variables: str) -> ImageNeeds:
    return ImageNeeds(
        architecture="amd64",
        wants_gpu=True,
        cuda=cuda,
        requires={f"NVIDIA_REQUIRE_{name}": value for name, value in variables.items()},
        requires_disabled=off,
    )


SAID = Found(version="11.8.0", where="env CUDA_VERSION")
FOUND = Found(version="11.8.0", where="/usr/local/cuda/lib64/libcudart.so.11.8.89")


def test_all_variables_count_but_those_for_jetpack() -> None:
    image = needs(
        SAID,
        CUDA="cuda>=11.8",
        DRIVER="driver>=520",
        JETPACK="csv-mounts=all",
        JETPACK_HOST_MOUNTS="base-only",
    )
    assert requirements(image) == [
        Requirement("NVIDIA_REQUIRE_CUDA", "cuda>=11.8"),
        Requirement("NVIDIA_REQUIRE_DRIVER", "driver>=520"),
    ]


def test_they_can_be_switched_off() -> None:
    assert requirements(needs(SAID, off=True, CUDA="cuda>=99")) == []
    assert requirements(needs(SAID, off=True)) == []


def test_a_legacy_image_requires_its_cuda() -> None:
    assert requirements(needs(SAID)) == [Requirement("CUDA_VERSION", "cuda>=11.8")]
    assert requirements(needs(SAID, CUDA="")) == [
        Requirement("NVIDIA_REQUIRE_CUDA", ""),
        Requirement("CUDA_VERSION", "cuda>=11.8"),
    ]
    assert requirements(needs(SAID, DRIVER="driver>=450"))[1].expression == "cuda>=11.8"
    assert requirements(needs(FOUND)) == []
    assert requirements(needs(None)) == []


@pytest.mark.parametrize(
    ("version", "expression"),
    [
        ("11.8.0", "cuda>=11.8"),
        ("v11.8.0", "cuda>=11.8"),
        ("10.2", "cuda>=10.2"),
        ("9", "cuda>=9.0"),
        ("11.0.3-rc.1+build.7", "cuda>=11.0"),
        ("12.2.2.009", None),  # NGC's four numbers, which Go's semver does not take
        ("11.08", None),
        ("11.8-1", None),
        ("4294967296.0", None),
        ("9" * 5000, None),
        ("eleven", None),
        ("", None),
    ],
)
def test_the_version_of_a_legacy_image(version: str, expression: str | None) -> None:
    assert legacy_expression(version) == expression


@settings(deadline=None)
@given(st.text())
def test_any_version_of_a_legacy_image(version: str) -> None:
    expression = legacy_expression(version)
    assert expression is None or evaluate(expression, T4).state in ("satisfied", "unsatisfied")
