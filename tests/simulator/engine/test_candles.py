from decimal import Decimal

import pytest

from market_simulator.dialects.okx.candles import BARS, row
from market_simulator.dialects.okx.instruments import made_instrument
from market_simulator.engine.candles import Candles
from market_simulator.engine.events import TradeRow

MINUTE = BARS["1m"]
START = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def candles(*trades: tuple[int, str, str]) -> Candles:
    made = Candles(made_instrument("BTC-USDT", "0.1", "0.001"))
    for offset_ms, price, size in trades:
        made.add(TradeRow(1, price, size, (size,), "buy", "0", START + offset_ms, 1), 0)
    return made


def test_a_candle_has_first_highest_lowest_last_and_sums() -> None:
    candle = candles((0, "10", "1"), (500, "12", "2"), (900, "9.5", "1"), (59_999, "11", "1")).candle(MINUTE, START)
    assert candle is not None
    assert row(candle, is_closed=True) == [str(START), "10", "12", "9.5", "11", "5", "54.5", "54.5", "1"]


def test_a_bar_without_a_trade_has_no_candle() -> None:
    assert candles((0, "10", "1")).candle(MINUTE, START + 60_000) is None


def test_prices_are_compared_as_numbers() -> None:
    candle = candles((0, "9", "1"), (1, "10", "1")).candle(MINUTE, START)
    assert candle is not None
    assert (candle.high, candle.low) == ("10", "9")


def test_longer_bars_are_put_together_and_second_bars_are_kept() -> None:
    made = candles((0, "10", "1"), (61_000, "11", "1"), (299_999, "12", "1"), (300_000, "13", "1"))
    five = made.candle(BARS["5m"], START)
    second = made.candle(BARS["1s"], START + 61_000)
    assert five is not None
    assert second is not None
    assert (five.open, five.close, five.volume) == ("10", "12", Decimal(3))
    assert (second.open, second.volume) == ("11", Decimal(1))


def test_history_is_newest_first_and_fills_bars_without_a_trade() -> None:
    made = candles((0, "10", "1"), (180_000, "11", "2"))
    rows = [row(candle, is_closed=True)[:6] for candle in made.history(MINUTE, 0, START + 240_000)]
    assert rows == [
        [str(START + 240_000), "11", "11", "11", "11", "0"],
        [str(START + 180_000), "11", "11", "11", "11", "2"],
        [str(START + 120_000), "10", "10", "10", "10", "0"],
        [str(START + 60_000), "10", "10", "10", "10", "0"],
        [str(START), "10", "10", "10", "10", "1"],
    ]


def test_history_that_starts_in_a_quiet_bar_knows_the_price_before_it() -> None:
    made = candles((0, "10", "1"), (180_000, "11", "2"))
    assert [c.open for c in made.history(MINUTE, START + 60_000, START + 180_000)] == ["11", "10", "10"]
    assert made.history(MINUTE, 0, START - 60_000) == []
    assert candles().history(MINUTE, 0, START) == []


def test_history_of_longer_bars_is_put_together_from_minutes() -> None:
    made = candles((0, "10", "1"), (60_000, "12", "2"), (240_000, "9", "1"), (420_000, "11", "5"))
    rows = [row(candle, is_closed=False)[:6] for candle in made.history(BARS["5m"], 0, START + 300_000)]
    assert rows == [[str(START + 300_000), "11", "11", "11", "11", "5"], [str(START), "10", "12", "9", "9", "4"]]


def test_oldest_candles_are_removed() -> None:
    made = candles(*((second * 1000, "10", "1") for second in range(8_000)))
    first = made.first_ms(BARS["1s"])
    assert first is not None
    assert START < first <= START + 8_000_000 - 7_200_000


def test_a_late_trade_is_counted_in_the_bar_that_is_still_open() -> None:
    made = candles((0, "10", "1"))
    made.add(TradeRow(2, "20", "1", ("1",), "buy", "0", START + 10, 1), START + 60_000)
    first, second = made.candle(MINUTE, START), made.candle(MINUTE, START + 60_000)
    assert first is not None
    assert second is not None
    assert (first.high, second.open) == ("10", "20")


@pytest.mark.parametrize(
    ("name", "hours_after_midnight_utc"), [("1D", 16), ("1Dutc", 0), ("12H", 4), ("12Hutc", 0), ("4H", 0)]
)
def test_bars_of_6h_and_longer_open_on_utc_plus_8_unless_named_utc(name: str, hours_after_midnight_utc: int) -> None:
    bar, late = BARS[name], START + 86_400_000 - 1
    assert (bar.open_ms(late) - START - hours_after_midnight_utc * 3_600_000) % bar.length_ms == 0
    assert bar.open_ms(late) <= late < bar.open_ms(late) + bar.length_ms
