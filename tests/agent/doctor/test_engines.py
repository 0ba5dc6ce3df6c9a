"""The check of engines in use."""

from __future__ import annotations

import msgspec

from agent.doctor.checks import stale_engines
from agent.protocol.engine_figures import EngineCheck
from agent.protocol.engines import Engine, Stale
from tests.agent.doctor.patients import Patient, codes
from tests.agent.engines.test_store import A, manifest


def engine(*stale: Stale, current: bool = True, verification: str = "ran") -> Engine:
    made = msgspec.structs.replace(manifest(A), verification=verification)
    return Engine(model="detector", current=current, path="/p", manifest=made, stale=list(stale))


def patient_with(*engines: Engine) -> Patient:
    patient = Patient()
    patient.more["engines"] = engines
    return patient


def test_engines_that_are_well_or_not_there() -> None:
    assert stale_engines.check(patient_with(engine()).evidence()).outcome == "ok"
    assert stale_engines.check(Patient().evidence()).outcome == "does_not_apply"
    unread = Patient()
    unread.more["engines"] = None
    assert stale_engines.check(unread.evidence()).outcome == "could_not_tell"


def test_what_changed_and_what_to_do() -> None:
    gpu = Stale(what="gpu", rebuild=True, text="built on NVIDIA A10, here is Tesla T4")
    driver = Stale(what="driver", rebuild=False, text="driver 535 then, 580 now")
    outcome = stale_engines.check(patient_with(engine(gpu, driver)).evidence())
    assert codes(outcome) == [("engine.stale", "engine/detector")]
    (finding,) = outcome.findings
    assert gpu.text in finding.cause
    assert driver.text in finding.cause
    assert "engine build --stale" in finding.mend
    (soft,) = stale_engines.check(patient_with(engine(driver)).evidence()).findings
    assert "engine verify" in soft.mend


def test_an_engine_in_use_that_failed_when_it_was_tried() -> None:
    outcome = stale_engines.check(patient_with(engine(verification="header")).evidence())
    assert codes(outcome) == [("engine.not_verified", "engine/detector")]
    spare = engine(verification="header", current=False)
    assert stale_engines.check(patient_with(spare).evidence()).outcome == "ok"


def test_one_that_was_in_use_until_it_failed() -> None:
    failed = engine(verification="header", current=False)
    failed.manifest.check = EngineCheck(state="ran")
    failed.used_by = ["web"]
    (finding,) = stale_engines.check(patient_with(failed).evidence()).findings
    assert finding.title.startswith("no engine of detector is in use")
    assert "Still had by: web." in finding.cause


def test_what_could_not_be_compared() -> None:
    made = msgspec.structs.replace(engine(), stale_unknown=["/models/a.onnx: gone"])
    outcome = stale_engines.check(patient_with(made).evidence())
    assert (outcome.outcome, outcome.reason) == (
        "could_not_tell",
        "detector: /models/a.onnx: gone",
    )
