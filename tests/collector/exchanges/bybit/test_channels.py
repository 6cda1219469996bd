"""Requests of Bybit's public connections, and the answers to them."""

import json

import pytest

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.bybit.channels import BybitCodec
from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.exchanges.interface import Ack, Batch, Info, Message, Pong, Refusal
from market_collector.model.events import Candle, Orderbook, Ticker, Trade
from market_collector.model.streams import DataType, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Stream("BTC-USDT", DataType.TICKER)
CANDLES = Stream("BTC-USDT", DataType.CANDLE, "1m")
STREAMS = (TRADES, BOOK, TICKER, CANDLES)
TOPICS = ["publicTrade.BTCUSDT", "orderbook.50.BTCUSDT", "tickers.BTCUSDT", "orderbook.1.BTCUSDT", "kline.1.BTCUSDT"]
MANY = [Stream(f"A{number}-USDT", DataType.TICKER) for number in range(12)]


def codec(*streams: Stream) -> BybitCodec:
    made = BybitCodec("spot", streams or STREAMS, 50)
    made.subscribe(streams or STREAMS)
    return made


def read(text: str, used: BybitCodec | None = None) -> Message:
    (message,) = (used or codec()).read(text.encode(), 7)
    return message


def test_request_names_the_topics_of_all_streams() -> None:
    used = BybitCodec("linear", STREAMS, 50)
    (text,) = used.subscribe(STREAMS)
    assert json.loads(text) == {"req_id": "1", "op": "subscribe", "args": TOPICS}
    (text,) = used.unsubscribe([BOOK])
    assert json.loads(text) == {"req_id": "2", "op": "unsubscribe", "args": [TOPICS[1]]}
    assert used.path == "/v5/public/linear"


def test_request_has_ten_arguments_at_most_and_whole_streams() -> None:
    requests = [json.loads(text)["args"] for text in BybitCodec("spot", MANY, 50).subscribe(MANY)]
    assert list(map(len, requests)) == [10, 10, 4]
    assert [args[-1].partition(".")[0] for args in requests] == ["orderbook", "orderbook", "orderbook"]
    trades = [Stream(each.symbol, DataType.TRADE) for each in MANY]
    requests = [json.loads(text)["args"] for text in BybitCodec("spot", trades, 50).subscribe(trades)]
    assert list(map(len, requests)) == [10, 2]


def test_one_answer_is_about_the_whole_request() -> None:
    used = codec()
    assert read('{"success":true,"ret_msg":"subscribe","conn_id":"x","req_id":"1","op":"subscribe"}', used) == Ack(
        STREAMS
    )
    assert read('{"success":true,"ret_msg":"","conn_id":"x","op":"subscribe"}') == Ack(STREAMS)


def test_answer_without_an_id_is_about_the_oldest_request() -> None:
    used = codec(*MANY)
    used.unsubscribe([MANY[0]])
    assert read('{"success":true,"ret_msg":"subscribe","op":"subscribe"}', used) == Ack(tuple(MANY[1:5]))
    assert read('{"success":true,"ret_msg":"subscribe","op":"subscribe"}', used) == Ack(tuple(MANY[5:10]))


def test_answer_to_an_unsubscribe_request_is_about_no_stream() -> None:
    used = codec()
    used.unsubscribe(STREAMS)
    assert read('{"success":true,"ret_msg":"","req_id":"2","op":"unsubscribe"}', used) == Ack(())
    assert read('{"success":false,"ret_msg":"no","req_id":"2","op":"unsubscribe"}', used) == Info()


def test_late_answer_is_not_about_streams_that_were_unsubscribed_meanwhile() -> None:
    """It would show that they are served again, before the exchange has read the new request."""
    used = codec()
    used.unsubscribe([BOOK])
    used.subscribe([BOOK])
    assert read('{"success":true,"ret_msg":"","req_id":"1","op":"subscribe"}', used) == Ack(
        tuple(stream for stream in STREAMS if stream != BOOK)
    )
    assert read('{"success":true,"ret_msg":"","req_id":"3","op":"subscribe"}', used) == Ack((BOOK,))


def test_refused_topic_is_found_in_the_words_and_the_others_are_spared() -> None:
    text = '{"success":false,"ret_msg":"Invalid symbol :[orderbook.50.BTCUSDT]","conn_id":"x","op":"subscribe"}'
    refusal = read(text)
    assert isinstance(refusal, Refusal)
    assert (refusal.streams, refusal.reason, refusal.is_permanent) == ((BOOK,), "SymbolNotFound", True)
    assert refusal.spared == (TRADES, TICKER, CANDLES)


def test_refused_depth_is_a_channel_that_is_not_offered() -> None:
    """As pybit's users report it for the depth 500, which Bybit has removed."""
    text = (
        '{"success":false,"ret_msg":"error:handler not found,topic:orderbook.50.BTCUSDT","req_id":"1","op":"subscribe"}'
    )
    refusal = read(text)
    assert isinstance(refusal, Refusal)
    assert (refusal.streams, refusal.reason) == ((BOOK,), "ChannelNotOffered")


def test_refusal_without_a_topic_is_about_the_request_and_temporary() -> None:
    refusal = read('{"success":false,"ret_msg":"Too many visits!","req_id":"1","op":"subscribe"}')
    assert isinstance(refusal, Refusal)
    assert (refusal.streams, refusal.spared, refusal.is_permanent) == (STREAMS, (), False)


def test_refusal_without_an_id_is_about_the_request_with_the_topic() -> None:
    used = codec(*MANY)
    refusal = read('{"success":false,"ret_msg":"Invalid symbol :[tickers.A7USDT]","op":"subscribe"}', used)
    assert isinstance(refusal, Refusal)
    assert refusal.streams == (MANY[7],)
    assert set(refusal.spared) == {*MANY[5:10]} - {MANY[7]}


@pytest.mark.parametrize("op", ["ping", "pong"])
def test_pong_of_either_connection_is_recognized(op: str) -> None:
    assert read(f'{{"success":true,"ret_msg":"pong","conn_id":"x","req_id":"ping-1","op":"{op}"}}') == Pong()


def test_recorded_control_frames_are_read() -> None:
    used = codec()
    for frame in recordings.received(recordings.BYBIT_CONTROL):
        if frame.url.startswith("wss:") and '"auth"' not in frame.text:
            assert used.read(frame.bytes, 1)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"type":"snapshot","topic":"kline.1.BTCUSDT","data":[],"ts":1}', None),
        ('{"data":[],"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1}', None),
        ('{ "topic" : "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1, "data": [] }', None),
        (
            '{"ts":2,"data":{"u":5,"seq":9,"a":[],"b":[["1","2"]],"s":"BTCUSDT"},"type":"snapshot",'
            '"topic":"orderbook.50.BTCUSDT"}',
            Orderbook,
        ),
    ],
)
def test_order_of_keys_and_blanks_do_not_matter(text: str, kind: type | None) -> None:
    batch = read(text)
    assert isinstance(batch, Batch)
    assert [type(record) for record in batch.records] == ([] if kind is None else [kind])


@pytest.mark.parametrize(
    "text",
    ['{"topic":"publicTrade.ETHUSDT","data":[]}', '{"op":"teapot"}', '{"a":1}', "[]", "pong", '{"topic":"publicTrade.'],
)
def test_other_frames_are_errors_without_a_stream(text: str) -> None:
    with pytest.raises(FrameError) as raised:
        read(text)
    assert raised.value.stream is None


@pytest.mark.parametrize("topic", TOPICS)
def test_frame_that_is_cut_off_or_odd_is_an_error_of_its_stream(topic: str) -> None:
    for text in (f'{{"topic":"{topic}","type":"snapshot","ts":1,"data":[{{"i"', f'{{"topic":"{topic}","data":7}}'):
        with pytest.raises(FrameError) as raised:
            read(text)
        assert raised.value.stream in STREAMS


def test_codec_of_a_connection_has_the_wanted_depth() -> None:
    for depth, topic in ((None, "orderbook.200.BTCUSDT"), (1000, "orderbook.1000.BTCUSDT")):
        (text,) = Bybit().codec("spot", [BOOK], depth).subscribe([BOOK])
        assert json.loads(text)["args"] == [topic]


# -- records


def records(text: str) -> list[Orderbook | Trade | Ticker | Candle]:
    batch = read(text)
    assert isinstance(batch, Batch)
    return list(batch.records)  # type: ignore[arg-type]


def trade_row(**fields: object) -> str:
    row = {"i": "u1", "T": 1000, "p": "5", "v": "2", "S": "Sell", "seq": 9, "s": "BTCUSDT", "BT": False, "RPI": False}
    return json.dumps({"topic": "publicTrade.BTCUSDT", "ts": 1, "type": "snapshot", "data": [row | fields]})


def test_trade_has_the_takers_side_and_its_kind() -> None:
    (trade,) = records(trade_row())
    assert isinstance(trade, Trade)
    assert (trade.side, trade.kind, trade.sequence, trade.trade_id, trade.exchange_time_ns) == (
        "sell",
        None,
        9,
        "u1",
        10**9,
    )
    assert [record.kind for record in records(trade_row(BT=True)) if isinstance(record, Trade)] == ["block"]
    assert [record.kind for record in records(trade_row(RPI=True)) if isinstance(record, Trade)] == ["rpi"]


@pytest.mark.parametrize("field", [{"p": "1e5"}, {"v": "-1"}, {"i": ""}, {"i": "x" * 65}, {"S": "None"}, {"T": "x"}])
def test_odd_trade_is_an_error(field: dict[str, object]) -> None:
    with pytest.raises(FrameError) as raised:
        read(trade_row(**field))
    assert raised.value.stream == TRADES


def book(kind: str, u: int, bids: list[list[str]], **fields: object) -> str:
    data = {"s": "BTCUSDT", "b": bids, "a": [], "u": u, "seq": 9}
    return json.dumps({"topic": "orderbook.50.BTCUSDT", "ts": 5, "type": kind, "data": data} | fields)


def test_update_follows_the_number_before_its_own() -> None:
    (update,) = records(book("delta", 7, [["5", "0"]], cts=4))
    assert isinstance(update, Orderbook)
    assert (update.previous_sequence, update.sequence, update.exchange_time_ns) == (6, 7, 4_000_000)
    (snapshot,) = records(book("snapshot", 1, [["5", "1"]]))
    assert isinstance(snapshot, Orderbook)
    assert (snapshot.previous_sequence, snapshot.sequence, snapshot.depth) == (None, 1, 50)
    assert snapshot.exchange_time_ns == 5_000_000


def test_zero_in_any_form_deletes_a_level() -> None:
    for amount in ("0", "0.000", "0.0"):
        text = book("delta", 7, [["5", amount], ["6", "0.05"]]).replace(" ", "")
        (update,) = records(text)
        assert isinstance(update, Orderbook)
        assert [level.amount for level in update.bids] == ["0", "0.05"]


@pytest.mark.parametrize("level", [["5", "nan"], ["-5", "1"], ["", "1"], ["5", "1e3"]])
def test_level_that_is_no_plain_decimal_is_an_error(level: list[str]) -> None:
    with pytest.raises(FrameError):
        read(book("delta", 7, [level]).replace(" ", ""))


def candle_row(start: int, *, confirm: bool) -> dict[str, object]:
    prices = {"open": "1", "close": "2", "high": "3", "low": "1", "volume": "4", "turnover": "8"}
    return prices | {"start": start, "end": start + 59_999, "interval": "1", "confirm": confirm, "timestamp": start}


def test_closed_and_running_candle_of_one_message_come_in_order() -> None:
    rows = [candle_row(60_000, confirm=False), candle_row(0, confirm=True)]
    text = json.dumps({"topic": "kline.1.BTCUSDT", "data": rows, "ts": 60_010, "type": "snapshot"})
    assert [(each.open_time_ns, each.closed) for each in records(text) if isinstance(each, Candle)] == [
        (0, True),
        (60_000_000_000, False),
    ]


# -- tickers


def day(ts: int, last: str) -> str:
    data = {
        "symbol": "BTCUSDT", "lastPrice": last, "highPrice24h": "9", "lowPrice24h": "1", "prevPrice24h": "4",
        "volume24h": "50", "turnover24h": "200", "price24hPcnt": "-0.0127", "usdIndexPrice": "5",
    }  # fmt: skip
    return json.dumps({"topic": "tickers.BTCUSDT", "ts": ts, "type": "snapshot", "cs": 1, "data": data})


def best(ts: int, u: int, bid: list[list[str]]) -> str:
    data = {"s": "BTCUSDT", "b": bid, "a": [["7", "2"]], "u": u, "seq": 1}
    return json.dumps({"topic": "orderbook.1.BTCUSDT", "ts": ts, "type": "snapshot", "data": data, "cts": ts})


def shown(used: BybitCodec, text: str) -> list[tuple[object, ...]]:
    batch = read(text, used)
    assert isinstance(batch, Batch)
    return [
        ((each.exchange_time_ns or 0) // 1_000_000, each.bid, each.bid_amount, each.ask, each.last)
        for each in batch.records
        if isinstance(each, Ticker)
    ]


def test_spot_ticker_is_made_of_two_topics() -> None:
    used = codec()
    assert shown(used, best(1, 5, [["6", "1"]])) == []
    assert shown(used, day(3, "6.5")) == [(3, "6", "1", "7", "6.5")]
    assert shown(used, best(2, 6, [["6", "3"]])) == [(3, "6", "3", "7", "6.5")]
    assert shown(used, best(9, 6, [["6", "3"]])) == []
    assert shown(used, best(10, 7, [])) == [(10, None, None, "7", "6.5")]


def test_spot_ticker_needs_the_best_prices() -> None:
    used = codec()
    assert shown(used, day(1, "6.5")) == []
    assert shown(used, best(2, 5, [])) == [(2, None, None, "7", "6.5")]


def change(kind: str, ts: int, **fields: str) -> str:
    return json.dumps(
        {"topic": "tickers.BTCUSDT", "type": kind, "data": {"symbol": "BTCUSDT", **fields}, "cs": 1, "ts": ts}
    )


def linear() -> BybitCodec:
    return BybitCodec("linear", [Stream("BTC-USDT-PERP", DataType.TICKER)], 50)


def test_linear_ticker_keeps_the_fields_that_a_change_lacks() -> None:
    used = linear()
    assert shown(used, change("delta", 1, bid1Price="5")) == []
    assert shown(used, change("snapshot", 2, bid1Price="5", bid1Size="1", ask1Price="6", lastPrice="5")) == [
        (2, "5", "1", "6", "5")
    ]
    assert shown(used, change("delta", 3, bid1Price="5.5")) == [(3, "5.5", "1", "6", "5")]
    assert shown(used, change("delta", 4, ask1Price="", ask1Size="")) == [(4, "5.5", "1", None, "5")]
    assert shown(used, change("delta", 5, markPrice="7", tickDirection="PlusTick")) == []
    assert shown(used, change("snapshot", 6, lastPrice="8")) == [(6, None, None, None, "8")]


def test_fields_of_an_odd_change_of_a_linear_ticker_are_unknown() -> None:
    used = linear()
    read(change("snapshot", 1, lastPrice="5", ask1Price="6"), used)
    with pytest.raises(FrameError):
        read(change("delta", 2, lastPrice="7", bid1Price="-1"), used)
    assert shown(used, change("delta", 3, bid1Price="4")) == [(3, "4", None, "6", None)]


def test_linear_ticker_waits_for_all_fields_after_a_damaged_change() -> None:
    """Nobody knows which fields it changed. REST shows that there is newer data, and it is subscribed again."""
    used = linear()
    read(change("snapshot", 1, lastPrice="5"), used)
    with pytest.raises(FrameError):
        read(change("delta", 2, lastPrice="7").replace(" ", "")[:-9], used)
    assert shown(used, change("delta", 3, bid1Price="4")) == []
    assert shown(used, change("snapshot", 4, bid1Price="4", lastPrice="7")) == [(4, "4", None, None, "7")]
