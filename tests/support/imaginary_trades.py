"""Trades of an imaginary exchange whose ids are not dense, and whose recent trades REST shows."""

import json
from collections.abc import Sequence
from typing import Any

from imaginary_exchange import NAME, ImaginaryExchange
from market_collector.errors import FrameError
from market_collector.exchanges.interface import Request
from market_collector.feed.effects import Answer, Effect, Emit, Fetch, Question
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Record, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)
PAGE = 5
"""Trades of an answer."""


def at(seconds: float) -> Moment:
    return Moment(seconds, int(seconds * 1e9))


class ImaginaryRecent:
    """Answers are ``[[id, exchange time], ...]``, oldest first."""

    def request(self, stream: Stream) -> Request:
        return Request(f"/recent?symbol={stream.symbol}&limit={PAGE}")

    def read(self, stream: Stream, body: bytes, receive_time_ns: int) -> Sequence[Trade]:
        try:
            rows = json.loads(body)
        except ValueError as error:
            raise FrameError(f"{stream}: {error}", stream) from error
        return [
            Trade(NAME, stream.symbol, time_ns, receive_time_ns, name, name, 1, "buy", "1", "2", backfilled=True)
            for name, time_ns in rows
        ]


class TradeMarket:
    """The exchange's truth: trades named by letters, one a second, of which each has its number as exchange time."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int]] = []

    def trade(self, *names: str) -> None:
        """Trade."""
        for name in names:
            self.rows.append((name, len(self.rows) + 1))

    def time_of(self, name: str) -> int:
        return dict(self.rows)[name]

    def recent(self, count: int = PAGE) -> bytes:
        """The answer about the newest trades."""
        return json.dumps(self.rows[-count:]).encode()


class TradeLife:
    """Connections that carry the same trades, with one ledger."""

    def __init__(self, *traded: str, ledger: Ledger | None = None) -> None:
        self.exchange = ImaginaryExchange(has_dense_trade_ids=False, recent_trades=ImaginaryRecent())
        self.ledger = ledger or Ledger(NAME, [TRADES], 60.0, at(0), has_dense_trade_ids=False)
        self.progress = self.ledger.trades.streams[TRADES]
        self.market = TradeMarket()
        self.records: list[Record] = []
        """Everything emitted, in order."""
        self._requests: list[Fetch] = []
        self.market.trade(*traded)

    def connect(self, seconds: float, *, is_acked: bool = True) -> Feed:
        """Another connection, whose request the exchange has accepted."""
        feed = Feed("all", self.exchange, [TRADES], self.ledger, ping_interval_s=20.0)
        self.keep(feed.opened(at(seconds)))
        if is_acked:
            self.gets(feed, {"acknowledged": [str(TRADES)]}, seconds)
        return feed

    def gets(self, feed: Feed, message: dict[str, Any], seconds: float) -> list[Effect]:
        return self.keep(feed.received(json.dumps(message).encode(), at(seconds)))

    def brings(self, feed: Feed, *names: str, seconds: float) -> None:
        """The connection brings trades, one a message. They happen now unless they have before."""
        for name in names:
            if name not in dict(self.market.rows):
                self.market.trade(name)
            time_ns = self.market.time_of(name)
            self.gets(feed, {"trade": "BTC-USDT", "id": name, "at": time_ns}, seconds)

    def lose(self, feed: Feed, seconds: float) -> None:
        """The connection is lost."""
        self.keep(feed.closed("reset", at(seconds)))

    def wakes(self, feed: Feed, seconds: float) -> list[Fetch]:
        """Let time pass. Returns the requests for recent trades since the last call."""
        self.keep(feed.woken(at(seconds)))
        requests, self._requests = self._requests, []
        return requests

    def asks(self, feed: Feed, seconds: float) -> Fetch:
        """Let time pass. Returns the last request for recent trades, of which there must be one."""
        return self.wakes(feed, seconds)[-1]

    def answers(self, feed: Feed, fetch: Fetch, answer: Answer, seconds: float) -> list[Effect]:
        return self.keep(feed.answered(fetch, answer, at(seconds)))

    def learns(self, feed: Feed, seconds: float) -> None:
        """Ask for the recent trades, and answer with the market's."""
        self.answers(feed, self.asks(feed, seconds), self.market.recent(), seconds)

    def keep(self, effects: Sequence[Effect]) -> list[Effect]:
        self.records += [record for effect in effects if isinstance(effect, Emit) for record in effect.records]
        self._requests += [each for each in effects if isinstance(each, Fetch) and each.question is Question.RECENT]
        return list(effects)

    def emitted(self) -> list[str]:
        """The records so far in short, and forgets them: names of trades (in capitals if backfilled), and events."""
        records, self.records = self.records, []
        return [shown for record in records if (shown := short(record))]


def short(record: Record) -> str:
    """Return a trade's name, in capitals if it was backfilled, or an event with its bounds; "" for connections."""
    kind = type(record).__name__.lower()
    match kind:
        case "trade":
            assert isinstance(record, Trade)
            return record.trade_id.upper() if record.backfilled else record.trade_id
        case "gap" | "repaired" | "lost":
            fields: Any = record
            recovered = "" if kind == "gap" else f" {fields.recovered}"
            assert fields.missing in (None, 0)
            word = "filled" if kind == "repaired" else kind
            return f"{word} {fields.from_time_ns}-{fields.to_time_ns}{recovered}"
        case "recording":
            times: Any = record
            return f"whole {times.from_time_ns}-{times.to_time_ns}"
    return ""
