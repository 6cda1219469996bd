"""Requests of Binance's market data connections, and the answers to them."""

import json

import pytest

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.binance.channels import NAMES_PER_REQUEST, BinanceCodec
from market_collector.exchanges.interface import Ack, Batch, CloseNotice, Info, Message, Refusal, Unknown
from market_collector.model.events import Candle
from market_collector.model.streams import DataType, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Stream("BTC-USDT", DataType.TICKER)
CANDLE = Stream("BTC-USDT", DataType.CANDLE, "1m")
STREAMS = (TRADES, BOOK, TICKER, CANDLE)
NAMES = ["btcusdt@trade", "btcusdt@depth@100ms", "btcusdt@ticker", "btcusdt@kline_1m"]


def codec() -> BinanceCodec:
    return BinanceCodec(STREAMS)


def read(text: str, used: BinanceCodec | None = None) -> Message:
    (message,) = (used or codec()).read(text.encode(), 7)
    return message


def test_one_request_asks_for_many_streams_by_name() -> None:
    used = codec()
    (text,) = used.subscribe(STREAMS)
    assert json.loads(text) == {"method": "SUBSCRIBE", "params": NAMES, "id": 1}
    (text,) = used.unsubscribe(STREAMS)
    assert json.loads(text) == {"method": "UNSUBSCRIBE", "params": NAMES, "id": 2}
    assert used.path == "/stream"


def test_a_full_connection_needs_few_requests() -> None:
    streams = [Stream(f"A{n}-USDT", DataType.TRADE) for n in range(800)]
    assert len(BinanceCodec(streams).subscribe(streams)) == 800 / NAMES_PER_REQUEST == 4


def test_answer_acknowledges_the_streams_of_its_request() -> None:
    used = codec()
    used.subscribe(STREAMS)
    used.unsubscribe([TRADES])
    assert read('{"result":null,"id":1}', used) == Ack(STREAMS)
    assert read('{"result":null,"id":2}', used) == Ack(())
    assert read('{"result":["btcusdt@trade"],"id":9}', used) == Info()


@pytest.mark.parametrize("end", ["}", ',"id":1}'])
def test_error_without_an_id_is_about_the_oldest_request(end: str) -> None:
    used = codec()
    used.subscribe([TRADES])
    used.subscribe([BOOK])
    refusal = read('{"code":2,"msg":"Invalid request: too many parameters"' + end, used)
    message = "Binance error 2: Invalid request: too many parameters"
    assert refusal == Refusal((TRADES,), "ExchangeError", message, is_permanent=True)
    assert read('{"result":null,"id":2}', used) == Ack((BOOK,))


def test_error_that_is_no_bug_is_temporary() -> None:
    used = codec()
    used.subscribe([TRADES])
    assert read('{"code":-1003,"msg":"Too many requests","id":1}', used) == Refusal(
        (TRADES,), "ExchangeError", "Binance error -1003: Too many requests", is_permanent=False
    )


def test_shutdown_is_announced_in_both_forms() -> None:
    texts = [each.text for each in recordings.received(recordings.BINANCE_CONTROL) if "serverShutdown" in each.text]
    assert [read(text) for text in texts] == [CloseNotice("the server shuts down")] * 2


def test_new_kinds_of_events_are_unknown() -> None:
    assert read('{"e":"maintenance","E":1}') == Unknown("maintenance")
    assert read('{"stream":"!maintenance","data":{"e":"maintenance","E":1}}') == Unknown("maintenance")


@pytest.mark.parametrize(
    ("frame", "stream"),
    [
        (b"hello", None),
        (b'{"hello":1}', None),
        (b'{"stream":"ethusdt@trade","data":{}}', None),
        (b'{"stream":"btcusdt@trade","data":{"e":"tra', TRADES),
        (b'{"data":{"e":"trade"},"stream":"btcusdt@trade"}', TRADES),
        (b'{"stream":"btcusdt@kline_1m","data":{"e":"trade"}}', CANDLE),
    ],
)
def test_unreadable_frame_names_its_stream_if_it_can(frame: bytes, stream: Stream | None) -> None:
    with pytest.raises(FrameError, match="Binance") as raised:
        codec().read(frame, 7)
    assert raised.value.stream == stream


def test_blanks_order_and_further_fields_change_nothing() -> None:
    (frame,) = recordings.received(recordings.BINANCE_KLINE)
    usual = read(f'{{"stream":"btcusdt@kline_1m","data":{frame.text}}}')
    assert isinstance(usual, Batch)
    (candle,) = usual.records
    assert isinstance(candle, Candle)
    event = json.loads(frame.text)
    turned = {"data": {"st": 1, "k": dict(reversed(event["k"].items())), **event}, "stream": "btcusdt@kline_1m"}
    assert read(json.dumps(turned, indent=1)) == usual
