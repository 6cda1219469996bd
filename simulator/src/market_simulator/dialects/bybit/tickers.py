"""Rows of tickers. Linear tickers change field by field, spot ones come whole."""

from decimal import Decimal
from typing import Final

from market_simulator.dialects.bybit.symbols import Form, padded
from market_simulator.engine.candles import Candle
from market_simulator.engine.contracts import FUNDING_MS, Interest, Mark, Rate
from market_simulator.engine.events import Level
from market_simulator.engine.quantities import plain
from market_simulator.engine.venue import Board

_HOUR_MS: Final = 3_600_000
FUNDING_CAP: Final = "0.005"
_VOLUME_DECIMALS: Final = 4


class Direction:
    """The direction of the price of the newest trade: PlusTick, ZeroPlusTick, MinusTick or ZeroMinusTick."""

    def __init__(self) -> None:
        self.name = "ZeroPlusTick"
        self._price = ""

    def move(self, price: str) -> str:
        """Note a trade's price, and return its direction."""
        if self._price and Decimal(price) != Decimal(self._price):
            self.name = "PlusTick" if Decimal(price) > Decimal(self._price) else "MinusTick"
        elif self._price and not self.name.startswith("Zero"):
            self.name = f"Zero{self.name}"
        self._price = price
        return self.name


def spot_row(form: Form, board: Board) -> dict[str, str]:
    """The fields of spot. There is a trade."""
    day, last = board.day.candle(), _last_price(board)
    return {
        "symbol": form.name, "lastPrice": last, "highPrice24h": day.high, "lowPrice24h": day.low,
        "prevPrice24h": day.open, "volume24h": plain(day.volume), "turnover24h": plain(day.turnover[1]),
        "price24hPcnt": _change(day, last, 4), "usdIndexPrice": last,
    }  # fmt: skip


def linear_row(form: Form, board: Board, direction: str) -> dict[str, str]:
    """The fields of linear. There is a trade. "" means that a field has no value."""
    day, last = board.day.candle(), _last_price(board)
    hour, contract = board.candles.last_minutes(board.day.now_ms - _HOUR_MS), board.contract
    assert contract is not None
    turnover = padded(plain(round(day.turnover[1], _VOLUME_DECIMALS)), _VOLUME_DECIMALS)
    return {
        "tickDirection": direction, "price24hPcnt": _change(day, last, 6), "lastPrice": form.price(last),
        "prevPrice24h": form.price(day.open), "highPrice24h": form.price(day.high), "lowPrice24h": form.price(day.low),
        "prevPrice1h": form.price(hour[0].open), **_prices(form, contract.marks.newest()),
        **_interests(contract.interests.newest()), "turnover24h": turnover,
        "volume24h": padded(plain(day.volume), _VOLUME_DECIMALS), **_funding(contract.rates.newest()),
        **best(form, board),
        "preOpenPrice": "", "preQty": "", "curPreListingPhase": "",
    }  # fmt: skip


def _prices(form: Form, mark: Mark | None) -> dict[str, str]:
    if mark is None:
        return dict.fromkeys(("markPrice", "indexPrice"), "")
    return {"markPrice": form.price(mark.price), "indexPrice": form.price(mark.index)}


def _interests(interest: Interest | None) -> dict[str, str]:
    """The open interest of both sides and of one, each with its value."""
    row: dict[str, str] = {}
    for name, sides in (("openInterest", 2), ("singleOpenInterest", 1)):
        amount = interest and sides * interest.contracts
        value = interest and amount and f"{amount * Decimal(interest.price):.2f}"
        row |= {name: plain(amount) if amount else "", f"{name}Value": value or ""}
    return row


def _funding(rate: Rate | None) -> dict[str, str]:
    """The rate that is due next."""
    due = str(rate.due_ms) if rate else ""
    row = {"fundingIntervalHour": str(FUNDING_MS // _HOUR_MS), "fundingCap": FUNDING_CAP, "nextFundingTime": due}
    return row | {"fundingRate": plain(round(Decimal(rate.rate), 8)) if rate else ""}


def best(form: Form, board: Board) -> dict[str, str]:
    """The best bid and ask."""
    row: dict[str, str] = {}
    for name, side in (("bid1", board.book.bids), ("ask1", board.book.asks)):
        level = next(iter(side.best(1)), Level(0, "", "", ""))
        row |= {f"{name}Price": level.price and form.price(level.price), f"{name}Size": _size(form, level)}
    return row


def _size(form: Form, level: Level) -> str:
    return level.size and form.size(level.size)


def _last_price(board: Board) -> str:
    assert board.last is not None
    return board.last.price


def _change(day: Candle, last: str, decimals: int) -> str:
    """The change of the price in 24 hours as a fraction."""
    start = Decimal(day.open)
    return plain(round((Decimal(last) - start) / start, decimals))
