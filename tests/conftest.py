"""Hypothesis profiles for all tests, and which of them coverage measures."""

import os
import sys
from collections.abc import Generator

import pytest
from hypothesis import is_hypothesis_test, settings

# No deadline, because a busy machine is not a failure. CI uses the same examples each time, so that a failure comes
# from the change. Local runs use new examples.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Leave property tests unmeasured, and others that repeat the same lines: tracing doubles their CPU time."""
    coverage = sys.modules.get("coverage")
    repeats = item.get_closest_marker("repeats") or is_hypothesis_test(getattr(item, "obj", None))
    measured = coverage.Coverage.current() if coverage and repeats else None
    if measured is None:
        return (yield)
    measured.stop()
    try:
        return (yield)
    finally:
        measured.start()
