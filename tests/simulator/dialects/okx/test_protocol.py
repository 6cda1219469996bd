import json

import pytest

from market_simulator.dialects.okx import protocol as okx
from market_simulator.dialects.okx.protocol import Path
from market_simulator.engine.book import Book
from market_simulator.engine.events import NO_LEVELS, BookChange, Key, Level, TradeRow, Trades
from market_simulator.engine.quantities import price_key

KNOWN = frozenset({"BTC-USDT"})


@pytest.mark.parametrize(
    ("path", "channel", "instrument", "code"),
    [
        (Path.PUBLIC, "trades", "BTC-USDT", None),
        (Path.PUBLIC, "bbo-tbt", "BTC-USDT", None),
        (Path.BUSINESS, "trades-all", "BTC-USDT", None),
        (Path.BUSINESS, "candle1H", "BTC-USDT", None),
        (Path.PUBLIC, "candle1m", "BTC-USDT", "64001"),
        (Path.PUBLIC, "trades-all", "BTC-USDT", "64001"),
        (Path.BUSINESS, "trades", "BTC-USDT", "64002"),
        (Path.PUBLIC, "books-l2-tbt", "BTC-USDT", "64003"),
        (Path.PUBLIC, "trades", "NOPE-USDT", "60018"),
        (Path.BUSINESS, "candle7m", "BTC-USDT", "60018"),
        (Path.PUBLIC, "nonsense", "BTC-USDT", "60018"),
        (Path.PRIVATE, "account", "BTC-USDT", "60011"),
    ],
)
def test_each_path_offers_its_own_channels(path: Path, channel: str, instrument: str, code: str | None) -> None:
    refused = okx.refusal(path, Key(channel, instrument), KNOWN)
    assert (refused and refused[0]) == code


def test_a_refusal_names_channel_and_instrument() -> None:
    refused = okx.refusal(Path.PUBLIC, Key("trades", "NOPE-USDT"), KNOWN)
    assert refused is not None
    assert "channel:trades,instId:NOPE-USDT doesn't exist" in refused[1]


def test_acknowledgements_and_errors_read_as_documented() -> None:
    key = Key("tickers", "BTC-USDT")
    assert okx.acknowledgement("subscribe", key, "1512", "a4d3ae55") == (
        '{"id":"1512","event":"subscribe","arg":{"channel":"tickers","instId":"BTC-USDT"},"connId":"a4d3ae55"}'
    )
    assert okx.error("60009", "Login failed.", None, "a4d3ae55") == (
        '{"event":"error","code":"60009","msg":"Login failed.","connId":"a4d3ae55"}'
    )


def test_merged_trades_read_as_recorded_and_single_fills_have_no_count() -> None:
    row = TradeRow(1040968613, "64040.2", "0.00240857", ("0.002", "0.00040857"), "buy", "0", 1786538760218, 79706765242)
    event = Trades(0, "BTC-USDT", (row,))
    assert okx.push(Key("trades", "BTC-USDT"), okx.merged_trades(event)) == (
        '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1040968613","px":"64040.2",'
        '"sz":"0.00240857","side":"buy","ts":"1786538760218","count":"2","source":"0","seqId":79706765242}]}'
    )
    fills = json.loads(f"[{okx.single_fills(event)}]")
    assert [(fill["tradeId"], fill["sz"]) for fill in fills] == [("1040968612", "0.002"), ("1040968613", "0.00040857")]
    assert not any("count" in fill for fill in fills)


def test_books_read_as_documented() -> None:
    bids, asks = (
        (Level(1, price, size, orders),) for price, size, orders in (("8476.97", "256", "12"), ("8476.98", "415", "13"))
    )
    change = BookChange(0, "BTC-USDT", 1597026383085, bids, asks, 123456, 123450, 0)
    message = json.loads(okx.book_update(change))
    assert message == {
        "arg": {"channel": "books", "instId": "BTC-USDT"},
        "action": "update",
        "data": [{
            "asks": [["8476.98", "415", "0", "13"]], "bids": [["8476.97", "256", "0", "12"]], "ts": "1597026383085",
            "checksum": 0, "seqId": 123456, "prevSeqId": 123450,
        }],
    }  # fmt: skip
    snapshot = json.loads(okx.book_snapshot(change, bids, NO_LEVELS))
    assert (snapshot["action"], snapshot["data"][0]["prevSeqId"], snapshot["data"][0]["asks"]) == ("snapshot", -1, [])


def test_the_checksum_is_that_of_the_documented_example() -> None:
    bids, asks = (("3366.1", "7"), ("3366", "6")), (("3366.8", "9"), ("3368", "8"), ("3372", "8"))
    book = Book()
    book.apply(*([Level(price_key(price), price, size, "1") for price, size in side] for side in (bids, asks)))
    assert okx.checksum(book) == 1362239393
