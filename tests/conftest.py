"""Hypothesis profiles for all tests, and which of them coverage measures."""

import os
from collections.abc import Generator
from unittest.mock import patch

import pytest
from hypothesis import is_hypothesis_test, settings

from unmeasured import NOT_MEASURED, current_coverage

# No deadline, because a busy machine is not a failure. CI has a fixed budget and uses the same examples each time, so
# that a failure comes from the change. Local runs use new examples. Both print what repeats a failure.
settings.register_profile("local", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True, max_examples=100, database=None)
# `hack/test.sh fuzz` prints its seed, and EXAMPLES is the budget of each test that has none of its own.
BUDGET = int(os.environ.get("EXAMPLES", "300"))
settings.register_profile("fuzz", deadline=None, print_blob=True, max_examples=BUDGET, derandomize=False, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest first, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep coverage out of the programs of a test that repeats the same lines."""
    with patch.dict(os.environ, NOT_MEASURED if item.get_closest_marker("repeats") else {}):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Leave property tests unmeasured, and others that repeat the same lines: tracing doubles their CPU time."""
    repeats = item.get_closest_marker("repeats") or is_hypothesis_test(getattr(item, "obj", None))
    measured = current_coverage() if repeats else None
    if measured is None:
        return (yield)
    measured.stop()
    try:
        return (yield)
    finally:
        measured.start()
