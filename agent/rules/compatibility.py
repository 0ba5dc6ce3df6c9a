"""Whether an image can run on a node, and on which of its GPUs.

`Judge` is made once for an image and asked for many nodes: a fleet of thousands has a few dozen
different GPUs and drivers, and each such case is worked out once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from agent.protocol.compatibility import (
    ABILITIES,
    Ability,
    GpuVerdict,
    ImageNeeds,
    Reason,
    Verdict,
)
from agent.protocol.node import NodeFacts
from agent.rules.cases import Case, case_of, is_tegra
from agent.rules.driver_reasons import MENDED_BY_DRIVER, driver_reasons, tegra_reasons
from agent.rules.gpu_reasons import gpu_reasons
from agent.rules.known import Known, KnownDriver
from agent.rules.node_reasons import node_reasons
from agent.rules.requirements import Subject, evaluate, requirements
from agent.rules.tables import Tables
from agent.rules.versions import Version, numbers
from agent.rules.ways import checks_requirements, toolkit_mode

REQUIREMENT_SOURCE = "libnvidia-container, src/cli/dsl.c"
_REFUSED = "requirement.unsatisfied"
_NO_DRIVER = "driver.no_library"


class _Judged(NamedTuple):
    """A case; the driver is None where none is needed, and where none mends anything."""

    case: Case
    ability: Ability
    reasons: list[Reason]
    mendable: bool  # by a driver, if at all
    least_driver: str | None  # that lets it run


class Judge:
    """One image, against any number of nodes.

    Raises nothing, whatever the image or the nodes say of themselves.
    """

    def __init__(self, needs: ImageNeeds, tables: Tables) -> None:
        self.needs = needs
        self._known = Known(needs, tables)
        self._requirements = requirements(needs)
        self._cases: dict[Case, _Judged] = {}

    @property
    def cuda(self) -> Version:
        """The image's CUDA, to compare; empty where it has none."""
        return self._known.cuda or ()

    @property
    def tables(self) -> Tables:
        return self._known.tables

    def __call__(self, facts: NodeFacts) -> Verdict:
        """The verdict on one node."""
        return self._judge(facts)[0]

    def driver_for(self, facts: NodeFacts, *, whole: bool = False) -> str | None:
        """The least driver with which it would run there; None: it does, or no driver helps.

        `whole` asks for the one with which it would run without a warning.
        """
        verdict, judged = self._judge(facts)
        if not whole or not judged or verdict.ability == "runs":
            return verdict.needs_driver
        own = self._known.own
        if own is None or (verdict.ability != "warns" and verdict.needs_driver is None):
            return None
        return _least(
            self._least_driver(each.case, own.driver)
            for each in judged
            if each.mendable and each.ability != "runs"
        )

    def _judge(self, facts: NodeFacts) -> tuple[Verdict, list[_Judged]]:
        needs = self.needs
        mode = toolkit_mode(facts) if needs.wants_gpu else None
        reasons = node_reasons(needs, facts, mode)
        if not needs.wants_gpu:
            return Verdict(ability=_worst(reasons), reasons=reasons), []
        reasons += self._version_unknown()
        enforced = checks_requirements(mode)
        judged = [self._case(case_of(facts, gpu, enforced=enforced)) for gpu in facts.gpus]
        gpus = [
            GpuVerdict(
                uuid=gpu.uuid,
                index=gpu.index,
                name=gpu.name,
                ability=each.ability,
                reasons=list(each.reasons),
            )
            for gpu, each in zip(facts.gpus, judged, strict=True)
        ]
        best: Ability = min((each.ability for each in judged), key=ABILITIES.index, default="runs")
        node = _worst(reasons)
        verdict = Verdict(
            ability=node if ABILITIES.index(node) > ABILITIES.index(best) else best,
            reasons=reasons,
            gpus=gpus,
        )
        verdict.needs_driver = self._needs_driver(facts, reasons, best, judged)
        return verdict, judged

    def _version_unknown(self) -> list[Reason]:
        needs = self.needs
        if self._known.cuda is not None:
            return []
        if needs.cuda is not None:
            told = f"{needs.cuda.version!r} ({needs.cuda.where}) is no version"
        else:
            told = needs.unknown.get("cuda", "it does not say")
        return [
            Reason(
                code="cuda.version_unknown",
                ability="unknown",
                what=f"Which CUDA the image needs is not known: {told}.",
                mend="Set CUDA_VERSION in the image."
                if needs.looked_inside
                else "Check the archive of the image: its layers may say.",
                source="the image's config" if not needs.looked_inside else "the image",
            )
        ]

    def _case(self, case: Case) -> _Judged:
        judged = self._cases.get(case)
        if judged is None:
            judged = self._cases[case] = self._work_out(case)
        return judged

    def _work_out(self, case: Case) -> _Judged:
        known = self._known
        reasons = gpu_reasons(known, case)
        if case.tegra:
            reasons += tegra_reasons(known, case)
        else:
            reasons += driver_reasons(known, case)
        reasons += self._refusals(case)
        in_the_way = [each.code for each in reasons if each.ability in ("fails", "unknown")]
        mendable = not case.tegra and all(
            code in MENDED_BY_DRIVER or code == _REFUSED for code in in_the_way
        )
        return _Judged(
            case=case,
            ability=_worst(reasons),
            reasons=reasons,
            mendable=mendable,
            least_driver=self._least_driver(case, ()) if mendable and in_the_way else None,
        )

    def _refusals(self, case: Case) -> list[Reason]:
        """The image's own constraints that do not hold here."""
        subject = Subject(
            cuda=case.cuda, driver=case.driver, arch=case.capability, brand=case.brand
        )
        reasons = []
        for variable, expression in self._requirements:
            if expression is None:
                what = "NVIDIA's toolkit cannot read the image's CUDA_VERSION"
                reasons.append(self._refusal("requirement.invalid", what, case))
                continue
            state, term = evaluate(expression, subject)
            if state == "unsatisfied":
                first = expression.split(" ")[0] or term
                what = f"{variable} does not hold here: unsatisfied condition: {first}"
                reasons.append(self._refusal(_REFUSED, what, case))
            elif state == "invalid":
                what = f"{variable} is not valid at {term!r}"
                reasons.append(self._refusal("requirement.invalid", what, case))
            elif state == "unknown_property":
                what = f"{variable} asks for something unknown: {term!r}"
                reasons.append(self._refusal("requirement.unknown_property", what, case))
        return reasons

    @staticmethod
    def _refusal(code: str, what: str, case: Case) -> Reason:
        """With CDI nothing looks at the constraints; otherwise the container does not start."""
        hard = case.enforced and code != "requirement.unknown_property"
        then = "; the container will not start." if hard else "."
        mend = "Another driver or image, or NVIDIA_DISABLE_REQUIRE=true if you know better."
        return Reason(
            code=code,
            ability="fails" if hard else "warns",
            what=f"{what}{then}",
            mend=mend,
            source=REQUIREMENT_SOURCE,
        )

    def _least_driver(self, case: Case, least: Version) -> str | None:
        """The first driver of the tables, from `least` on, with which nothing is in the way."""
        known = self._known
        if known.floor is not None:
            least = max(least, numbers(known.floor.driver) or ())
        row = known.architecture(case.capability) if case.capability else None
        last_branch = row.last_driver if row else None
        for driver in known.drivers:
            if last_branch is not None and driver.version[0] > last_branch:
                return None
            if driver.version >= least and self._allowed(case, driver):
                return driver.text
        return None

    def _allowed(self, case: Case, driver: KnownDriver) -> bool:
        if not case.enforced:
            return True
        subject = Subject(
            cuda=driver.cuda, driver=driver.text, arch=case.capability, brand=case.brand
        )
        return all(
            expression is not None and evaluate(expression, subject).state == "satisfied"
            for _, expression in self._requirements
        )

    def _needs_driver(
        self, facts: NodeFacts, reasons: list[Reason], best: Ability, judged: list[_Judged]
    ) -> str | None:
        """Only where everything else is in order, for then a driver is what mends it."""
        others = [each for each in reasons if each.code != _NO_DRIVER]
        if _worst(others) in ("fails", "unknown") or is_tegra(facts):
            return None
        if len(others) < len(reasons) and not judged:
            floor = self._known.floor
            return floor.driver if floor else None
        return (
            _least(each.least_driver for each in judged) if best in ("fails", "unknown") else None
        )


def judge(needs: ImageNeeds, facts: NodeFacts, tables: Tables) -> Verdict:
    """One image on one node. For many nodes, make a `Judge`."""
    return Judge(needs, tables)(facts)


def _worst(reasons: Iterable[Reason]) -> Ability:
    return max((each.ability for each in reasons), key=ABILITIES.index, default="runs")


def _least(drivers: Iterable[str | None]) -> str | None:
    known = [driver for driver in drivers if driver is not None]
    return min(known, key=lambda driver: numbers(driver) or (), default=None)
