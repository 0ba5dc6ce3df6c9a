"""The mark `real`: its timeout, its skips, what is said about them, and when they are failures.

`@pytest.mark.real` is for tests that use a real part's fixture, `@pytest.mark.real("compiler")`
names a part that has none.

`@pytest.mark.runtimes` is for those on a runtime or a machine that is not installed but made, in
minutes and some 1.5 GB: `make test-runtimes` runs them, `make test` says how many it left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

from tests.real import availability

TIMEOUT_SECONDS = 120
OPTION = "--runtimes"
LEFT_OUT = pytest.StashKey[int]()
REASONS = pytest.StashKey[dict[str, "str | None"]]()


def parts_of(item: pytest.Item) -> set[str]:
    """The real parts that a test uses, by its fixtures and its mark."""
    named = {str(name) for mark in item.iter_markers("real") for name in mark.args}
    return named | availability.parts_of(getattr(item, "fixturenames", ()))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make test-runtimes` gives."""
    parser.addoption(OPTION, action="store_true", help="the tests marked `runtimes`, only those")


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
    wanted: bool = config.getoption(OPTION)
    marked = [item for item in items if item.get_closest_marker("runtimes") is not None]
    other = [item for item in items if item.get_closest_marker("runtimes") is None]
    config.stash[LEFT_OUT] = 0 if wanted else len(marked)
    if gone := other if wanted else marked:
        config.hook.pytest_deselected(items=gone)
        items[:] = marked if wanted else other


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
        told["left_out"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What the worker told; every worker collects all tests."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many real tests did not run, and why."""
    if left_out := terminalreporter.config.stash.get(LEFT_OUT, 0):
        terminalreporter.section("tests on made runtimes and machines")
        terminalreporter.write_line(f"{left_out} left out: `make test-runtimes` runs them.")
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
