"""OKX's REST requests, and the readers of their answers."""

import pytest

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.interface import Batch
from market_collector.exchanges.okx.exchange import Okx
from market_collector.model.streams import DataType, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Stream("BTC-USDT", DataType.TICKER)
CANDLE = Stream("BTC-USDT", DataType.CANDLE, "1h")
STREAMS = (TRADES, BOOK, TICKER)
QUESTIONS = Okx().rest_api


@pytest.mark.parametrize(
    ("stream", "path", "body", "mark"),
    [
        (TRADES, "/api/v5/market/trades?instId=BTC-USDT&limit=1", '{"tradeId":"734864333","ts":"1747087163557"}', 734864333),
        (BOOK, "/api/v5/market/books?instId=BTC-USDT&sz=1", '{"asks":[],"bids":[],"ts":"1","seqId":77}', 77),
        (TICKER, "/api/v5/market/ticker?instId=BTC-USDT", '{"last":"1","ts":"1747087163557"}', 1747087163557),
        (CANDLE, "/api/v5/market/candles?instId=BTC-USDT&bar=1H&limit=1", '["1747087163000","1","1","1","1","1","1","1","0"]', 1747087163000),
    ],
)  # fmt: skip
def test_the_newest_event_is_asked_for_and_read(stream: Stream, path: str, body: str, mark: int) -> None:
    assert QUESTIONS.newest(stream).path == path
    assert QUESTIONS.newest_mark(stream, f'{{"code":"0","msg":"","data":[{body}]}}'.encode()) == mark


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":"50011","msg":"Too Many Requests","data":[]}', b'{"code":"0","data":[]}', b'{"code":"0","data":[{}]}'])  # fmt: skip
def test_a_rest_answer_that_is_none_is_an_error(body: bytes) -> None:
    with pytest.raises(FrameError, match="BTC-USDT/trade"):
        QUESTIONS.newest_mark(TRADES, body)


def test_the_exchanges_time_is_asked_for_and_read() -> None:
    assert QUESTIONS.time().path == "/api/v5/public/time"
    body = b'{"code":"0","msg":"","data":[{"ts":"1597026383085"}]}'
    assert QUESTIONS.read_time(body) == 1_597_026_383_085_000_000


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":"50011","msg":"Too Many","data":[]}', b'{"code":"0","data":[]}', b'{"code":"0","data":[{}]}', b'{"code":"0","data":[{"ts":"x"}]}'])  # fmt: skip
def test_an_answer_without_a_time_is_an_error(body: bytes) -> None:
    with pytest.raises(FrameError, match="time"):
        QUESTIONS.read_time(body)


def test_marks_grow_with_each_event() -> None:
    for stream, frame in zip(STREAMS, ("trades", "books", "tickers"), strict=True):
        batches = [
            message
            for one in recordings.received(recordings.OKX_2022)
            if f'"channel":"{frame}","instId":"BTC-USDT"' in one.text
            for message in Okx().codec("public", STREAMS).read(one.bytes, 7)
            if isinstance(message, Batch) and message.stream == stream
        ]
        marks = [QUESTIONS.mark(record) for batch in batches for record in batch.records]
        assert marks == sorted(marks)
        assert len(marks) > 10


def test_live_symbols_are_those_that_trade_now_in_order() -> None:
    assert QUESTIONS.instruments().path == "/api/v5/public/instruments?instType=SPOT"
    rows = [("ETH-USDT", "live"), ("OLD-USDT", "suspend"), ("BTC-USDT", "live"), ("NEW-USDT", "preopen")]
    data = ",".join(f'{{"instType":"SPOT","instId":"{name}","state":"{state}"}}' for name, state in rows)
    assert QUESTIONS.live_symbols(f'{{"code":"0","msg":"","data":[{data}]}}'.encode()) == ["BTC-USDT", "ETH-USDT"]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":"50011","msg":"Too Many Requests","data":[]}', b'{"code":"0","data":[{}]}'])  # fmt: skip
def test_instruments_that_cannot_be_read_are_an_error(body: bytes) -> None:
    with pytest.raises(FrameError, match="instruments"):
        QUESTIONS.live_symbols(body)
