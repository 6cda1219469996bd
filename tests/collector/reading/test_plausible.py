"""Values that decoding accepts, but that no collector writes."""

import pytest
from msgspec.structs import replace

from imaginary_exchange import NAME, ImaginaryExchange
from market_collector.exchanges import EXCHANGES
from market_collector.model.events import AnyRecord, Balance, Data, Level
from market_collector.reading.plausible import IMPOSSIBLE, check_ids, check_numbers, check_values
from odd_decimals import NOT_DECIMAL
from records import candle, connected, funding, gap, lost, mark_price, quote, snapshot, ticker, trade, update

RECORDS: list[AnyRecord] = [
    trade(1),
    update(1, 2),
    ticker(1),
    funding(1),
    candle(1),
    connected(),
    gap("g", 1, 2),
    lost("g", [(1, 2)]),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_of_a_collector_pass(record: AnyRecord) -> None:
    check_ids(record)
    check_values(record)


def test_ids_need_not_be_numbers_where_they_are_not_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXCHANGES, NAME, ImaginaryExchange(has_dense_trade_ids=False))
    check_ids(replace(trade(1), exchange=NAME, trade_id="7d4e"))


@pytest.mark.parametrize(
    "record",
    [
        replace(trade(1), trade_id="one"),
        replace(trade(1), first_trade_id=""),
        replace(candle(1), interval="1x"),
        replace(candle(1), interval="0m"),
        replace(candle(1), volume="much"),
    ],
)
def test_impossible_ids_and_intervals_are_errors(record: AnyRecord) -> None:
    with pytest.raises(IMPOSSIBLE):
        check_ids(record)


@pytest.mark.parametrize(
    "record",
    [
        replace(trade(1), exchange_time_ns=2**63),
        replace(trade(1), sequence=-(2**63) - 1),
        replace(trade(1), price="one"),
        replace(ticker(1), bid=""),
        replace(snapshot(1), asks=[Level("1", "2"), Level("3", "x")]),
    ],
)
def test_values_that_fit_into_no_column_are_errors(record: AnyRecord) -> None:
    with pytest.raises(IMPOSSIBLE):
        check_values(record)


def with_number(text: str) -> list[Data]:
    """Records with this text as one of their numbers."""
    account = Balance("okx", "account", None, 0, "BTC", "1", "1", "0")
    return [
        replace(trade(1), price=text),
        replace(trade(1), amount=text),
        replace(candle(1), quote_volume=text),
        replace(ticker(1), volume_24h=text),
        replace(quote(1), ask_amount=text),
        replace(account, available=text),
        replace(snapshot(1), bids=[Level(text, "1"), Level("3", "1")]),
        replace(update(1, 2), bids=[], asks=[Level("3", "1"), Level("4", text)]),
    ]


@pytest.mark.parametrize("text", [*NOT_DECIMAL, ""])
def test_number_that_is_no_plain_decimal_is_an_error(text: str) -> None:
    for record in with_number(text):
        with pytest.raises(ValueError, match="is not a plain decimal"):
            check_numbers(record)


@pytest.mark.parametrize("text", ["0", "0.00", "007", "1.5", "9" * 40])
def test_plain_decimals_absent_numbers_and_debts_pass(text: str) -> None:
    absent = replace(ticker(1), bid=None, ask=None)
    debt = Balance("okx", "a", None, 0, "BTC", "-5.5", None, None)
    for record in (*with_number(text), absent, update(1, 2), debt, funding(1, rate=text), funding(1, rate=f"-{text}")):
        check_numbers(record)


@pytest.mark.parametrize(
    "record", [funding(1, rate="--1"), funding(1, rate="-"), funding(1, rate=""), mark_price(1, price="-1")]
)
def test_only_plain_rates_may_be_negative(record: Data) -> None:
    with pytest.raises(ValueError, match="is not a plain decimal"):
        check_numbers(record)
