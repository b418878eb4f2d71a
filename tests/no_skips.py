"""A pytest plugin for CI: a skipped test fails the run.

A skip says that a tool is missing, and CI is where none may be. Loaded with
`-p tests.no_skips` (packaging/check.sh); a test that is expected to fail on
purpose is xfail, which this lets pass.
"""

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _, _, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, and CI skips nothing: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = (
            f"a whole module skipped, and CI skips nothing: {report.longrepr}"
        )
    return report
