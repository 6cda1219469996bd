"""Binance's REST APIs of spot and of USD-M perpetuals: their hosts, budgets, requests and weights in one table.

exchange.py names the sources.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from market_collector.exchanges.binance.rows import TradeRow, is_perpetual, native_name, trade_of
from market_collector.exchanges.decimals import Id
from market_collector.exchanges.interface import REST, Budget, Request
from market_collector.model.events import Trade
from market_collector.model.streams import DataType, Stream
from market_spec import names

PERPETUAL_REST = "perpetual-rest"
"""Name of the host."""
FUNDING = "funding-history"
"""Bucket of settled rates. They have no weight but a limit of their own: 500 requests in 5 minutes."""


class Call(NamedTuple):
    """A request: its path with fields in braces, below that of the API, and its weight."""

    path: str
    weight: float


class TradeMark(msgspec.Struct, gc=False):
    """The id of a fill."""

    id: Id


class AggregateMark(TradeMark, gc=False):
    """The id of an aggregate trade."""

    id: Id = msgspec.field(name="a")


class Market(msgspec.Struct, frozen=True):
    """The REST API of one kind of instrument."""

    path: str
    weight_per_minute: int
    """What the exchange accepts from an address."""
    budget: Budget
    """At most half of that, as others share the address."""
    instruments: Call
    state: Call
    """Of one instrument, or of all where there is no other."""
    overview: Call
    newest: Mapping[DataType, Call]
    trades: Call
    """Past trades, ascending."""
    candles: Call
    """Past candles, ascending."""
    books: Mapping[int, Call]
    """Snapshots by their number of levels."""
    trade_marks: type[Sequence[TradeMark]]
    """Wire type of the newest trades."""
    past_trade: Callable[[str, int, msgspec.Raw], Trade]
    """Makes the record of a past trade of a symbol, received at a time in nanoseconds. Raises one of `UNREADABLE`."""
    tickers_have_trade_ids: bool
    tickers_have_best_prices: bool
    host: str = REST
    bucket: str = ""

    def request(self, call: Call, stream: Stream | None = None, **fields: object) -> Request:
        """Return a request, of a stream with its symbol and interval."""
        if stream is not None:
            fields |= {"symbol": native_name(stream.symbol), "interval": stream.interval}
        return Request(
            f"{self.path}/{call.path.format_map(fields)}", host=self.host, bucket=self.bucket, cost=call.weight
        )


def _past_fill(symbol: str, receive_time_ns: int, row: msgspec.Raw) -> Trade:
    return trade_of(symbol, msgspec.json.decode(row, type=TradeRow), receive_time_ns)


def _past_aggregate(symbol: str, receive_time_ns: int, row: msgspec.Raw) -> Trade:
    from market_collector.exchanges.binance import futures  # only for perpetuals

    aggregate = msgspec.json.decode(row, type=futures.Aggregate)
    return futures.trade_of(symbol, aggregate, receive_time_ns, is_history=True)


def _books(weights: Mapping[int, float]) -> Mapping[int, Call]:
    return {levels: Call(f"depth?symbol={{symbol}}&limit={levels}", weight) for levels, weight in weights.items()}


SPOT = Market(
    path="/api/v3",
    weight_per_minute=6000,
    budget=Budget(per_second=45.0, capacity=300.0),
    instruments=Call("exchangeInfo?showPermissionSets=false", 20),
    state=Call("exchangeInfo?symbol={symbol}&showPermissionSets=false", 20),
    overview=Call("ticker/24hr", 80),
    newest={
        DataType.TRADE: Call("trades?symbol={symbol}&limit=1", 25),
        DataType.ORDERBOOK: Call("depth?symbol={symbol}&limit=1", 5),
        DataType.TICKER: Call("ticker/24hr?symbol={symbol}", 2),
        DataType.CANDLE: Call("klines?symbol={symbol}&interval={interval}&limit=1", 2),
    },
    trades=Call("historicalTrades?symbol={symbol}&fromId={first}&limit={size}", 25),
    candles=Call("klines?symbol={symbol}&interval={interval}&startTime={start_ms}&limit={size}", 2),
    books=_books({100: 5, 500: 25, 1000: 50, 5000: 250}),
    trade_marks=list[TradeMark],
    past_trade=_past_fill,
    tickers_have_trade_ids=True,
    tickers_have_best_prices=True,
)
PERPETUALS = Market(
    path="/fapi/v1",
    host=PERPETUAL_REST,
    bucket=names.PERPETUAL,
    weight_per_minute=2400,
    budget=Budget(per_second=18.0, capacity=120.0),
    instruments=Call("exchangeInfo", 1),
    state=Call("exchangeInfo", 1),
    overview=Call("ticker/24hr", 40),
    newest={
        DataType.TRADE: Call("aggTrades?symbol={symbol}&limit=1", 20),
        DataType.ORDERBOOK: Call("depth?symbol={symbol}&limit=5", 2),
        DataType.TICKER: Call("ticker/24hr?symbol={symbol}", 1),
        DataType.CANDLE: Call("klines?symbol={symbol}&interval={interval}&limit=1", 1),
        **dict.fromkeys((DataType.FUNDING, DataType.MARKPRICE), Call("premiumIndex?symbol={symbol}", 1)),
    },
    trades=Call("aggTrades?symbol={symbol}&fromId={first}&limit={size}", 20),
    candles=Call("klines?symbol={symbol}&interval={interval}&startTime={start_ms}&limit={size}", 5),
    books=_books({100: 5, 500: 10, 1000: 20}),
    trade_marks=list[AggregateMark],
    past_trade=_past_aggregate,
    tickers_have_trade_ids=False,
    tickers_have_best_prices=False,
)
MARKETS: Mapping[str, Market] = {names.SPOT: SPOT, names.PERPETUAL: PERPETUALS}
"""By kind of instrument."""
BUDGETS: Mapping[str, Budget] = {
    **{market.bucket: market.budget for market in MARKETS.values()}, FUNDING: Budget(per_second=0.8, capacity=10.0)
}  # fmt: skip
"""By bucket. Each has at most half of the exchange's limit."""
WEIGHTS_PER_MINUTE: Mapping[str, int] = {
    **{market.bucket: market.weight_per_minute for market in MARKETS.values()}, FUNDING: PERPETUALS.weight_per_minute
}  # fmt: skip
"""What a header counts of an address, by bucket."""


def market_of(stream: Stream) -> Market:
    """Return the API of the stream's instrument."""
    return PERPETUALS if is_perpetual(stream.symbol) else SPOT
