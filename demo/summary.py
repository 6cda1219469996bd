"""Prints the conditions and counters of one MarketCollector, whose JSON is on standard input."""

import json
import sys
from typing import Any

COUNTERS = (
    "messages",
    "records",
    "reconnections",
    "resyncs",
    "droppedRecords",
    "skippedUpdates",
    "unreadableFrames",
)
WIDTH = 110


def conditions(status: dict[str, Any]) -> list[str]:
    rows = status.get("conditions", [])
    types = max((len(row["type"]) for row in rows), default=0)
    reasons = max((len(row["reason"]) for row in rows), default=0)
    return [
        f"  {row['type']:{types}}  {row['status']:7}  {row['reason']:{reasons}}  {row['message']}"[:WIDTH].rstrip()
        for row in rows
    ]


def counters(status: dict[str, Any]) -> list[str]:
    numbers = [f"{name} {status.get(name, 0):,}" for name in COUNTERS]
    gaps = [f"{name} {value:,}" for name, value in status.get("gaps", {}).items() if isinstance(value, int)]
    lines = [", ".join(numbers[:4]), ", ".join(numbers[4:])]
    return [f"  {line}" for line in lines] + ([f"  gaps: {', '.join(gaps)}"] if gaps else [])


def main() -> None:
    status = json.load(sys.stdin).get("status", {})
    print("Conditions", *conditions(status), "Counters", *counters(status), sep="\n")


if __name__ == "__main__":
    main()
