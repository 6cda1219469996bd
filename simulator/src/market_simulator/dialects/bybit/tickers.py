"""Rows of tickers. Linear tickers change field by field, spot ones come whole."""

from decimal import Decimal
from typing import Final

from market_simulator.dialects.bybit.symbols import Listing
from market_simulator.engine.candles import Candle
from market_simulator.engine.contracts import FUNDING_MS, Interest, Mark, Rate
from market_simulator.engine.events import Level
from market_simulator.engine.quantities import plain
from market_simulator.engine.venue import Board

_HOUR_MS: Final = 3_600_000
FUNDING_CAP: Final = "0.005"


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


def spot_row(listing: Listing, board: Board) -> dict[str, str]:
    """The fields of spot. There is a trade."""
    day, last = board.day.candle(), _last_price(board)
    return {
        "symbol": listing.name, "lastPrice": last, "highPrice24h": day.high, "lowPrice24h": day.low,
        "prevPrice24h": day.open, "volume24h": plain(day.volume), "turnover24h": plain(day.turnover[1]),
        "price24hPcnt": _change(day, last, 4), "usdIndexPrice": last,
    }  # fmt: skip


def linear_row(board: Board, direction: str) -> dict[str, str]:
    """The fields of linear. There is a trade. "" means that a field has no value."""
    day, last = board.day.candle(), _last_price(board)
    hour, contract = board.candles.last_minutes(board.day.now_ms - _HOUR_MS), board.contract
    assert contract is not None
    volume, turnover = (f"{amount:.4f}" for amount in (day.volume, day.turnover[1]))
    return {
        "tickDirection": direction, "price24hPcnt": _change(day, last, 6), "lastPrice": last,
        "prevPrice24h": day.open, "highPrice24h": day.high, "lowPrice24h": day.low,
        "prevPrice1h": hour[0].open, **_prices(contract.marks.newest()),
        **_interests(contract.interests.newest()), "turnover24h": turnover,
        "volume24h": volume, **_funding(contract.rates.newest()),
        **best(board),
        "preOpenPrice": "", "preQty": "", "curPreListingPhase": "",
    }  # fmt: skip


def _prices(mark: Mark | None) -> dict[str, str]:
    if mark is None:
        return dict.fromkeys(("markPrice", "indexPrice"), "")
    return {"markPrice": mark.price, "indexPrice": mark.index}


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


def best(board: Board) -> dict[str, str]:
    """The best bid and ask."""
    row: dict[str, str] = {}
    for name, side in (("bid1", board.book.bids), ("ask1", board.book.asks)):
        level = next(iter(side.best(1)), Level(0, "", "", ""))
        row |= {f"{name}Price": level.price, f"{name}Size": level.size}
    return row


def _last_price(board: Board) -> str:
    assert board.last is not None
    return board.last.price


def _change(day: Candle, last: str, decimals: int) -> str:
    """The change of the price in 24 hours as a fraction."""
    start = Decimal(day.open)
    return plain(round((Decimal(last) - start) / start, decimals))
