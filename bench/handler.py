"""Our side of the handler measurements: a child process that passes the tape to `Feed.received`.

It measures the work from a frame's bytes to record objects: decoding, continuity checks, book and records. A function
counts the records instead of a sink. `bench/peer/handler.py` is the other side.
"""

import gc
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from bench import feeds, frames, passes, tapes
from bench.dialects import SYMBOLS
from bench.passes import Pass, Read

from market_collector.feed.effects import Effect, Emit
from market_collector.feed.feed import Feed
from market_collector.model.streams import DataType, Stream
from market_collector.net.clock import read_clock

NAMES = {"Trade": "trades", "Orderbook": "books", "Ticker": "tickers"}
TYPES = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)


def reader(kind: passes.Kind) -> Read:
    """Create a function that reads a tape of this kind on a new connection."""
    if kind == "binance" or kind == "bybit":
        return _reader_of(kind)
    trades: frames.Trades = "trades-all" if kind == "sequence" else "trades"
    tape = [text.encode() for text in frames.tape(kind, range(passes.LOOPS), trades=trades)]
    return lambda: read(tape)


def _reader_of(kind: tapes.Kind) -> Read:
    tape, suffix = tapes.tape(kind, passes.LOOPS, "ours"), "-PERP" if kind == "bybit" else ""
    names = {symbol: f"{symbol.removesuffix('USDT')}-USDT{suffix}" for symbol in SYMBOLS.values()}
    wanted = [Stream(name, each) for name in names.values() for each in TYPES]
    start, measured = ([text.encode() for text in texts] for texts in (tape.start, tape.frames))
    answers = {Stream(names[symbol], DataType.ORDERBOOK): text.encode() for symbol, text in tape.answers.items()}
    return lambda: read_with(feeds.synced(kind, wanted, start, answers), measured)


def read(tape: Sequence[bytes], books: int = 2) -> Pass:
    """Read a tape of OKX on a new connection."""
    return read_with(new_feed(books), tape)


def read_with(feed: Feed, tape: Sequence[bytes]) -> Pass:
    """Read a tape, as `net.session.Session` does."""
    counts, surprises = defaultdict[type, int](int), list[Effect]()
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
    feed, _ = feeds.opened("okx", "public", wanted)
    return feed


if __name__ == "__main__":
    passes.serve(reader)
