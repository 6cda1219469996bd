"""Our side of the handler measurements: a child process that passes the tape to `Feed.received`.

It measures the work from a frame's bytes to record objects: decoding, continuity checks, book and records. A function
counts the records instead of a sink. `bench/peer/handler.py` is the other side.
"""

import gc
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from bench import frames, passes
from bench.passes import Pass, Read

from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.effects import Effect, Emit
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.streams import DataType, Stream
from market_collector.net.clock import read_clock

NAMES = {"Trade": "trades", "Orderbook": "books", "Ticker": "tickers"}
TYPES = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)


def reader(kind: frames.Kind) -> Read:
    """Create a function that reads a tape of this kind."""
    trades: frames.Trades = "trades-all" if kind == "sequence" else "trades"
    tape = [text.encode() for text in frames.tape(kind, range(passes.LOOPS), trades=trades)]
    return lambda: read(tape)


def read(tape: Sequence[bytes], books: int = 2) -> Pass:
    """Read a tape on a new connection, as `net.session.Session` does."""
    feed, counts, surprises = new_feed(books), defaultdict[type, int](int), list[Effect]()
    gc.collect()
    started = time.process_time_ns()
    for frame in tape:
        for effect in feed.received(frame, read_clock()):
            if type(effect) is Emit:
                for record in effect.records:
                    counts[type(record)] += 1
            else:
                surprises.append(effect)
    cpu_ns = time.process_time_ns() - started
    by_name = Counter({NAMES.get(kind.__name__, kind.__name__): count for kind, count in counts.items()})
    return Pass(cpu_ns, len(tape), by_name, [str(effect) for effect in surprises])


def new_feed(books: int) -> Feed:
    """A feed that has just subscribed to all streams of the tape."""
    wanted = [Stream(name, kind) for name in frames.instruments(books) for kind in TYPES]
    now = read_clock()
    feed = Feed("public", Okx(), wanted, Ledger("okx", wanted, 60.0, now), ping_interval_s=20.0)
    feed.opened(now)
    return feed


if __name__ == "__main__":
    passes.serve(reader)
