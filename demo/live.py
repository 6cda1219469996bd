"""The live table of the demo and the quick start, from a collector's /status and its newest records.

As a program it reads both from standard input: the status, a line `--- records`, then log lines.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """A status document, when it was read (monotonic seconds), and the newest records."""

    status: Document
    at: float
    records: tuple[Document, ...] = ()


def table(look: Look, before: Look | None) -> list[str]:
    """Lines of at most 80 columns: streams, rates since `before`, gaps and reconnections."""
    status, counters = look.status, look.status["counters"]
    reason = f" ({status['reason']})" if status["reason"] else ""
    lines = [f"{status['name']}: {status['health']}{reason}", ""]
    lines += [f"{'STREAM':24} {'STATE':10} LAST DELIVERED"]
    lines += [f"{each['stream']:24} {each['state']:10} {each.get('delivered') or '-'}" for each in status["streams"]]
    messages, records = (rate(look, before, name) for name in ("messages", "records"))
    gaps = f"{counters['gapsDetected']} detected, {counters['gapsRepaired']} filled, {open_gaps(status)} open"
    return [
        *lines,
        "",
        f"messages       {counters['messages']:>10,}   {messages}",
        f"records        {counters['records']:>10,}   {records}",
        f"gaps           {gaps}",
        f"reconnections  {counters['reconnections']}",
        *(f"{label:15}{text}" for label, text in market(look.records)),
    ]


def open_gaps(status: Document) -> int:
    return sum(gap["state"] == "open" for gap in status["gaps"])


def rate(look: Look, before: Look | None, counter: str) -> str:
    """Such as `41.2 a second`; empty without an earlier look."""
    if before is None or look.at <= before.at:
        return ""
    difference = look.status["counters"][counter] - before.status["counters"][counter]
    return f"{difference / (look.at - before.at):.1f} a second"


def documents(text: str) -> list[Document]:
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


def newest(records: Sequence[Document], kind: str) -> Document | None:
    return next((record for record in reversed(records) if record.get("type") == kind), None)


def market(records: Sequence[Document]) -> list[tuple[str, str]]:
    """The last trade and the best prices, each with its label."""
    parts = []
    if trade := newest(records, "trade"):
        parts.append(("last trade", f"{trade['side']} {trade['amount']} {trade['symbol']} at {trade['price']}"))
    if ticker := newest(records, "ticker"):
        parts.append(("top of book", f"bid {ticker['bid']}, ask {ticker['ask']}"))
    return parts


def line(status: Document, records: list[Document]) -> str:
    """Counters, last trade and best prices in one line."""
    counters = status["counters"]
    parts = [f"{counters['messages']:,} messages", f"{counters['records']:,} records"]
    return "   ".join([*parts, *(f"{label}: {text}" for label, text in market(records))])


def main() -> None:
    status, _, log = sys.stdin.read().partition("\n--- records\n")
    print(line(json.loads(status), documents(log)))


if __name__ == "__main__":
    main()
