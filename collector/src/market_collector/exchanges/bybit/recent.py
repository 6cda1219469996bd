"""Bybit's newest trades over REST, the only history of trades (section 7)."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from market_collector.exchanges.bybit.answers import read_result, reading
from market_collector.exchanges.bybit.names import NAME, SPOT, category, native_name
from market_collector.exchanges.bybit.pushes import SIDES, TradeId, kind_of
from market_collector.exchanges.decimals import LATEST_MS, check_decimals, integer_of
from market_collector.exchanges.interface import Request
from market_collector.model.events import Trade
from market_collector.model.streams import LARGEST_ID, Stream

PATH = "/v5/market/recent-trade"
SPOT_ROWS, LINEAR_ROWS = 60, 1000
"""Most trades of an answer."""


class RecentRow(msgspec.Struct, gc=False):
    """A fill; ``execId`` is the id of the connection's message.

    ``{"execId":"2290000001190010739","symbol":"BTCUSDT","price":"64104.5","size":"0.00325","side":"Sell",
    "time":"1786538700833","isBlockTrade":false,"isRPITrade":false,"seq":"112571834644"}``
    """

    execId: TradeId
    price: str
    size: str
    side: Literal["Buy", "Sell"]
    time: str
    isBlockTrade: bool = False
    isRPITrade: bool = False
    seq: str = ""


class RecentList(msgspec.Struct, gc=False):
    """``{"category":"spot","list":[RecentRow, ...]}``, newest first."""

    list: list[RecentRow]


def request_of(stream: Stream, rows: int) -> Request:
    """Return the request for the newest trades of a stream."""
    return Request(f"{PATH}?category={category(stream.symbol)}&symbol={native_name(stream.symbol)}&limit={rows}")


class BybitRecent:
    """The newest 60 trades of a spot instrument, and 1,000 of a contract."""

    def request(self, stream: Stream) -> Request:
        """Request as many as there are."""
        return request_of(stream, SPOT_ROWS if category(stream.symbol) == SPOT else LINEAR_ROWS)

    def read(self, stream: Stream, body: bytes, receive_time_ns: int) -> Sequence[Trade]:
        """Read the trades."""
        answer, _ = read_result(stream, body, RecentList)
        with reading(stream, body):
            return [_trade(stream.symbol, row, receive_time_ns) for row in reversed(answer.list)]


def _trade(symbol: str, row: RecentRow, receive_time_ns: int) -> Trade:
    check_decimals((row.price, row.size))
    sequence = integer_of(row.seq, LARGEST_ID) if row.seq else None
    kind = kind_of(is_block=row.isBlockTrade, is_rpi=row.isRPITrade)
    time_ns = integer_of(row.time, LATEST_MS) * 1_000_000
    return Trade(
        NAME, symbol, time_ns, receive_time_ns, row.execId, row.execId, 1, SIDES[row.side], row.price, row.size,
        sequence, True, kind,
    )  # fmt: skip
