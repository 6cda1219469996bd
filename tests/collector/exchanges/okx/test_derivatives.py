"""OKX's funding rates, mark prices, open interest and liquidations: recorded pushes, subscriptions and REST."""

import json
from typing import Any

import pytest

import recordings
from market_collector.errors import FrameError, InstrumentRefusedError
from market_collector.exchanges.interface import Ack, Batch, Finding, Refusal, Seen, UnreadableData
from market_collector.exchanges.okx.channels import OkxCodec
from market_collector.exchanges.okx.derivatives import CHANNELS
from market_collector.exchanges.okx.exchange import Okx
from market_collector.exchanges.okx.rest import OkxRestApi
from market_collector.model.events import Funding, Liquidation, MarkPrice, OpenInterest
from market_collector.model.streams import OF_DERIVATIVES, DataType, Stream
from market_spec.exchanges import CAPABILITIES

PERP, OTHER = "BTC-USDT-PERP", "ETH-USDT-PERP"
STREAMS = [Stream(symbol, data_type) for symbol in (PERP, OTHER) for data_type in sorted(OF_DERIVATIVES)]
FUNDING, MARK, INTEREST, LIQUIDATIONS = (
    Stream(PERP, kind) for kind in (DataType.FUNDING, DataType.MARKPRICE, DataType.OPENINTEREST, DataType.LIQUIDATION)
)
ROUTE = "public-perpetual"
DETAIL = {
    "bkLoss": "0",
    "bkPx": "0.007831",
    "ccy": "",
    "posSide": "short",
    "side": "buy",
    "sz": "13",
    "ts": "1692266434010",
}
ARG = {"channel": "liquidation-orders", "instType": "SWAP"}


def codec() -> OkxCodec:
    return OkxCodec(ROUTE, STREAMS)


def batches(frame: Any) -> list[Batch]:
    text = frame if isinstance(frame, str) else json.dumps(frame, separators=(",", ":"))
    return [message for message in codec().read(text.encode(), 9) if isinstance(message, Batch)]


def liquidated(instrument: str, *details: dict[str, Any]) -> dict[str, Any]:
    row = {"details": details, "instFamily": instrument[:8], "instId": instrument, "instType": "SWAP", "uly": "x"}
    return {"arg": ARG, "data": [row]}


def recorded(channel: str) -> list[tuple[Any, Batch]]:
    """The recorded pushes of a channel, each with its batch."""
    found = []
    for frame in recordings.received(recordings.OKX_DERIVATIVES):
        push = json.loads(frame.text)
        if push["arg"]["channel"] == channel and "data" in push:
            (batch,) = batches(frame.text)
            found.append((push, batch))
    return found


def test_every_recorded_push_is_read_for_its_stream() -> None:
    found = [pair for channel in ("funding-rate", "mark-price", "open-interest") for pair in recorded(channel)]
    assert len(found) == 16
    symbols = {"BTC-USDT-SWAP": PERP, "ETH-USDT-SWAP": OTHER}
    for push, batch in found:
        assert batch.stream.symbol == symbols[push["arg"]["instId"]]
        assert {record.symbol for record in batch.records} == {batch.stream.symbol}
        assert {record.exchange_time_ns for record in batch.records} == {int(push["data"][0]["ts"]) * 1_000_000}


def test_recorded_mark_price_keeps_its_digits() -> None:
    _, batch = recorded("mark-price")[0]
    assert batch.records == [MarkPrice("okx", PERP, 1_790_757_203_016_000_000, 9, "83003.8", None, None)]


def test_recorded_open_interest_has_three_units() -> None:
    _, batch = recorded("open-interest")[0]
    numbers = "2874486.99000000925", "28744.8699000000925", None, "2385812703.752047677463"
    assert batch.records == [OpenInterest("okx", PERP, 1_790_757_195_759_000_000, 9, *numbers, polled=False)]


def test_recorded_funding_rate_has_its_interval_and_the_settled_rate() -> None:
    _, batch = recorded("funding-rate")[0]
    due_ns, before_ns, time_ns = 1_790_784_000_000_000_000, 1_790_755_200_000_000_000, 1_790_757_122_992_000_000
    next_ns = 1_790_812_800_000_000_000
    assert batch.records == [
        Funding("okx", PERP, time_ns, 9, "settled", "0.0000337200721784", None, before_ns, due_ns, None, None, None),
        Funding("okx", PERP, time_ns, 9, "predicted", "0.0000252378080097", None, due_ns, next_ns, 28_800, None, None),
    ]


@pytest.mark.parametrize(("changes", "kinds"), [
    ({"settState": "processing"}, ["predicted"]),
    ({"settFundingRate": ""}, ["predicted"]),
    ({"prevFundingTime": ""}, ["predicted"]),
    ({"nextFundingTime": "", "nextFundingRate": None}, ["settled", "predicted"]),
    ({"fundingRate": "-0.00375", "settFundingRate": "-0.1", "nextFundingRate": "-0.2"}, ["settled", "predicted"]),
])  # fmt: skip
def test_funding_rate_with_odd_fields_is_read(changes: dict[str, Any], kinds: list[str]) -> None:
    push, _ = recorded("funding-rate")[0]
    push["data"][0] |= changes
    (batch,) = batches(push)
    assert [each.kind for each in batch.records if isinstance(each, Funding)] == kinds
    rate = batch.records[-1]
    assert isinstance(rate, Funding)
    assert rate.predicted_rate == (changes.get("nextFundingRate") or None)


@pytest.mark.parametrize(("channel", "field"), [
    ("funding-rate", "fundingRate"), ("funding-rate", "settFundingRate"), ("mark-price", "markPx"), ("open-interest", "oi"),
])  # fmt: skip
@pytest.mark.parametrize("value", ["1e5", "--1", "x"])
def test_number_that_is_no_plain_decimal_is_an_error(channel: str, field: str, value: str) -> None:
    push, batch = recorded(channel)[0]
    push["data"][0][field] = value
    with pytest.raises(FrameError, match="is not a plain decimal") as caught:
        batches(push)
    assert caught.value.stream == batch.stream


# -- liquidations


def test_liquidation_is_read_with_its_bankruptcy_price() -> None:
    (batch,) = batches(liquidated("BTC-USDT-SWAP", DETAIL))
    record = Liquidation(
        "okx", PERP, 1_692_266_434_010_000_000, 9, None, "buy", "short", "0.007831", None, "13", None, complete=False
    )
    assert (batch.stream, batch.records) == (LIQUIDATIONS, [record])


def test_liquidations_of_other_instruments_are_ignored() -> None:
    assert batches(liquidated("IOST-USDT-SWAP", DETAIL | {"sz": "?"})) == []


def test_position_of_an_account_with_net_positions_is_unknown() -> None:
    (batch,) = batches(liquidated("ETH-USDT-SWAP", DETAIL | {"posSide": "net", "bkPx": ""}))
    (record,) = batch.records
    assert isinstance(record, Liquidation)
    assert (record.position, record.side, record.price) == (None, "buy", None)


def test_unreadable_liquidation_concerns_its_stream_only() -> None:
    with pytest.raises(FrameError, match="liquidations of BTC-USDT-SWAP cannot be read") as caught:
        batches(liquidated("BTC-USDT-SWAP", DETAIL | {"sz": "?"}))
    assert caught.value.stream == LIQUIDATIONS


def test_unreadable_liquidation_does_not_hide_that_of_another_symbol() -> None:
    odd, other = liquidated("BTC-USDT-SWAP", DETAIL | {"sz": "?"}), liquidated("ETH-USDT-SWAP", DETAIL)
    frame = json.dumps(odd | {"data": odd["data"] + other["data"]}).encode()
    unreadable, batch = codec().read(frame, 9)
    assert isinstance(unreadable, UnreadableData)
    assert isinstance(batch, Batch)
    assert (unreadable.stream, batch.stream.symbol, len(batch.records)) == (LIQUIDATIONS, OTHER, 1)


def test_liquidations_of_all_symbols_share_one_subscription() -> None:
    one = codec()
    (frame,) = one.subscribe(STREAMS)
    args = json.loads(frame)["args"]
    assert args.count(ARG) == 1
    assert {"channel": "mark-price", "instId": "ETH-USDT-SWAP"} in args
    assert len(args) == 7
    (ack,) = one.read(json.dumps({"event": "subscribe", "arg": ARG}).encode(), 9)
    assert isinstance(ack, Ack)
    assert {stream.symbol for stream in ack.streams} == {PERP, OTHER}
    assert {stream.data_type for stream in ack.streams} == {DataType.LIQUIDATION}
    (refusal,) = one.read(json.dumps({"event": "error", "arg": ARG, "code": "60018", "msg": "x"}).encode(), 9)
    assert isinstance(refusal, Refusal)
    assert refusal.streams == ack.streams


def test_liquidations_that_nobody_asked_for_are_an_error() -> None:
    frame = json.dumps(liquidated("BTC-USDT-SWAP", DETAIL)).encode()
    with pytest.raises(FrameError, match="which nobody asked for"):
        OkxCodec(ROUTE, [MARK]).read(frame, 9)


def test_future_is_asked_for_by_its_own_type() -> None:
    streams = [Stream("BTC-USDT-270326", kind) for kind in (DataType.MARKPRICE, DataType.LIQUIDATION)]
    (frame,) = OkxCodec("public-future", streams).subscribe(streams)
    assert json.loads(frame)["args"] == [
        {"channel": "mark-price", "instId": "BTC-USDT-270326"},
        {"channel": "liquidation-orders", "instType": "FUTURES"},
    ]


def test_exchange_says_that_it_reports_a_part_of_the_liquidations() -> None:
    assert {route for stream in STREAMS if (route := Okx().route(stream))} == {ROUTE}
    (batch,) = batches(liquidated("BTC-USDT-SWAP", DETAIL))
    complete = [each.complete for each in batch.records if isinstance(each, Liquidation)]
    assert complete == ["liquidation" not in CAPABILITIES["okx"].partial_types]


# -- REST


def answer(stream: Stream, **changes: Any) -> bytes:
    """The answer with the newest recorded row."""
    row = recorded(CHANNELS[stream.data_type])[0][0]["data"][0] | changes
    return json.dumps({"code": "0", "msg": "", "data": [row]}).encode()


def seen(stream: Stream) -> Seen:
    return Seen(recorded(CHANNELS[stream.data_type])[0][1].records[-1])


@pytest.mark.parametrize(("stream", "path"), [
    (FUNDING, "/api/v5/public/funding-rate?instType=SWAP&instId=BTC-USDT-SWAP"),
    (MARK, "/api/v5/public/mark-price?instType=SWAP&instId=BTC-USDT-SWAP"),
    (INTEREST, "/api/v5/public/open-interest?instType=SWAP&instId=BTC-USDT-SWAP"),
])  # fmt: skip
def test_newest_state_is_requested(stream: Stream, path: str) -> None:
    request = OkxRestApi().newest(stream)
    assert request.path == path
    assert request.bucket in OkxRestApi.budgets


@pytest.mark.parametrize(("stream", "field"), [(FUNDING, "fundingRate"), (MARK, "markPx"), (INTEREST, "oi")])
def test_same_state_at_a_later_time_is_quiet(stream: Stream, field: str) -> None:
    api, known = OkxRestApi(), seen(stream)
    assert api.judge(stream, known, answer(stream, ts="1790757299999")).finding is Finding.QUIET
    newer = api.judge(stream, known, answer(stream, ts="1790757299999", **{field: "1"}))
    assert (newer.finding, newer.detail[:19]) == (Finding.NEWER, "1790757299999 after")
    assert api.judge(stream, known, answer(stream, ts="1790000000000", **{field: "1"})).finding is Finding.OLDER


def test_open_interest_in_dollars_follows_the_price() -> None:
    later = answer(INTEREST, ts="1790757299999", oiUsd="1", oiCcy="1")
    assert OkxRestApi().judge(INTEREST, seen(INTEREST), later).finding is Finding.QUIET


def test_state_without_data_is_compared_with_the_last_answer() -> None:
    api = OkxRestApi()
    first = api.judge(MARK, Seen(), answer(MARK))
    assert first.finding is Finding.UNKNOWN
    assert api.judge(MARK, Seen(answer=first.evidence), answer(MARK)).finding is Finding.QUIET
    assert api.judge(MARK, Seen(answer=first.evidence), answer(MARK, markPx="1")).finding is Finding.NEWER


def test_empty_answer_is_complete_and_a_refusal_refuses() -> None:
    api = OkxRestApi()
    assert api.judge(MARK, Seen(), b'{"code":"0","data":[]}').finding is Finding.EMPTY
    with pytest.raises(InstrumentRefusedError):
        api.judge(MARK, Seen(), b'{"code":"51001","msg":"","data":[]}')
    with pytest.raises(FrameError) as caught:
        api.judge(MARK, Seen(), b'{"code":"0","data":[{"markPx":"x"}]}')
    assert caught.value.stream == MARK
