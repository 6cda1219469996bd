"""Feeds that have just subscribed, also with all snapshots for tapes that have none in their frames."""

from collections.abc import Iterable, Mapping

from market_collector.exchanges.binance.exchange import Binance
from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.exchanges.interface import Exchange
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.effects import Fetch, Question
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.moment import Moment
from market_collector.model.streams import Stream
from market_collector.net.clock import read_clock

EXCHANGES: Mapping[str, Exchange] = {"okx": Okx(), "binance": Binance(), "bybit": Bybit()}
DEPTHS: Mapping[str, int | None] = {"okx": None, "binance": 500, "bybit": 1_000}
"""Depths of the tapes' books."""
ACKS: Mapping[str, bytes] = {
    "binance": b'{"result":null,"id":1}',
    "bybit": b'{"success":true,"ret_msg":"subscribe","conn_id":"x","op":"subscribe","req_id":"1"}',
}
"""Answers to the only request. Data of OKX acknowledges each stream."""


def opened(
    name: str, route: str, wanted: list[Stream], *, has_quotes: bool = False, depth: int | None = None
) -> tuple[Feed, Ledger]:
    """Return the feed of a connection that has just subscribed, and its ledger."""
    exchange, now = EXCHANGES[name], read_clock()
    ledger = Ledger(
        name,
        wanted,
        60.0,
        now,
        has_quotes=has_quotes,
        book_rule=exchange.books,
        has_dense_trade_ids=exchange.has_dense_trade_ids,
    )
    feed = Feed(route, exchange, wanted, ledger, ping_interval_s=20.0, book_depth=depth)
    feed.opened(now)
    return feed, ledger


def synced(name: str, wanted: list[Stream], start: Iterable[bytes], answers: Mapping[Stream, bytes]) -> Feed:
    """Return the feed of one connection.

    Args:
        name: of the exchange.
        wanted: streams of one route.
        start: frames with snapshots.
        answers: snapshots over REST.
    """
    feed, _ = opened(name, EXCHANGES[name].route(wanted[0]), wanted, depth=DEPTHS[name])
    now = read_clock()
    for frame in [*filter(None, [ACKS.get(name)]), *start]:
        feed.received(frame, now)
    _answer(feed, answers, now)
    return feed


def _answer(feed: Feed, answers: Mapping[Stream, bytes], now: Moment) -> None:
    later = Moment(now.at + 1.0, now.wall_ns + 1_000_000_000)
    for effect in feed.woken(later) if answers else ():
        if isinstance(effect, Fetch) and effect.question is Question.SNAPSHOT and effect.stream is not None:
            feed.answered(effect, answers[effect.stream], later)
