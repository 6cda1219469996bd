"""OKX's frames and numbers, from its documentation; recorded frames are in feed/test_recordings.py."""

import json

import pytest

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.interface import Ack, Batch, Goodbye, Info, Pong, Refusal
from market_collector.exchanges.okx import ARGS_PER_REQUEST, BARS, Okx, OkxConversation
from market_collector.model.events import Candle, Orderbook, Ticker, Trade
from market_collector.model.streams import DataType, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Stream("BTC-USDT", DataType.TICKER)
CANDLE = Stream("BTC-USDT", DataType.CANDLE, "1h")
STREAMS = (TRADES, BOOK, TICKER)


def talk(*streams: Stream) -> OkxConversation:
    return Okx().talk("public", streams or STREAMS)


def test_one_request_asks_for_many_and_names_each_channel() -> None:
    (text,) = talk().subscribe(STREAMS)
    assert json.loads(text) == {
        "id": "1",
        "op": "subscribe",
        "args": [{"channel": channel, "instId": "BTC-USDT"} for channel in ("trades-all", "books", "tickers")],
    }


def test_requests_stay_below_64_kilobytes() -> None:
    streams = [Stream(f"LONGSYMBOLNAME{n}-USDT", DataType.ORDERBOOK) for n in range(1500)]
    texts = talk(*streams).subscribe(streams)
    assert len(texts) == 1500 / ARGS_PER_REQUEST
    assert max(map(len, texts)) < 64_000


def test_fills_and_candles_have_a_connection_of_their_own() -> None:
    okx = Okx()
    assert [okx.route(stream) for stream in (TRADES, CANDLE)] == ["business"] * 2
    assert [okx.route(stream) for stream in (BOOK, TICKER)] == ["public"] * 2


def test_candles_are_of_utc_days() -> None:
    okx = Okx()
    assert okx.talk("business", [CANDLE]).path == "/ws/v5/business"
    (text,) = okx.talk("business", [CANDLE]).subscribe([CANDLE, Stream("BTC-USDT", DataType.CANDLE, "1d")])
    assert [arg["channel"] for arg in json.loads(text)["args"]] == ["candle1H", "candle1Dutc"]
    assert set(okx.candle_intervals) == set(BARS)


def test_a_single_fill_is_its_own_first_one() -> None:
    frame = (
        b'{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1040968613",'
        b'"px":"64040.2","sz":"0.00240857","side":"buy","ts":"1786538760218","source":"0","seqId":79706765242}]}'
    )
    assert talk().read(frame, 7) == (
        Batch(
            TRADES,
            [
                Trade(
                    "okx", "BTC-USDT", 1786538760218_000_000, 7, "1040968613", "1040968613", 1, "buy", "64040.2",
                    "0.00240857", 79706765242,
                )
            ],
        ),
    )  # fmt: skip


def test_a_merged_row_of_a_recording_covers_its_fills() -> None:
    frame = (
        b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1040968613",'
        b'"px":"64040.2","sz":"0.00240857","side":"buy","ts":"1786538760218","count":"2","source":"0",'
        b'"seqId":79706765242}]}'
    )
    assert talk().read(frame, 7) == (
        Batch(
            TRADES,
            [
                Trade(
                    "okx", "BTC-USDT", 1786538760218_000_000, 7, "1040968613", "1040968612", 2, "buy", "64040.2",
                    "0.00240857", 79706765242,
                )
            ],
        ),
    )  # fmt: skip


def test_a_checksum_of_zero_is_no_checksum() -> None:
    frame = (
        b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["8476.98","415","0",'
        b'"13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":0,"seqId":123456,"prevSeqId":-1}]}'
    )
    (batch,) = talk().read(frame, 7)
    assert isinstance(batch, Batch)
    (record,) = batch.records
    assert isinstance(record, Orderbook)
    assert (record.checksum, record.sequence, record.previous_sequence) == (None, 123456, None)
    assert (record.asks[0].price, record.asks[0].amount) == ("8476.98", "415")


def test_an_empty_price_is_null() -> None:
    row = dict.fromkeys(
        ("askPx", "askSz", "bidPx", "bidSz", "open24h", "high24h", "low24h", "vol24h", "volCcy24h", "lastSz"), ""
    )
    row |= {"last": "1.5", "ts": "1597026383085"}
    frame = json.dumps({"arg": {"channel": "tickers", "instId": "BTC-USDT"}, "data": [row]}, separators=(",", ":"))
    (batch,) = talk().read(frame.encode(), 7)
    assert isinstance(batch, Batch)
    ticker = batch.records[0]
    assert isinstance(ticker, Ticker)
    assert (ticker.bid, ticker.last, ticker.volume_24h) == (None, "1.5", None)


def test_a_candle_says_whether_it_is_closed() -> None:
    frame = b'{"arg":{"channel":"candle1H","instId":"BTC-USDT"},"data":[["1786538760000","1","3","0.5","2","10","20","20","1"]]}'
    (batch,) = Okx().talk("business", [CANDLE]).read(frame, 7)
    assert isinstance(batch, Batch)
    candle = batch.records[0]
    assert isinstance(candle, Candle)
    assert (candle.interval, candle.open_time_ns, candle.closed) == ("1h", 1786538760000_000_000, True)


def test_keys_in_another_order_are_read_all_the_same() -> None:
    """The fast way looks at the first bytes; nothing may hang on the order of keys."""
    frame = recordings.received(recordings.OKX_SEQUENCES)[0].text
    message = json.loads(frame)
    turned = json.dumps(dict(reversed(message.items())))
    assert talk().read(turned.encode(), 7) == talk().read(frame.encode(), 7)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"pong", Pong()),
        (b'{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a"}', Ack(BOOK)),
        (b'{"event":"unsubscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a"}', Info()),
        (b'{"event":"channel-conn-count","channel":"account","connCount":"2","connId":"a"}', Info()),
        (b'{"event":"notice","code":"64008","msg":"soon closed","connId":"a"}', Goodbye("soon closed")),
    ],
)
def test_control_frames_are_understood(frame: bytes, message: object) -> None:
    assert talk().read(frame, 7) == (message,)


def test_an_error_without_arg_is_told_by_its_id() -> None:
    conversation = talk()
    conversation.subscribe([TRADES])
    conversation.subscribe([BOOK, TICKER])
    (refusal,) = conversation.read(b'{"id":"2","event":"error","code":"60018","msg":"does not exist"}', 7)
    assert refusal == Refusal((BOOK, TICKER), "SymbolNotFound", "OKX error 60018: does not exist", True)


def test_an_error_that_may_pass_is_not_permanent() -> None:
    conversation = talk()
    conversation.subscribe([TRADES])
    (refusal,) = conversation.read(b'{"id":"1","event":"error","code":"60014","msg":"too frequent"}', 7)
    assert refusal == Refusal((TRADES,), "ExchangeError", "OKX error 60014: too frequent", False)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"", "cannot be read"),
        (b"hello", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["8476', "cannot be read"),
        (b'{"arg":{"channel":"trades"', "cannot be read"),
        (b'{"arg":{"channel":"tr', "cannot be read"),
        (b'{"arg":{"channel":"liquidations","instId":"BTC-USDT"},"data":[]}', "liquidations of BTC-USDT, which nobody asked for"),
        (b'{"arg":{"channel":"trades","instId":"DOGE-USDT"},"data":[]}', "trades of DOGE-USDT, which nobody asked for"),
        (b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"upsert","data":[]}', "cannot be read"),
        (b'{"event":"party"}', "'party', which is not in its documentation"),
        (b'{"hello":1}', "hello: neither event nor data"),
        (b"[]", "cannot be read"),
        (b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"tradeId":"x","px":"1","sz":"1","side":"buy","ts":"1","count":"2"}]}', "cannot be read"),
        (b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"tradeId":"1","px":"1","sz":"1","side":"up","ts":"1"}]}', "cannot be read"),
        (b'{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"tradeId":"x","px":"1","sz":"1","side":"buy","ts":"1"}]}', "cannot be read"),
        (b'{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"tradeId":"1","px":"x1","sz":"1","side":"buy","ts":"1"}]}', "'x1'"),
        (b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["1","x","0","1"]],"bids":[],"ts":"1","seqId":1,"prevSeqId":0}]}', "'x'"),
        (b'{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"last":"x1","lastSz":"1","askPx":"","askSz":"","bidPx":"","bidSz":"","open24h":"1","high24h":"1","low24h":"1","volCcy24h":"1","vol24h":"1","ts":"1"}]}', "'x1'"),
        (b'{"arg":{"channel":"books","instId":"BTC-USDT"},"x":' + b"[" * 2_000, "recursion"),
    ],
)  # fmt: skip
def test_a_bad_frame_is_an_error_that_says_what_is_wrong(frame: bytes, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        talk().read(frame, 7)


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
    okx = Okx()
    assert okx.newest(stream).path == path
    assert okx.newest_mark(stream, f'{{"code":"0","msg":"","data":[{body}]}}'.encode()) == mark


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":"50011","msg":"Too Many Requests","data":[]}', b'{"code":"0","data":[]}', b'{"code":"0","data":[{}]}'])  # fmt: skip
def test_a_rest_answer_that_is_none_is_an_error(body: bytes) -> None:
    with pytest.raises(FrameError, match="BTC-USDT/trade"):
        Okx().newest_mark(TRADES, body)


def test_the_exchanges_time_is_asked_for_and_read() -> None:
    assert Okx().time().path == "/api/v5/public/time"
    body = b'{"code":"0","msg":"","data":[{"ts":"1597026383085"}]}'
    assert Okx().read_time(body) == 1_597_026_383_085_000_000


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":"50011","msg":"Too Many","data":[]}', b'{"code":"0","data":[]}', b'{"code":"0","data":[{}]}', b'{"code":"0","data":[{"ts":"x"}]}'])  # fmt: skip
def test_an_answer_without_a_time_is_an_error(body: bytes) -> None:
    with pytest.raises(FrameError, match="time"):
        Okx().read_time(body)


def test_marks_grow_with_each_event() -> None:
    okx = Okx()
    for stream, frame in zip(STREAMS, ("trades", "books", "tickers"), strict=True):
        batches = [
            message
            for one in recordings.received(recordings.OKX_2022)
            if f'"channel":"{frame}","instId":"BTC-USDT"' in one.text
            for message in talk().read(one.bytes, 7)
            if isinstance(message, Batch) and message.stream == stream
        ]
        marks = [okx.mark(record) for batch in batches for record in batch.records]
        assert marks == sorted(marks)
        assert len(marks) > 10


def test_live_symbols_are_those_that_trade_now_in_order() -> None:
    okx = Okx()
    assert okx.instruments().path == "/api/v5/public/instruments?instType=SPOT"
    rows = [("ETH-USDT", "live"), ("OLD-USDT", "suspend"), ("BTC-USDT", "live"), ("NEW-USDT", "preopen")]
    data = ",".join(f'{{"instType":"SPOT","instId":"{name}","state":"{state}"}}' for name, state in rows)
    assert okx.live_symbols(f'{{"code":"0","msg":"","data":[{data}]}}'.encode()) == ["BTC-USDT", "ETH-USDT"]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":"50011","msg":"Too Many Requests","data":[]}', b'{"code":"0","data":[{}]}'])  # fmt: skip
def test_instruments_that_cannot_be_read_are_an_error(body: bytes) -> None:
    with pytest.raises(FrameError, match="instruments"):
        Okx().live_symbols(body)
