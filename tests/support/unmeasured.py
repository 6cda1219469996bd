"""Programs and tests that coverage leaves out: nobody needs them measured, or they repeat the same lines.

Tracing doubles the CPU time of a program.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coverage import Coverage

NOT_MEASURED = {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
"""Environment variables that keep coverage out of a program."""


def current_coverage() -> Coverage | None:
    """Return the measurement of this process, or None without one. Importing coverage here would take 0.1 s."""
    coverage = sys.modules.get("coverage")
    return coverage.Coverage.current() if coverage else None
