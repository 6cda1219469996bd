"""``make bench-levels``: the cost of a book update on each exchange, with the same levels in its own format.

ROUNDS sets the number of rounds (25). All exchanges are read in turn, and the order alternates.
"""

import gc
import os
import time
from statistics import median

from bench import dialects, results
from bench.dialects import NAMES, ExchangeName
from bench.rounds import spread

from market_collector.exchanges.binance.exchange import MARKET, Binance
from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.exchanges.interface import Exchange
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.effects import Effect, Emit, Fetch
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream
from market_collector.net.clock import read_clock

LOOPS = 20
GOAL = results.Goal(1.15)
BYBIT_ACK = b'{"success":true,"ret_msg":"subscribe","conn_id":"x","op":"subscribe","req_id":"1"}'
EXCHANGES: dict[ExchangeName, tuple[type[Exchange], str, int | None, bytes | None]] = {
    "okx": (Okx, "public", None, None),
    "binance": (Binance, MARKET, 500, b'{"result":null,"id":1}'),
    "bybit": (Bybit, "spot", 1_000, BYBIT_ACK),
}
"""Class, route, depth, and the answer to the request if the snapshot waits for it."""


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
        kind, route, depth, ack = EXCHANGES[self.exchange]
        exchange, wanted, now = kind(), [Stream(dialects.INSTRUMENT, DataType.ORDERBOOK)], read_clock()
        ledger = Ledger(self.exchange, wanted, 60.0, now, book_rule=exchange.books)
        feed = Feed(route, exchange, wanted, ledger, ping_interval_s=20.0, book_depth=depth)
        feed.opened(now)
        if ack is not None:
            feed.received(ack, now)
        if exchange.book_snapshots is None:
            feed.received(self._snapshot, now)
        else:
            later = Moment(now.at + 1.0, now.wall_ns + 1_000_000_000)
            (fetch,) = (effect for effect in feed.woken(later) if isinstance(effect, Fetch))
            feed.answered(fetch, self._snapshot, later)
        return feed


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
