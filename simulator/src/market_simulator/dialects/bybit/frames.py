"""Bybit's messages: topics, bars and data. The order of the keys differs between the categories, as recorded."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from market_simulator.dialects.bybit.books import DEPTHS, BookMessage
from market_simulator.dialects.bybit.symbols import SPOT, Listing
from market_simulator.dialects.bybit.trade_ids import id_of
from market_simulator.engine.candles import MINUTE, Bar, Candle
from market_simulator.engine.contracts import Liquidation
from market_simulator.engine.events import Level, TradeRow
from market_simulator.engine.quantities import plain

_HOUR: Final = 3_600_000
_DAY: Final = 24 * _HOUR
_MINUTES: Final = [Bar(f"{n}", n * MINUTE.length_ms) for n in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)]
_DAYS: Final = [Bar("D", _DAY), Bar("W", 7 * _DAY, 3 * _DAY)]  # weeks open on Mondays, and 1970-01-01 was a Thursday
BARS: Final = {bar.name: bar for bar in (*_MINUTES, *_DAYS)}
"""The supported intervals, up to one week."""

KLINES: Final = {f"kline.{name}": bar for name, bar in BARS.items()}
BOOKS: Final = {f"orderbook.{depth}": depth for depth in DEPTHS}
TRADES: Final = "publicTrade"
TICKERS: Final = "tickers"
LIQUIDATIONS: Final = "allLiquidation"
CHANNELS: Final = frozenset({TRADES, TICKERS, *BOOKS, *KLINES})
"""The public topics of both categories without their symbols. Linear also has `LIQUIDATIONS`."""
TRADES_A_MESSAGE: Final = 1024


def compact(value: Any) -> str:
    """Encode JSON without blanks."""
    return json.dumps(value, separators=(",", ":"))


def liquidations(listing: Listing, push_ms: int, rows: Iterable[Liquidation]) -> str:
    """Positions closed by force. `S` is the side of the position: Buy is a long one, which a sell order closes."""
    data = [
        {
            "T": row.ts_ms, "s": listing.name, "S": "Buy" if row.side == "sell" else "Sell",
            "v": row.contracts, "p": row.price,
        }
        for row in rows
    ]  # fmt: skip
    return _message(listing, LIQUIDATIONS, "snapshot", push_ms, compact(data), "")


@dataclass(frozen=True, slots=True)
class TradeLine:
    """One fill, with the tick direction that linear trades have."""

    row: TradeRow
    place: int
    direction: str


def trades(listing: Listing, symbol: str, push_ms: int, lines: Sequence[TradeLine]) -> str:
    """A message of at most `TRADES_A_MESSAGE` new trades. Its type is "snapshot"."""
    write = _spot_trade if listing.category == SPOT else _linear_trade
    data = ",".join([write(listing, symbol, line) for line in lines])
    return _message(listing, TRADES, "snapshot", push_ms, f"[{data}]", "")


def _spot_trade(listing: Listing, symbol: str, line: TradeLine) -> str:
    row = line.row
    return (
        f'{{"i":"{id_of(symbol, row, line.place)}","T":{row.ts_ms},"p":"{row.price}",'
        f'"v":"{row.sizes[line.place]}","S":"{side(row)}","seq":{row.sequence},"s":"{listing.name}",'
        f"{_flags(row)}}}"
    )


def _linear_trade(listing: Listing, symbol: str, line: TradeLine) -> str:
    row = line.row
    return (
        f'{{"T":{row.ts_ms},"s":"{listing.name}","S":"{side(row)}","v":"{row.sizes[line.place]}",'
        f'"p":"{row.price}","L":"{line.direction}","i":"{id_of(symbol, row, line.place)}",'
        f'{_flags(row)},"seq":{row.sequence}}}'
    )


def _flags(row: TradeRow) -> str:
    """Whether it is a block trade, or with an order for retail prices."""
    return f'"BT":{flag(row, "BT")},"RPI":{flag(row, "RPI")}'


def flag(row: TradeRow, source: str) -> str:
    """Whether a trade is of this kind, as JSON."""
    return "true" if row.source == source else "false"


def side(row: TradeRow) -> str:
    """The taker's side."""
    return "Buy" if row.side == "buy" else "Sell"


def orderbook(listing: Listing, message: BookMessage) -> str:
    """Encode a message of an order book topic."""
    bids, asks = message.content()
    data = (
        f'{{"s":"{listing.name}","b":{levels(bids)},"a":{levels(asks)},"u":{message.update},"seq":{message.sequence}}}'
    )
    channel, cts = f"orderbook.{message.depth}", f',"cts":{message.ts_ms}'
    return _message(listing, channel, message.kind, message.push_ms, data, cts)


def levels(rows: Iterable[Level]) -> str:
    """The levels of a side: `[["price","size"],...]`. Size "0" deletes one."""
    pairs = [f'["{price}","{size}"]' for _, price, size, _ in rows]
    return f"[{','.join(pairs)}]"


def spot_ticker(listing: Listing, push_ms: int, sequence: int, row: dict[str, str]) -> str:
    """The whole ticker of spot, which has no bid and ask."""
    head = f'"topic":"{TICKERS}.{listing.name}","ts":{push_ms},"type":"snapshot","cs":{sequence}'
    return f'{{{head},"data":{compact(row)}}}'


def linear_ticker(listing: Listing, kind: str, push_ms: int, sequence: int, row: dict[str, str]) -> str:
    """A ticker of linear: a whole row, or a delta with the changed fields only."""
    head = f'"topic":"{TICKERS}.{listing.name}","type":"{kind}","data":{compact({"symbol": listing.name} | row)}'
    return f'{{{head},"cs":{sequence},"ts":{push_ms}}}'


def kline(listing: Listing, bar: Bar, push_ms: int, rows: Sequence[str]) -> str:
    """A message of candles, each from `kline_row`."""
    topic, data = f'"topic":"kline.{bar.name}.{listing.name}"', f'"data":[{",".join(rows)}],"ts":{push_ms}'
    if listing.category == SPOT:
        return f'{{"type":"snapshot",{topic},{data}}}'
    return f'{{{topic},{data},"type":"snapshot"}}'


def kline_row(listing: Listing, bar: Bar, candle: Candle, is_closed: bool, traded_ms: int) -> str:
    """A candle. `end` is its last millisecond; `traded_ms` is the time of the newest trade."""
    end_ms = candle.open_ms + bar.length_ms - 1
    prices = [f'"{name}":"{getattr(candle, name)}"' for name in ("open", "close", "high", "low")]
    return (
        f'{{"start":{candle.open_ms},"end":{end_ms},"interval":"{bar.name}",{",".join(prices)},'
        f'"volume":"{plain(candle.volume)}","turnover":"{plain(candle.turnover[1])}",'
        f'"confirm":{"true" if is_closed else "false"},"timestamp":{min(traded_ms, end_ms)}}}'
    )


def _message(listing: Listing, channel: str, kind: str, push_ms: int, data: str, after: str) -> str:
    """A message of trades or books."""
    times = [f'"ts":{push_ms}', f'"type":"{kind}"']
    first, second = times if listing.category == SPOT else times[::-1]
    return f'{{"topic":"{channel}.{listing.name}",{first},{second},"data":{data}{after}}}'
