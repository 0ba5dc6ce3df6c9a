"""The mark `real`: its timeout, its skips, what is said about them, and when they are failures.

`@pytest.mark.real` is for tests that use a real part's fixture, `@pytest.mark.real("compiler")`
names a part that has none.

`@pytest.mark.runtimes` is for those on a runtime or a machine that is not installed but made, in
minutes and some 1.5 GB: `make test-runtimes` runs them, `make test` says how many it left out.

`@pytest.mark.long` is for those of them that take minutes each: `make test-long` runs them.
`@pytest.mark.gpus` is for those on a machine with NVIDIA GPUs: `--gpus` runs them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

from tests.real import availability

TIMEOUT_SECONDS = 120
# Marks whose tests run by themselves, and how.
APART = {
    "runtimes": "`make test-runtimes` runs them",
    "long": "`make test-long` runs them",
    "gpus": "`python -m pytest --gpus tests/gpus` runs them, where there are NVIDIA GPUs",
}
LEFT_OUT = pytest.StashKey["dict[str, int]"]()
REASONS = pytest.StashKey[dict[str, "str | None"]]()


def parts_of(item: pytest.Item) -> set[str]:
    """The real parts that a test uses, by its fixtures and its mark."""
    named = {str(name) for mark in item.iter_markers("real") for name in mark.args}
    return named | availability.parts_of(getattr(item, "fixturenames", ()))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option for each of the marks that run by themselves."""
    for mark in APART:
        parser.addoption(f"--{mark}", action="store_true", help=f"only tests marked `{mark}`")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give real tests their time, and refuse one that does not say that it is real."""
    for item in items:
        parts = parts_of(item)
        if item.get_closest_marker("real") is None:
            if parts:
                raise pytest.UsageError(f"{item.nodeid} uses {', '.join(parts)} without the mark")
        elif unknown := parts - availability.PARTS.keys():
            raise pytest.UsageError(f"{item.nodeid}: no real part {', '.join(sorted(unknown))}")
        elif item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))
    wanted = {mark for mark in APART if config.getoption(f"--{mark}")}
    apart = [{mark for mark in APART if item.get_closest_marker(mark)} for item in items]
    runs = [bool(marks & wanted) if wanted else not marks for marks in apart]
    config.stash[LEFT_OUT] = (
        {} if wanted else {mark: sum(mark in marks for marks in apart) for mark in APART}
    )
    if gone := [item for item, run in zip(items, runs, strict=True) if not run]:
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item, run in zip(items, runs, strict=True) if run]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose part cannot run here."""
    known = item.config.stash.setdefault(REASONS, {})
    for name in sorted(parts_of(item)):
        if name not in known:
            known[name] = availability.why_not(name)
        if reason := known[name]:
            pytest.skip(f"{name}: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where real parts are required, a real test that skips has failed, whatever skipped it."""
    report = yield
    expected = hasattr(report, "wasxfail")
    if report.skipped and not expected and availability.required() and "real" in item.keywords:
        report.outcome = "failed"
        report.longrepr = f"{availability.REQUIRE}=1 and skipped: {_reason(report)}"
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells the process that prints the summary."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["left_out"] = session.config.stash.get(LEFT_OUT, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What the worker told; every worker collects all tests."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many real tests did not run, and why."""
    left_out = terminalreporter.config.stash.get(LEFT_OUT, {})
    if any(left_out.values()):
        terminalreporter.section("tests that run by themselves")
        for mark, count in left_out.items():
            if count:
                terminalreporter.write_line(f"{count} left out ({mark}): {APART[mark]}.")
    skipped = [
        report
        for report in terminalreporter.getreports("skipped")
        if isinstance(report, pytest.TestReport) and "real" in report.keywords
    ]
    if not skipped:
        return
    terminalreporter.section("tests on real parts that did not run")
    for reason, count in Counter(map(_reason, skipped)).most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")
    terminalreporter.write_line(
        f"{len(skipped)} in all. tests/real/install-parts installs what they need, as root on "
        "Debian or Ubuntu."
    )


def _reason(report: pytest.TestReport) -> str:
    """Why a test was skipped; pytest gives file, line and text."""
    said = report.longrepr
    text = said[2] if isinstance(said, tuple) else str(said)
    return text.removeprefix("Skipped: ")
