"""``make bench-levels``: the cost of a book update on each exchange, with the same levels in its own format.

ROUNDS sets the number of rounds (25). All exchanges are read in turn, and the order alternates.
"""

import gc
import os
import time
from statistics import median

from bench import dialects, feeds, results
from bench.dialects import NAMES, ExchangeName
from bench.rounds import spread

from market_collector.feed.effects import Effect, Emit
from market_collector.feed.feed import Feed
from market_collector.model.streams import DataType, Stream
from market_collector.net.clock import read_clock

LOOPS = 20
GOAL = results.Goal(1.15)


class SurpriseError(Exception):
    """A tape caused something else than one record for each update."""


class Tape:
    """The snapshot and the updates of one exchange."""

    def __init__(self, exchange: ExchangeName, loops: int = LOOPS) -> None:
        snapshot, updates = dialects.snapshot_and_updates(exchange, loops)
        self.exchange = exchange
        self._snapshot = snapshot.encode()
        self._updates = [update.encode() for update in updates]

    def read(self) -> float:
        """Read all updates on a new connection. Returns microseconds of CPU time for each.

        Raises:
            SurpriseError: It was not one record for each update, so the number would be meaningless.
        """
        feed, records, surprises = self._synced(), 0, list[Effect]()
        gc.collect()
        started = time.process_time_ns()
        for frame in self._updates:
            for effect in feed.received(frame, read_clock()):
                if type(effect) is Emit:
                    records += len(effect.records)
                else:
                    surprises.append(effect)
        cpu_ns = time.process_time_ns() - started
        if records != len(self._updates) or surprises:
            raise SurpriseError(f"{self.exchange}: {records} of {len(self._updates)} records, {surprises[:3]}")
        return cpu_ns / len(self._updates) / 1_000

    def _synced(self) -> Feed:
        """Return a feed that has the snapshot."""
        stream = Stream(dialects.INSTRUMENT, DataType.ORDERBOOK)
        if feeds.EXCHANGES[self.exchange].book_snapshots is None:
            return feeds.synced(self.exchange, [stream], [self._snapshot], {})
        return feeds.synced(self.exchange, [stream], [], {stream: self._snapshot})


def measure(rounds: int) -> list[dict[ExchangeName, float]]:
    """Return the microseconds of each exchange, round by round."""
    tapes = [Tape(exchange) for exchange in NAMES]
    for tape in tapes:
        tape.read()  # warms the caches and specialises the code
    return [{tape.exchange: tape.read() for tape in tapes[:: 1 if number % 2 else -1]} for number in range(rounds)]


def main() -> None:
    """Measure, print the table and write the result file."""
    rounds = measure(int(os.environ.get("ROUNDS", "25")))
    document: results.Document = {**results.place(), "rounds": len(rounds)}
    rows = [("", "us an update", "of OKX's", "goal")]
    for exchange in NAMES:
        cost, ratio = (each[exchange] for each in rounds), [each[exchange] / each["okx"] for each in rounds]
        document[f"{exchange}_us"] = spread(cost).document()
        document[f"{exchange}_ratio"] = spread(ratio).document()
        us = document[f"{exchange}_us"]["median"]
        rows.append((exchange, f"{us:.1f}", f"{median(ratio):.2f}", GOAL.verdict(median(ratio))))
    print(results.table(rows))
    results.write("levels.json", document)


if __name__ == "__main__":
    main()
