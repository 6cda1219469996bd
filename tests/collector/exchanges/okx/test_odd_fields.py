"""One field that is absent, or not what the documentation promises: it is null, or its frame is of no use."""

import json
from typing import Any

import msgspec
import pytest

from market_collector.errors import FrameError
from market_collector.exchanges.interface import AccountUpdate, Batch, Codec
from market_collector.exchanges.okx.account import OkxAccount
from market_collector.exchanges.okx.channels import channel
from market_collector.exchanges.okx.exchange import Okx
from market_collector.exchanges.okx.rest import OkxRestApi
from market_collector.feed.checkpoint_state import LinePosition
from market_collector.model.events import Data
from market_collector.model.streams import ACCOUNT, DataType, Stream
from odd_decimals import NOT_DECIMAL

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Stream("BTC-USDT", DataType.TICKER)
CANDLE = Stream("BTC-USDT", DataType.CANDLE, "1m")
BALANCE = Stream(ACCOUNT, DataType.BALANCE)
TRADE_ROW = {"tradeId": "7", "px": "100.1", "sz": "0.5", "side": "buy", "ts": "1786538760218", "count": "1", "seqId": 9}
TICKER_NUMBERS = {
    "bidPx": "bid", "bidSz": "bid_amount", "askPx": "ask", "askSz": "ask_amount", "last": "last", "lastSz": "last_amount",
    "open24h": "open_24h", "high24h": "high_24h", "low24h": "low_24h", "vol24h": "volume_24h",
    "volCcy24h": "quote_volume_24h",
}  # fmt: skip
TICKER_ROW = dict.fromkeys(TICKER_NUMBERS, "1.5") | {"ts": "1786538760218"}
CANDLE_ROW = ["1786538760000", "1", "3", "0.5", "2", "10", "20", "20", "1"]
CANDLE_NUMBERS = (1, 2, 3, 4, 5, 7)
ABSENT = object()


def push(stream: Stream, row: Any, **head: str) -> bytes:
    arg = {"channel": channel(stream), "instId": stream.symbol}
    return json.dumps({"arg": arg, **head, "data": [row]}, separators=(",", ":")).encode()


def book(price: str, amount: str, side: str = "bids") -> bytes:
    sides: dict[str, Any] = {
        "asks": [["200.5", "4", "0", "1"]],
        "bids": [["99", "1", "0", "2"], ["98.5", "2", "0", "1"]],
    }
    sides[side].insert(1, [price, amount, "0", "1"])
    row = sides | {"ts": "1786538760218", "checksum": 0, "seqId": 10, "prevSeqId": 9}
    return push(BOOK, row, action="update")


def changed(row: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    kept = {key: each for key, each in row.items() if key != name}
    return kept if value is ABSENT else kept | {name: value}


def codec_after_good_frames() -> Codec:
    """Nothing that was right before may make a wrong frame look right."""
    codec = Okx().codec("public", [TRADES, BOOK, TICKER, CANDLE])
    frames = (push(TRADES, TRADE_ROW), book("97", "1"), push(TICKER, TICKER_ROW), push(CANDLE, CANDLE_ROW))
    for frame in frames:
        read(codec, frame)
    return codec


def read(codec: Codec, frame: bytes) -> Data:
    (batch,) = codec.read(frame, 7)
    assert isinstance(batch, Batch)
    (record,) = batch.records
    return record


def odd_frames(text: str) -> list[tuple[Stream, bytes]]:
    candles = [[text if place == each else value for each, value in enumerate(CANDLE_ROW)] for place in CANDLE_NUMBERS]
    return [
        *((TRADES, push(TRADES, TRADE_ROW | {name: text})) for name in ("px", "sz")),
        *((BOOK, book(*level, side)) for level in ((text, "1"), ("97", text)) for side in ("bids", "asks")),
        *((TICKER, push(TICKER, TICKER_ROW | {name: text})) for name in TICKER_NUMBERS),
        *((CANDLE, push(CANDLE, row)) for row in candles),
    ]


@pytest.mark.parametrize("text", NOT_DECIMAL)
def test_number_that_is_no_plain_decimal_is_refused_in_every_field(text: str) -> None:
    codec = codec_after_good_frames()
    for stream, frame in odd_frames(text):
        with pytest.raises(FrameError) as raised:
            codec.read(frame, 7)
        assert raised.value.stream == stream, frame


@pytest.mark.parametrize(("price", "amount"), [("", "1"), ("97", ""), ("", "")])
def test_book_level_without_price_or_amount_is_refused(price: str, amount: str) -> None:
    with pytest.raises(FrameError):
        codec_after_good_frames().read(book(price, amount), 7)


def test_numbers_are_published_as_they_were_sent() -> None:
    codec = codec_after_good_frames()
    record: Any = read(codec, book("97.50", "0.000"))
    assert [(level.price, level.amount) for level in record.bids[1:2]] == [("97.50", "0.000")]
    trade: Any = read(codec, push(TRADES, TRADE_ROW | {"px": "100.10", "sz": "0"}))
    assert (trade.price, trade.amount) == ("100.10", "0")


@pytest.mark.parametrize("value", [ABSENT, None, ""])
@pytest.mark.parametrize(("name", "field"), [*TICKER_NUMBERS.items(), ("ts", "exchange_time_ns")])
def test_absent_field_of_a_ticker_is_null(name: str, field: str, value: object) -> None:
    record = read(codec_after_good_frames(), push(TICKER, changed(TICKER_ROW, name, value)))
    nulls = [each for each in (*TICKER_NUMBERS.values(), "exchange_time_ns") if getattr(record, each) is None]
    assert nulls == [field]


@pytest.mark.parametrize("value", [ABSENT, None, ""])
@pytest.mark.parametrize(("name", "field"), [("seqId", "sequence"), ("ts", "exchange_time_ns"), ("side", "side")])
def test_absent_optional_field_of_a_trade_is_null(name: str, field: str, value: object) -> None:
    record = read(codec_after_good_frames(), push(TRADES, changed(TRADE_ROW, name, value)))
    assert getattr(record, field) is None


@pytest.mark.parametrize("value", [ABSENT, None, ""])
@pytest.mark.parametrize("name", ["tradeId", "px", "sz"])
def test_trade_without_a_required_field_is_unreadable(name: str, value: object) -> None:
    with pytest.raises(FrameError) as raised:
        codec_after_good_frames().read(push(TRADES, changed(TRADE_ROW, name, value)), 7)
    assert raised.value.stream == TRADES


@pytest.mark.parametrize("length", range(len(CANDLE_ROW)))
def test_candle_that_is_too_short_is_unreadable(length: int) -> None:
    with pytest.raises(FrameError) as raised:
        codec_after_good_frames().read(push(CANDLE, CANDLE_ROW[:length]), 7)
    assert raised.value.stream == CANDLE


@pytest.mark.parametrize("value", [ABSENT, None, ""])
@pytest.mark.parametrize("name", ["asks", "bids"])
def test_book_without_a_side_is_unreadable(name: str, value: object) -> None:
    row = {"asks": [], "bids": [], "ts": "1786538760218", "checksum": 0, "seqId": 10, "prevSeqId": 9}
    with pytest.raises(FrameError) as raised:
        codec_after_good_frames().read(push(BOOK, changed(row, name, value), action="update"), 7)
    assert raised.value.stream == BOOK


@pytest.mark.parametrize("value", [ABSENT, None, "", 1, "0", "7", {}])
def test_trade_of_an_unknown_source_has_no_kind(value: object) -> None:
    record: Any = read(codec_after_good_frames(), push(TRADES, changed(TRADE_ROW, "source", value)))
    assert record.kind is None


@pytest.mark.parametrize("value", [None, ""])
def test_absent_quote_volume_of_a_candle_is_null(value: object) -> None:
    record: Any = read(codec_after_good_frames(), push(CANDLE, [*CANDLE_ROW[:7], value, "1"]))
    assert record.quote_volume is None


@pytest.mark.parametrize("number", ["-1", "9007199254740993", "1e30", "1.5", "x", "\u0663", True])
@pytest.mark.parametrize("name", ["ts", "tradeId", "seqId"])
def test_time_or_id_out_of_range_is_unreadable(name: str, number: object) -> None:
    with pytest.raises(FrameError):
        codec_after_good_frames().read(push(TRADES, TRADE_ROW | {name: number}), 7)


@pytest.mark.parametrize("name", ["seqId", "prevSeqId"])
def test_sequence_of_a_book_out_of_range_is_unreadable(name: str) -> None:
    row = {"asks": [], "bids": [], "ts": "1786538760218", "seqId": 10, "prevSeqId": 9, name: 2**53 + 1}
    with pytest.raises(FrameError) as raised:
        codec_after_good_frames().read(push(BOOK, row, action="update"), 7)
    assert raised.value.stream == BOOK


def test_largest_id_can_be_stored_in_a_checkpoint() -> None:
    trade: Any = read(codec_after_good_frames(), push(TRADES, TRADE_ROW | {"tradeId": str(2**53)}))
    line = LinePosition(int(trade.trade_id), missing=((0, 2**53 - 1),))
    assert msgspec.json.decode(msgspec.json.encode(line), type=LinePosition) == line


def test_trade_of_more_fills_than_there_are_ids_is_unreadable() -> None:
    with pytest.raises(FrameError, match="9 fills"):
        codec_after_good_frames().read(push(TRADES, TRADE_ROW | {"count": "9"}), 7)


def test_stream_of_a_frame_is_known_even_if_it_is_cut_off_or_turned() -> None:
    codec = codec_after_good_frames()
    turned = json.dumps({"data": [{}], "arg": {"instId": "BTC-USDT", "channel": "trades-all"}}).encode()
    for stream, frame in ((BOOK, book("1", "1")[:-9]), (TRADES, turned)):
        with pytest.raises(FrameError) as raised:
            codec.read(frame, 7)
        assert raised.value.stream == stream
    with pytest.raises(FrameError) as raised:
        codec.read(b"garbage", 7)
    assert raised.value.stream is None


# -- balances


def balances(**fields: Any) -> Any:
    codec = OkxAccount([BALANCE])
    codec.read(b'{"event":"login","code":"0","msg":""}', 7)
    detail = {"ccy": "BTC", "cashBal": "3", "availBal": "2", "frozenBal": "1", "uTime": "5000"}
    for name, value in fields.items():
        detail = changed(detail, name, value)
    push = {
        "arg": {},
        "eventType": "snapshot",
        "curPage": 1,
        "lastPage": True,
        "data": [{"uTime": "6", "details": [detail]}],
    }
    (update,) = codec.read(json.dumps(push).encode(), 7)
    assert isinstance(update, AccountUpdate)
    return update.balances[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [("availBal", "-5"), ("frozenBal", "-5")]
    + [(name, text) for name in ("cashBal", "availBal", "frozenBal") for text in NOT_DECIMAL if text != "-5"],
)
def test_balance_that_is_no_plain_decimal_is_refused(name: str, text: str) -> None:
    with pytest.raises(FrameError) as raised:
        balances(**{name: text})
    assert raised.value.stream == BALANCE


def test_total_of_a_debt_is_negative() -> None:
    assert balances(cashBal="-5.25").total == "-5.25"


@pytest.mark.parametrize("value", [ABSENT, None, ""])
@pytest.mark.parametrize(
    ("name", "field"),
    [("cashBal", "total"), ("availBal", "available"), ("frozenBal", "locked"), ("uTime", "exchange_time_ns")],
)
def test_absent_field_of_a_balance_is_null(name: str, field: str, value: object) -> None:
    assert getattr(balances(**{name: value}), field) is None


# -- REST


def answer(*rows: Any) -> bytes:
    return json.dumps({"code": "0", "msg": "", "data": rows}).encode()


def test_unreadable_row_of_history_does_not_hide_the_others() -> None:
    rest = OkxRestApi()
    body = answer(
        TRADE_ROW | {"tradeId": "9"}, TRADE_ROW | {"tradeId": "8", "px": "1.2.3"}, changed(TRADE_ROW, "ts", None)
    )
    found: Any = rest.read_history(TRADES, body, 7)
    assert found.unreadable == 1
    assert [(each.trade_id, each.exchange_time_ns is None) for each in found.records] == [("7", True), ("9", False)]
    with pytest.raises(FrameError, match=r"'1\.2\.3' is not a plain decimal"):
        rest.read_history(TRADES, answer(TRADE_ROW | {"px": "1.2.3"}), 7)
    (candle,) = rest.read_history(CANDLE, answer(["1", "nan", *CANDLE_ROW[2:]], CANDLE_ROW), 7).records
    assert candle.open == "1"  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", [ABSENT, None, ""])
@pytest.mark.parametrize(
    ("stream", "row", "name"),
    [
        (TRADES, TRADE_ROW, "tradeId"),
        (BOOK, {"asks": [], "bids": [], "ts": "1", "seqId": 77}, "seqId"),
        (TICKER, TICKER_ROW, "ts"),
    ],
)
def test_newest_row_without_its_mark_names_its_stream(
    stream: Stream, row: dict[str, Any], name: str, value: object
) -> None:
    rest = OkxRestApi()
    assert rest.newest_mark(stream, answer(row)) is not None
    with pytest.raises(FrameError, match=rf"answer for {stream} cannot be read: .*`{name}`") as raised:
        rest.newest_mark(stream, answer(changed(row, name, value)))
    assert raised.value.stream == stream


@pytest.mark.parametrize("length", range(len(CANDLE_ROW)))
def test_candle_of_rest_that_is_too_short_is_unreadable(length: int) -> None:
    rest, short = OkxRestApi(), CANDLE_ROW[:length]
    with pytest.raises(FrameError, match="answer for BTC-USDT/candle:1m cannot be read") as raised:
        rest.newest_mark(CANDLE, answer(short))
    assert raised.value.stream == CANDLE
    with pytest.raises(FrameError, match="answer for BTC-USDT/candle:1m cannot be read"):
        rest.read_history(CANDLE, answer(short), 7)
    history = rest.read_history(CANDLE, answer(short, CANDLE_ROW), 7)
    assert (len(history.records), history.unreadable) == (1, 1)


@pytest.mark.parametrize("name", ["tradeId", "px", "sz"])
def test_trade_of_history_without_a_required_field_is_left_out(name: str) -> None:
    """`read_history` names the stream; its gap stays open."""
    rest, odd = OkxRestApi(), changed(TRADE_ROW, name, ABSENT)
    with pytest.raises(FrameError, match=f"answer for BTC-USDT/trade cannot be read: .*`{name}`"):
        rest.read_history(TRADES, answer(odd), 7)
    history = rest.read_history(TRADES, answer(odd, TRADE_ROW), 7)
    assert (len(history.records), history.unreadable) == (1, 1)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"code":"50011","msg":"Too Many Requests","data":[]}'])
def test_answer_that_is_no_data_concerns_no_stream_in_particular(body: bytes) -> None:
    with pytest.raises(FrameError) as raised:
        OkxRestApi().newest_mark(TRADES, body)
    assert raised.value.stream is None


def test_unreadable_ticker_of_one_instrument_does_not_hide_the_others() -> None:
    good = TICKER_ROW | {"instId": "BTC-USDT", "lastSz": None}
    signs = OkxRestApi().read_overview([TICKER], answer({"instId": "DEAD-USDT", "ts": "soon"}, good))
    assert signs == {TICKER: 1786538760218}
