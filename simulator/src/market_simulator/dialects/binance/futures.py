"""USD-M perpetuals: their events and streams. Numbers have the decimals of the instrument.

Streams are on the path /public or /market. On the other path they are silent.
"""

import json
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

from market_simulator.dialects.binance import frames
from market_simulator.dialects.binance.frames import compact, rounded
from market_simulator.dialects.binance.publications import FillWriter, Publisher, newest
from market_simulator.engine.candles import Bar, Candle
from market_simulator.engine.contracts import Liquidation, Mark, Rate
from market_simulator.engine.events import BookChange, Key, Level
from market_simulator.engine.instruments import Instrument
from market_simulator.engine.quantities import decimals_of, fixed_text
from market_simulator.engine.venue import Board, Venue

DEPTHS: Final = {"depth@100ms": 100_000, "depth@500ms": 500_000}
"""The period of each depth stream in microseconds."""
MARKS: Final = {"markPrice@1s": 1_000_000, "markPrice": 3_000_000}
LIQUIDATIONS: Final = "forceOrder"
PUBLIC: Final = frozenset({"trade", "bookTicker", *DEPTHS})
MARKET: Final = frozenset({"aggTrade", "ticker", LIQUIDATIONS, *MARKS, *frames.KLINES} - {"kline_1s"})
_SECOND_US: Final = 1_000_000


def made_instrument(symbol: str, tick: str, lot: str) -> Instrument:
    """Create a perpetual; `tick` and `lot` are the steps of price and size. Sizes are in the base currency."""
    base, quote, _ = symbol.split("-")
    name = frames.native(symbol)
    row = {
        "symbol": name, "pair": name, "contractType": "PERPETUAL", "deliveryDate": 4133404802000,
        "onboardDate": 1569398400000, "status": "TRADING", "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000", "baseAsset": base, "quoteAsset": quote, "marginAsset": quote,
        "pricePrecision": 2, "quantityPrecision": 4, "baseAssetPrecision": 8, "quotePrecision": 8,
        "underlyingType": "COIN", "underlyingSubType": [], "triggerProtect": "0.0500", "liquidationFee": "0.020000",
        "marketTakeBound": "0.30", "maxMoveOrderLimit": 1000,
        "filters": [
            {"minPrice": tick, "tickSize": tick, "maxPrice": "809484", "filterType": "PRICE_FILTER"},
            {"minQty": lot, "filterType": "LOT_SIZE", "maxQty": "1000", "stepSize": lot},
        ],
        "orderTypes": ["LIMIT", "MARKET"], "timeInForce": ["GTC", "IOC"], "permissionSets": ["GRID"],
    }  # fmt: skip
    return Instrument(symbol, "SWAP", row)


def _trade(event_ms: int, name: str, fill_id: int, price: str, size: str, ts_ms: int, is_sell: bool) -> str:
    head = {"e": "trade", "E": event_ms, "T": ts_ms, "s": name}
    return compact({**head, "t": fill_id, "p": price, "q": size, "X": "MARKET", "m": is_sell})


def _aggregate(event_ms: int, name: str, fill_id: int, price: str, size: str, ts_ms: int, is_sell: bool) -> str:
    """An aggregate trade. Each fill is one, so its id is that of the fill."""
    head = {"e": "aggTrade", "E": event_ms, "a": fill_id, "s": name, "p": price, "q": size, "nq": size}
    return compact({**head, "f": fill_id, "l": fill_id, "T": ts_ms, "m": is_sell})


def levels(rows: Sequence[Level]) -> str:
    """The levels of a book over REST: `[["price","size"],...]`."""
    return compact([(level.price, level.size) for level in rows])


def mark_price(event_ms: int, name: str, mark: Mark, rate: Rate) -> str:
    """Mark and index price, and the funding rate that is due next."""
    price, index = (frames.eight(text) for text in (mark.price, mark.index))
    numbers = {"p": price, "ap": price, "P": index, "i": index, "r": rounded(frames.number(rate.rate))}
    return compact({"e": "markPriceUpdate", "E": event_ms, "s": name, **numbers, "T": rate.due_ms, "st": 1})


def force_order(event_ms: int, name: str, row: Liquidation) -> str:
    """The order that liquidates a position."""
    order = {
        "s": name, "S": row.side.upper(), "o": "LIMIT", "f": "IOC", "q": row.contracts, "p": row.price,
        "ap": row.price, "X": "FILLED", "l": row.contracts, "z": row.contracts, "T": row.ts_ms,
    }  # fmt: skip
    return compact({"e": LIQUIDATIONS, "E": event_ms, "o": order})


class FuturesPublisher(Publisher):
    """The events of one perpetual."""

    depths: Mapping[str, int] = DEPTHS
    fills: Mapping[str, FillWriter] = {"trade": _trade, "aggTrade": _aggregate}

    def __init__(self, board: Board, venue: Venue) -> None:
        super().__init__(board, venue)
        self._zero = fixed_text(0, decimals_of(board.instrument.row["filters"][1]["stepSize"]))
        self._seen = 0  # liquidations

    def tick(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Add mark prices, and once a second the largest liquidation since the last one."""
        pushes = super().tick(time_us, wanted)
        for stream, period_us in MARKS.items():
            if time_us % period_us == 0 and (keys := self.derived(stream, wanted)):
                pushes += self._mark(time_us // 1000, keys)
        return pushes + (self._liquidation(time_us // 1000, wanted) if time_us % _SECOND_US == 0 else [])

    def _mark(self, event_ms: int, keys: list[Key]) -> list[tuple[Key, str]]:
        assert self.board.contract is not None  # it is a perpetual
        mark, rate = self.board.contract.marks.newest(), self.board.contract.rates.newest()
        return self.pushes(keys, mark_price(event_ms, self.name, mark, rate)) if mark and rate else []

    def _liquidation(self, event_ms: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        assert self.board.contract is not None  # it is a perpetual
        history = self.board.contract.liquidations
        new, self._seen = history.after(self._seen), history.count
        keys = self.derived(LIQUIDATIONS, wanted)
        if not new or not keys:
            return []
        largest = max(new, key=lambda each: frames.number(each.contracts))
        return self.pushes(keys, force_order(event_ms, self.name, largest))

    def depth_text(self, event_ms: int, batch: Sequence[BookChange]) -> str:
        """An update, whose bids are in ascending order."""
        bids, asks = newest(change.bids for change in batch), newest(change.asks for change in batch)
        return self._update(event_ms, batch[0].previous, batch[0].sequence, batch[-1], bids, asks)

    def recorded_depth_text(self, change: BookChange) -> str:
        """An update as recorded."""
        first = change.first or change.previous + 1
        return self._update(change.time_us // 1000, change.previous, first, change, change.bids, change.asks)

    def _update(
        self, event_ms: int, previous: int, first: int, last: BookChange, bids: Sequence[Level], asks: Sequence[Level]
    ) -> str:
        """An update. `pu` is the `u` of the one before, and `U` is larger than `pu` plus 1."""
        sides = [self._levels(side) for side in (bids, asks)]
        times = f'"E":{event_ms},"T":{last.ts_ms},"s":"{self.name}","ps":"{self.name}"'
        numbers = f'"U":{first},"u":{last.sequence},"pu":{previous}'
        return f'{{"e":"depthUpdate",{times},{numbers},"b":{sides[0]},"a":{sides[1]},"st":1}}'

    def _levels(self, rows: Sequence[Level]) -> str:
        pairs = [f'["{price}","{self._zero if size == "0" else size}"]' for _, price, size, _ in rows]
        return f"[{','.join(pairs)}]"

    def top_text(self, change: BookChange, bid: Level, ask: Level) -> str:
        best = {"b": bid.price, "B": bid.size, "a": ask.price, "A": ask.size}
        head = {"e": "bookTicker", "u": change.sequence, "s": self.name, "ps": self.name}
        return compact({**head, **best, "T": change.ts_ms, "E": change.time_us // 1000, "st": 1})

    def kline_text(self, event_ms: int, bar: Bar, candle: Candle, is_closed: bool) -> str:
        """A candle, with blanks after the commas."""
        event = json.loads(super().kline_text(event_ms, bar, candle, is_closed))
        event["k"] |= {
            "o": candle.open,
            "c": candle.close,
            "h": candle.high,
            "l": candle.low,
            "v": f"{candle.volume:f}",
        }
        return json.dumps(event, separators=(", ", ":"))

    def ticker(self, now_ms: int) -> dict[str, Any] | None:
        """The statistics of the last 24 hours, which have no bid and ask here."""
        row = super().ticker(now_ms)
        return row and {name: value for name, value in row.items() if name not in ("x", "b", "B", "a", "A")}
