"""What a verdict is expected to be, in one line."""

from __future__ import annotations

from dataclasses import dataclass

from agent.protocol.compatibility import Ability, ImageNeeds, Verdict
from agent.protocol.node import NodeFacts
from agent.rules.compatibility import judge
from agent.rules.tables import built_in
from tests.agent.rules.nodes_made import DEVICES, library

TABLES = built_in()

D470 = "470.256.02"
# Compatibility libraries, with the note that some have.
C118 = library("520.61.05")
C124 = library("550.54.15")
C129 = library("575.57.08", "12.9", [535, 550, 560, 565, 570, 575], DEVICES)
C131 = library("590.44.01", "13.1", [535, 550, 570, 575, 580, 590], DEVICES)


OLDER = "warns:cuda.toolkit_driver"
BY_LIBRARY = "warns:cuda.forward_compat"
TOO_OLD = "fails:cuda.driver_too_old"


@dataclass(frozen=True)
class Expected:
    """`codes` are of everything that is told, with the ability of each in front."""

    ability: Ability
    codes: str = ""
    driver: str | None = None


def told(verdict: Verdict) -> str:
    reasons = [*verdict.reasons, *(reason for gpu in verdict.gpus for reason in gpu.reasons)]
    return " ".join(f"{reason.ability}:{reason.code}" for reason in reasons)


def expect(needs: ImageNeeds, facts: NodeFacts, expected: Expected) -> Verdict:
    verdict = judge(needs, facts, TABLES)
    assert Expected(verdict.ability, told(verdict), verdict.needs_driver) == expected
    for reason in (*verdict.reasons, *(each for gpu in verdict.gpus for each in gpu.reasons)):
        assert reason.what.endswith("."), reason
        assert reason.mend.endswith("."), reason
        assert reason.source, reason
    return verdict


def runs(codes: str = "") -> Expected:
    return Expected("runs", codes)


def warns(codes: str) -> Expected:
    return Expected("warns", codes)


def unknown(codes: str, driver: str | None = None) -> Expected:
    return Expected("unknown", codes, driver)


def fails(codes: str, driver: str | None = None) -> Expected:
    return Expected("fails", codes, driver)
