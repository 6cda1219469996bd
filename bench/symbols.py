"""``make bench-symbols``: one collector with hundreds of symbols, at rest, scraped, and with changing books.

SYMBOLS (500) and SECONDS (20, of each part) change the run. bench/README.md explains the numbers.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import results, subjects
from bench.process import cpu_ns, memory
from bench.results import Goal
from bench.worker import Worker

from collector_program import Program, document, program

SYMBOLS = int(os.environ.get("SYMBOLS", "500"))
SECONDS = float(os.environ.get("SECONDS", "20"))
TRADES = 20.0
"""Trades a second of all symbols together."""
UPDATES = 500.0
"""Book updates a second of all symbols together, where books change."""
SCRAPES = 5
GOALS = {
    "rest_cpu_percent": Goal(5.0),
    "scraped_rss_peak_mb": Goal(110.0),
    "busy_rss_peak_mb": Goal(110.0),
    "scraped_delay_ms": Goal(20.0),
}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="market-collector-symbols-") as folder:
        written = results.place() | {"symbols": SYMBOLS} | rest(Path(folder)) | busy(Path(folder))
    print(results.table(rows(written)))
    print(f"\n{results.write('symbols.json', written)}")
    return 0


def rest(folder: Path) -> results.Document:
    """Books that do not change: CPU and memory without and with scrapes, and the delay of trades."""
    with collecting(folder / "rest", updates=0.0) as collector:
        pid = collector.process.pid
        percent, calm, before = share(pid), memory(pid), len(delays(collector))
        pages = {name: scrape(collector, f"/{name}") for name in ("metrics", "status")}
        scraped, late = memory(pid), delays(collector)
        return {
            "streams": len(collector.status()["streams"]),
            "rest_cpu_percent": round(percent, 2),
            "rest_rss_mb": round(calm.resident, 1),
            **{f"{name}_{field}": value for name, page in pages.items() for field, value in page.items()},
            "scraped_rss_mb": round(scraped.resident, 1),
            "scraped_rss_peak_mb": round(scraped.peak, 1),
            "rest_delay_ms": round(max(late[before - int(SECONDS * TRADES / 2) : before]), 1),
            "scraped_delay_ms": round(max(late[before:]), 1),
        }


def busy(folder: Path) -> results.Document:
    """Books that change: CPU and memory with a scrape."""
    with collecting(folder / "busy", updates=UPDATES) as collector:
        percent = share(collector.process.pid)
        scrape(collector, "/metrics")
        now, counters = memory(collector.process.pid), collector.status()["counters"]
        assert not counters["gapsDetected"], f"the collector had gaps: {counters}"
        return {
            "busy_updates_per_s": UPDATES,
            "busy_cpu_percent": round(percent, 1),
            "busy_rss_mb": round(now.resident, 1),
            "busy_rss_peak_mb": round(now.peak, 1),
        }


@contextmanager
def collecting(folder: Path, updates: float) -> Iterator[Program]:
    """A collector that has had all first data for `SECONDS`."""
    folder.mkdir()
    command = [sys.executable, "-m", "bench.calm", str(TRADES), str(updates)]
    with Worker(command, subjects.environment()) as exchange:
        address = f"127.0.0.1:{exchange.ask('listen')['port']}"
        with program(folder, config(address), "--state-dir", str(folder / "state")) as collector:
            collector.comes(collector.is_ready)
            time.sleep(SECONDS)
            yield collector


def config(address: str) -> dict[str, Any]:
    return document(
        None,
        symbol=None,
        symbols=[f"S{number:03d}-USDT" for number in range(SYMBOLS)],
        dataTypes=["trade", "orderbook", "ticker", "candle"],
        staleAfter="1h",  # most streams have no data during the run
        connection={"endpoint": {"websocket": f"ws://{address}", "rest": f"http://{address}"}},
    )


def share(pid: int) -> float:
    """CPU time within `SECONDS`, in percent of one core."""
    started, used = time.monotonic(), cpu_ns(pid)
    time.sleep(SECONDS)
    return (cpu_ns(pid) - used) / 1e7 / (time.monotonic() - started)


def scrape(collector: Program, path: str) -> results.Document:
    """Size of a page, and its CPU time: median of all but the first, which loads the client library."""
    costs, size = list[float](), 0
    for _ in range(1 + SCRAPES):
        used = cpu_ns(collector.process.pid)
        size = len(collector.get(path)[1])
        costs.append((cpu_ns(collector.process.pid) - used) / 1e6)
        time.sleep(0.5)
    return {"kb": round(size / 1e3), "cpu_ms": round(sorted(costs[1:])[SCRAPES // 2], 1)}


def delays(collector: Program) -> list[float]:
    """Milliseconds from the exchange's time to ours, of every trade so far."""
    with collector.output.open("rb") as lines:
        trades = (json.loads(line) for line in lines if line.startswith(b'{"type":"trade"') and line.endswith(b"\n"))
        return [(trade["receive_time_ns"] - trade["exchange_time_ns"]) / 1e6 for trade in trades]


def rows(written: results.Document) -> Sequence[Sequence[str]]:
    """The result as rows of a table for people."""
    found = {name: goal.verdict(written[name]) for name, goal in GOALS.items()}
    return [("what", "value", "goal"), *((name, str(value), found.get(name, "")) for name, value in written.items())]


if __name__ == "__main__":
    sys.exit(main())
