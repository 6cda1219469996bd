"""Bybit's funding rates, mark prices, open interest and liquidations."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.bybit.channels import BybitCodec
from market_collector.exchanges.bybit.names import LINEAR
from market_collector.exchanges.bybit.rest import BybitRestApi
from market_collector.exchanges.interface import Ack, Batch, Finding, Refusal, Seen, UnreadableData
from market_collector.model.events import Data, Funding, Liquidation, MarkPrice, OpenInterest
from market_collector.model.streams import DataType, Stream

PERP = "BTC-USDT-PERP"
TICKER, FUNDING, MARK, INTEREST, LIQUIDATIONS = STREAMS = [
    Stream(PERP, kind)
    for kind in (DataType.TICKER, DataType.FUNDING, DataType.MARKPRICE, DataType.OPENINTEREST, DataType.LIQUIDATION)
]
FIRST_MS = 1_790_757_082_283


def frame(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def change(kind: str = "delta", /, **fields: str) -> bytes:
    return frame({"topic": "tickers.BTCUSDT", "type": kind, "data": {"symbol": "BTCUSDT"} | fields, "cs": 1, "ts": 5})


def records(codec: BybitCodec, *frames: bytes) -> list[Data]:
    messages = [message for each in frames for message in codec.read(each, 9)]
    return [record for message in messages if isinstance(message, Batch) for record in message.records]


def recorded(*streams: Stream) -> list[Data]:
    """The records of the recorded ticker of BTCUSDT."""
    codec = BybitCodec(LINEAR, streams, 50)
    codec.subscribe(streams)
    return records(codec, *(each.bytes for each in recordings.received(recordings.BYBIT_LINEAR)))


def merged(*names: str) -> list[tuple[int, list[str]]]:
    """The recorded states of these fields with their times, each once: an independent merge."""
    state: dict[str, str] = {}
    found: list[tuple[int, list[str]]] = []
    for each in recordings.received(recordings.BYBIT_LINEAR):
        push = json.loads(each.text)
        if "data" not in push:
            continue
        state |= {name: value for name, value in push["data"].items() if name in names}
        values = [state[name] for name in names]
        if not found or found[-1][1] != values:
            found.append((push["ts"], values))
    return found


def test_first_recorded_ticker_has_all_states() -> None:
    found = recorded(*STREAMS)
    firsts = {
        kind: next(each for each in found if isinstance(each, kind)) for kind in (Funding, MarkPrice, OpenInterest)
    }
    time_ns = FIRST_MS * 1_000_000
    due_ns = 1_790_784_000_000_000_000
    assert firsts == {
        Funding: Funding("bybit", PERP, time_ns, 9, "predicted", "-0.00007774", None, due_ns, None, 28_800, None, None),
        MarkPrice: MarkPrice("bybit", PERP, time_ns, 9, "83024.70", "83074.01", None),
        OpenInterest: OpenInterest("bybit", PERP, time_ns, 9, "28559.256", None, "2371123661.62", None, polled=False),
    }


@pytest.mark.parametrize(("stream", "names", "values"), [
    (FUNDING, ("fundingRate",), lambda each: [each.rate]),
    (MARK, ("markPrice", "indexPrice"), lambda each: [each.mark_price, each.index_price]),
    (INTEREST, ("singleOpenInterest", "singleOpenInterestValue"), lambda each: [each.amount, each.quote_amount]),
])  # fmt: skip
def test_recorded_changes_are_merged(stream: Stream, names: Sequence[str], values: Any) -> None:
    found = [((each.exchange_time_ns or 0) // 1_000_000, values(each)) for each in recorded(stream)]
    assert found == merged(*names)
    assert len(found) > 1 or stream == FUNDING


def test_streams_of_one_topic_are_read_side_by_side() -> None:
    streams = STREAMS[:4]
    together, single = recorded(*streams), [each for stream in streams for each in recorded(stream)]
    assert sorted(map(str, together)) == sorted(map(str, single))


def test_one_topic_is_requested_once_and_its_answer_is_about_all() -> None:
    codec = BybitCodec(LINEAR, STREAMS, 50)
    (request,) = codec.subscribe(STREAMS)
    assert json.loads(request)["args"] == ["tickers.BTCUSDT", "allLiquidation.BTCUSDT"]
    answer = {"success": True, "ret_msg": "", "conn_id": "x", "req_id": "1", "op": "subscribe"}
    (ack,) = codec.read(frame(answer), 9)
    assert ack == Ack(tuple(STREAMS))
    codec.subscribe(STREAMS)
    refused = answer | {"success": False, "req_id": "2", "ret_msg": "Invalid symbol :[tickers.BTCUSDT]"}
    (refusal,) = codec.read(frame(refused), 9)
    assert isinstance(refusal, Refusal)
    assert (refusal.streams, refusal.spared) == (tuple(STREAMS[:4]), (LIQUIDATIONS,))


def test_streams_of_one_topic_stay_in_one_request() -> None:
    streams = [Stream(f"S{n}-USDT-PERP", kind) for kind in (DataType.TICKER, DataType.FUNDING) for n in range(12)]
    args = [
        topic for request in BybitCodec(LINEAR, streams, 50).subscribe(streams) for topic in json.loads(request)["args"]
    ]
    assert args == [f"tickers.S{n}USDT" for n in range(12)]


def test_changes_before_the_first_whole_ticker_are_skipped() -> None:
    codec = BybitCodec(LINEAR, [MARK], 50)
    assert records(codec, change(markPrice="5")) == []
    found = records(
        codec, change("snapshot", markPrice="5", indexPrice=""), change(indexPrice="6"), change(bid1Size="1")
    )
    assert found == [
        MarkPrice("bybit", PERP, 5_000_000, 9, "5", None, None),
        MarkPrice("bybit", PERP, 5_000_000, 9, "5", "6", None),
    ]


@pytest.mark.parametrize("fields", [
    {"fundingRate": "", "nextFundingTime": "1790784000000"},
    {"fundingRate": "0.1", "nextFundingTime": "0"},
    {"fundingRate": "0.1", "nextFundingTime": ""},
    {"fundingRate": "0.1", "nextFundingTime": "5"},
])  # fmt: skip
def test_rate_without_a_coming_time_is_no_record(fields: dict[str, str]) -> None:
    assert records(BybitCodec(LINEAR, [FUNDING], 50), change("snapshot", **fields)) == []


@pytest.mark.parametrize(("stream", "fields"), [
    (FUNDING, {"fundingRate": "1e5"}), (FUNDING, {"nextFundingTime": "x"}), (FUNDING, {"fundingIntervalHour": "-8"}),
    (MARK, {"markPrice": "-1"}), (INTEREST, {"singleOpenInterest": "x"}),
])  # fmt: skip
def test_odd_field_is_an_error_of_its_stream_only(stream: Stream, fields: dict[str, str]) -> None:
    codec = BybitCodec(LINEAR, STREAMS, 50)
    whole = {"fundingRate": "0.1", "nextFundingTime": "1790784000000", "markPrice": "5", "singleOpenInterest": "7"}
    assert len(records(codec, change("snapshot", lastPrice="5", **whole))) == 4
    others = {"lastPrice": "6", "markPrice": "8", "singleOpenInterest": "9", "fundingRate": "0.2"}
    messages = codec.read(change(**(others | fields)), 9)
    assert [each.stream for each in messages if isinstance(each, UnreadableData)] == [stream]
    assert sum(len(each.records) for each in messages if isinstance(each, Batch)) == 3
    with pytest.raises(FrameError) as caught:
        BybitCodec(LINEAR, [stream], 50).read(change("snapshot", **(whole | fields)), 9)
    assert caught.value.stream == stream


def liquidated(**changes: Any) -> bytes:
    row = {"T": 1739502302929, "s": "BTCUSDT", "S": "Sell", "v": "20000", "p": "0.04499"} | changes
    return frame({"topic": "allLiquidation.BTCUSDT", "type": "snapshot", "ts": 1739502303204, "data": [row]})


@pytest.mark.parametrize(("given", "side", "position"), [("Buy", "sell", "long"), ("Sell", "buy", "short")])
def test_liquidation_has_the_side_of_its_order(given: str, side: Any, position: Any) -> None:
    (record,) = records(BybitCodec(LINEAR, STREAMS, 50), liquidated(S=given))
    time_ns = 1_739_502_302_929_000_000
    assert record == Liquidation(
        "bybit", PERP, time_ns, 9, None, side, position, "0.04499", None, "20000", None, complete=True
    )


@pytest.mark.parametrize("changes", [{"S": "Both"}, {"v": "-1"}, {"p": ""}, {"T": "x"}])
def test_odd_liquidation_is_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(FrameError) as caught:
        BybitCodec(LINEAR, STREAMS, 50).read(liquidated(**changes), 9)
    assert caught.value.stream == LIQUIDATIONS


ROW = {
    "symbol": "BTCUSDT", "fundingRate": "-0.0001", "nextFundingTime": "1790784000000", "fundingIntervalHour": "8",
    "markPrice": "5", "indexPrice": "6", "singleOpenInterest": "7", "singleOpenInterestValue": "35",
}  # fmt: skip


def answer(**changes: str) -> bytes:
    return frame({"retCode": 0, "result": {"category": "linear", "list": [ROW | changes]}, "time": 1_790_000_000_000})


@pytest.mark.parametrize(
    ("stream", "field"), [(FUNDING, "fundingRate"), (MARK, "markPrice"), (INTEREST, "singleOpenInterest")]
)
def test_state_is_compared_with_that_of_rest(stream: Stream, field: str) -> None:
    api = BybitRestApi()
    assert api.newest(stream).path == "/v5/market/tickers?category=linear&symbol=BTCUSDT"
    (last,) = records(BybitCodec(LINEAR, [stream], 50), change("snapshot", **ROW))
    assert api.judge(stream, Seen(last), answer()).finding is Finding.QUIET
    assert api.judge(stream, Seen(last), answer(**{field: "9"})).finding is Finding.NEWER
    assert api.judge(stream, Seen(), answer(**{field: ""})).finding is Finding.EMPTY
    with pytest.raises(FrameError) as caught:
        api.judge(stream, Seen(last), answer(**{field: "x"}))
    assert caught.value.stream == stream
