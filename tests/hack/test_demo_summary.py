"""demo/summary.py: the conditions and counters that `make demo` ends with."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SUMMARY = Path(__file__).parents[2] / "demo" / "summary.py"
CONDITIONS = (
    "Ready",
    "Accepted",
    "WorkloadReady",
    "Streaming",
    "Complete",
    "SinksHealthy",
    "Reconciling",
    "Stalled",
)


def summary(status: dict[str, Any]) -> list[str]:
    outcome = subprocess.run(
        [sys.executable, str(SUMMARY)], input=json.dumps({"status": status}), capture_output=True, text=True, check=True
    )
    return outcome.stdout.splitlines()


def condition(name: str) -> dict[str, str]:
    return {"type": name, "status": "True", "reason": "Because", "message": "all is well " * 20}


def test_summary_shows_each_condition_on_one_short_line() -> None:
    lines = summary({"conditions": [condition(name) for name in CONDITIONS], "gaps": {"detected": 0}})
    shown = lines[1 : 1 + len(CONDITIONS)]
    assert [line.split()[:3] for line in shown] == [[name, "True", "Because"] for name in CONDITIONS]
    assert all(len(line) <= 110 for line in lines)
    # With the commands below it, the demo's ending has at most 25 lines.
    assert len(lines) <= 13


def test_summary_counts_what_the_status_has() -> None:
    lines = summary({"messages": 3120, "records": 3110, "droppedRecords": 2, "gaps": {"detected": 4, "lost": 1}})
    assert "  messages 3,120, records 3,110, reconnections 0, resyncs 0" in lines
    assert "  droppedRecords 2, skippedUpdates 0, unreadableFrames 0" in lines
    assert "  gaps: detected 4, lost 1" in lines


def test_summary_says_nothing_of_gaps_when_the_status_has_none() -> None:
    assert not any("gaps" in line for line in summary({}))
