"""One line of live numbers: the collector's own /status and its newest records, both on standard input."""

import json
import sys
from typing import Any


def documents(text: str) -> list[dict[str, Any]]:
    """The lines that are JSON objects; a log may be cut anywhere, and log lines stand between records."""
    found = []
    for line in text.splitlines():
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict):
            found.append(document)
    return found


def newest(records: list[dict[str, Any]], kind: str) -> dict[str, Any] | None:
    return next((record for record in reversed(records) if record.get("type") == kind), None)


def line(status: dict[str, Any], records: list[dict[str, Any]]) -> str:
    counters = status["counters"]
    parts = [f"{counters['messages']:,} messages", f"{counters['records']:,} records"]
    if trade := newest(records, "trade"):
        parts.append(f"last trade: {trade['side']} {trade['amount']} {trade['symbol']} at {trade['price']}")
    if ticker := newest(records, "ticker"):
        parts.append(f"bid {ticker['bid']}, ask {ticker['ask']}")
    return "   ".join(parts)


def main() -> None:
    status, _, log = sys.stdin.read().partition("\n--- records\n")
    print(line(json.loads(status), documents(log)))


if __name__ == "__main__":
    main()
