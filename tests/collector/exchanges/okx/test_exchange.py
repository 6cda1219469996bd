"""OKX's frames and numbers, from its documentation; recorded frames are in feed/test_recordings.py."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.interface import Ack, Batch, CloseNotice, Codec, Info, Pong, Refusal
from market_collector.exchanges.okx.channels import ARGS_PER_REQUEST
from market_collector.exchanges.okx.exchange import Okx
from market_collector.exchanges.okx.names import native_name
from market_collector.exchanges.okx.rows import BARS
from market_collector.model.events import Candle, Orderbook, Ticker, Trade
from market_collector.model.streams import DataType, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Stream("BTC-USDT", DataType.TICKER)
CANDLE = Stream("BTC-USDT", DataType.CANDLE, "1h")
STREAMS = (TRADES, BOOK, TICKER)


def codec(*streams: Stream) -> Codec:
    return Okx().codec("public", streams or STREAMS)


def test_one_request_asks_for_many_and_names_each_channel() -> None:
    (text,) = codec().subscribe(STREAMS)
    assert json.loads(text) == {
        "id": "1",
        "op": "subscribe",
        "args": [{"channel": channel, "instId": "BTC-USDT"} for channel in ("trades-all", "books", "tickers")],
    }


def test_requests_stay_below_64_kilobytes() -> None:
    streams = [Stream(f"LONGSYMBOLNAME{n}-USDT", DataType.ORDERBOOK) for n in range(1500)]
    texts = codec(*streams).subscribe(streams)
    assert len(texts) == 1500 / ARGS_PER_REQUEST
    assert max(map(len, texts)) < 64_000


def test_fills_and_candles_have_a_connection_of_their_own() -> None:
    okx = Okx()
    assert [okx.route(stream) for stream in (TRADES, CANDLE)] == ["business"] * 2
    assert [okx.route(stream) for stream in (BOOK, TICKER)] == ["public"] * 2


@pytest.mark.parametrize(
    ("symbol", "ending", "name"),
    [
        ("BTC-USDT-PERP", "perpetual", "BTC-USDT-SWAP"),
        ("BTC-USD-PERP-BTC", "perpetual", "BTC-USD-SWAP"),
        ("BTC-USDT-270326", "future", "BTC-USDT-270326"),
        ("BTC-USD-270326-BTC", "future", "BTC-USD-270326"),
    ],
)
def test_contracts_are_requested_by_their_own_name(symbol: str, ending: str, name: str) -> None:
    okx = Okx()
    book, trades = Stream(symbol, DataType.ORDERBOOK), Stream(symbol, DataType.TRADE)
    assert [okx.route(book), okx.route(trades)] == [f"public-{ending}", f"business-{ending}"]
    codec = okx.codec(okx.route(book), [book])
    assert codec.path == "/ws/v5/public"
    (text,) = codec.subscribe([book])
    assert json.loads(text)["args"] == [{"channel": "books", "instId": name}]
    ack = json.dumps({"event": "subscribe", "arg": {"channel": "books", "instId": name}})
    assert codec.read(ack.encode(), 7) == (Ack((book,)),)


def test_candles_are_of_utc_days() -> None:
    okx = Okx()
    assert okx.codec("business", [CANDLE]).path == "/ws/v5/business"
    (text,) = okx.codec("business", [CANDLE]).subscribe([CANDLE, Stream("BTC-USDT", DataType.CANDLE, "1d")])
    assert [arg["channel"] for arg in json.loads(text)["args"]] == ["candle1H", "candle1Dutc"]
    assert set(okx.candle_intervals) == set(BARS)


def test_a_single_fill_is_its_own_first_one() -> None:
    frame = (
        b'{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1040968613",'
        b'"px":"64040.2","sz":"0.00240857","side":"buy","ts":"1786538760218","source":"0","seqId":79706765242}]}'
    )
    assert codec().read(frame, 7) == (
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
    assert codec().read(frame, 7) == (
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


def test_source_of_a_trade_tells_orders_of_retail_price_improvement() -> None:
    row = {"tradeId": "7", "px": "1", "sz": "1", "side": "buy", "ts": "5"}
    frame = {"arg": {"channel": "trades-all", "instId": "BTC-USDT"}, "data": [row | {"source": each} for each in "01"]}
    assert [each.kind for each in records_of(frame)] == [None, "rpi"]


def records_of(frame: object, stream: Stream = TRADES) -> Sequence[Any]:
    (batch,) = Okx().codec(Okx().route(stream), [stream]).read(json.dumps(frame, separators=(",", ":")).encode(), 7)
    assert isinstance(batch, Batch)
    return batch.records


@pytest.mark.parametrize(("symbol", "units"), [("BTC-USDT", ("7", None, "9")), ("BTC-USDT-PERP", ("7", "9", None))])
def test_volumes_of_a_ticker_are_named_by_their_unit(symbol: str, units: tuple[str | None, ...]) -> None:
    name = native_name(symbol)
    row = {"instId": name, "last": "1.5", "vol24h": "7", "volCcy24h": "9", "ts": "1597026383085"}
    (ticker,) = records_of(
        {"arg": {"channel": "tickers", "instId": name}, "data": [row]}, Stream(symbol, DataType.TICKER)
    )
    assert ticker.symbol == symbol
    assert (ticker.volume_24h, ticker.base_volume_24h, ticker.quote_volume_24h) == units


@pytest.mark.parametrize(("symbol", "units"), [("BTC-USDT", ("7", None, "9")), ("BTC-USDT-PERP", ("7", "8", "9"))])
def test_volumes_of_a_candle_are_named_by_their_unit(symbol: str, units: tuple[str | None, ...]) -> None:
    row = ["1786538760000", "1", "3", "0.5", "2", "7", "8", "9", "1"]
    (candle,) = records_of(
        {"arg": {"channel": "candle1H", "instId": native_name(symbol)}, "data": [row]},
        Stream(symbol, DataType.CANDLE, "1h"),
    )
    assert (candle.volume, candle.base_volume, candle.quote_volume) == units


def test_snapshot_has_its_cause_and_depth_and_an_update_has_none() -> None:
    row = {"asks": [["8", "4", "0", "1"]], "bids": [], "ts": "1597026383085", "seqId": 5, "prevSeqId": 4}
    books = [
        records_of({"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": action, "data": [row]}, BOOK)[0]
        for action in ("snapshot", "update")
    ]
    assert [(each.cause, each.depth, each.previous_sequence) for each in books] == [
        ("exchange", 400, None),
        (None, None, 4),
    ]


def test_a_checksum_of_zero_is_no_checksum() -> None:
    frame = (
        b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["8476.98","415","0",'
        b'"13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":0,"seqId":123456,"prevSeqId":-1}]}'
    )
    (batch,) = codec().read(frame, 7)
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
    (batch,) = codec().read(frame.encode(), 7)
    assert isinstance(batch, Batch)
    ticker = batch.records[0]
    assert isinstance(ticker, Ticker)
    assert (ticker.bid, ticker.last, ticker.volume_24h) == (None, "1.5", None)


def test_candle_has_its_closed_flag() -> None:
    frame = b'{"arg":{"channel":"candle1H","instId":"BTC-USDT"},"data":[["1786538760000","1","3","0.5","2","10","20","20","1"]]}'
    (batch,) = Okx().codec("business", [CANDLE]).read(frame, 7)
    assert isinstance(batch, Batch)
    candle = batch.records[0]
    assert isinstance(candle, Candle)
    assert (candle.interval, candle.open_time_ns, candle.closed) == ("1h", 1786538760000_000_000, True)


def test_keys_in_another_order_are_read_all_the_same() -> None:
    """The fast path reads the first bytes. The result must not depend on the order of keys."""
    frame = recordings.received(recordings.OKX_SEQUENCES)[0].text
    message = json.loads(frame)
    turned = json.dumps(dict(reversed(message.items())))
    assert codec().read(turned.encode(), 7) == codec().read(frame.encode(), 7)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"pong", Pong()),
        (b'{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a"}', Ack((BOOK,))),
        (b'{"event":"unsubscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a"}', Info()),
        (b'{"event":"channel-conn-count","channel":"account","connCount":"2","connId":"a"}', Info()),
        (b'{"event":"notice","code":"64008","msg":"soon closed","connId":"a"}', CloseNotice("soon closed")),
    ],
)
def test_control_frames_are_understood(frame: bytes, message: object) -> None:
    assert codec().read(frame, 7) == (message,)


def test_error_without_arg_is_matched_by_its_request_id() -> None:
    codec_ = codec()
    codec_.subscribe([TRADES])
    codec_.subscribe([BOOK, TICKER])
    (refusal,) = codec_.read(b'{"id":"2","event":"error","code":"60018","msg":"does not exist"}', 7)
    assert refusal == Refusal((BOOK, TICKER), "SymbolNotFound", "OKX error 60018: does not exist", True)


@pytest.mark.parametrize(("code", "words"), [("51001", "does not exist"), ("51000", "Parameter instId error")])
def test_error_of_an_unknown_instrument_is_permanent(code: str, words: str) -> None:
    frame = f'{{"event":"error","arg":{{"channel":"books","instId":"BTC-USDT"}},"code":"{code}","msg":"{words}"}}'
    (refusal,) = codec().read(frame.encode(), 7)
    assert refusal == Refusal((BOOK,), "SymbolNotFound", f"OKX error {code}: {words}", True)


def test_an_error_that_may_pass_is_not_permanent() -> None:
    codec_ = codec()
    codec_.subscribe([TRADES])
    (refusal,) = codec_.read(b'{"id":"1","event":"error","code":"60014","msg":"too frequent"}', 7)
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
def test_malformed_frame_is_an_error_with_the_reason(frame: bytes, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        codec().read(frame, 7)
