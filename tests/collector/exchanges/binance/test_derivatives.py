"""Binance's funding rates, mark prices, open interest and liquidations."""

import json
import subprocess
import sys
from typing import Any

import pytest

import recordings
from market_collector.errors import FrameError, InstrumentRefusedError
from market_collector.exchanges.binance.channels import BinanceCodec
from market_collector.exchanges.binance.exchange import Binance
from market_collector.exchanges.binance.polls import BinancePolls
from market_collector.exchanges.binance.rest import BinanceRestApi
from market_collector.exchanges.interface import Ack, Batch, Finding, Request, Seen, UnreadableData
from market_collector.model.events import Data, Funding, Liquidation, MarkPrice, OpenInterest
from market_collector.model.streams import DataType, Stream

PERP = "BTC-USDT-PERP"
FUNDING, MARK, LIQUIDATIONS = STREAMS = [
    Stream(PERP, kind) for kind in (DataType.FUNDING, DataType.MARKPRICE, DataType.LIQUIDATION)
]
INTEREST = Stream(PERP, DataType.OPENINTEREST)
API, BINANCE = BinanceRestApi(), Binance()
EVENT = {
    "e": "markPriceUpdate", "E": 1790757176000, "s": "BTCUSDT", "p": "83003.10000000", "ap": "83003.10000000",
    "P": "83198.80343841", "i": "83045.69043478", "r": "-0.00001012", "T": 1790784000000, "st": 1,
}  # fmt: skip
TIME_NS, DUE_NS = 1_790_757_176_000_000_000, 1_790_784_000_000_000_000
RATE = Funding(
    "binance", PERP, TIME_NS, 9, "predicted", "-0.00001012", None, DUE_NS, None, None, "83003.10000000",
    "83045.69043478",
)  # fmt: skip
PRICE = MarkPrice("binance", PERP, TIME_NS, 9, "83003.10000000", "83045.69043478", "83198.80343841")
ORDER = {
    "s": "BTCUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "0.014", "p": "9910", "ap": "9912.5", "X": "FILLED",
    "l": "0.014", "z": "0.010", "T": 1568014460893,
}  # fmt: skip


def frame(name: str, event: Any, separators: tuple[str, str] = (",", ":")) -> bytes:
    return json.dumps({"stream": f"btcusdt@{name}", "data": event}, separators=separators).encode()


def records(codec: BinanceCodec, *frames: bytes) -> list[Data]:
    messages = [message for each in frames for message in codec.read(each, 9)]
    return [record for message in messages if isinstance(message, Batch) for record in message.records]


def test_one_event_has_the_funding_rate_and_the_mark_price() -> None:
    mark = frame("markPrice@1s", EVENT)
    assert records(BinanceCodec(STREAMS), mark) == [RATE, PRICE]
    assert records(BinanceCodec([FUNDING]), mark) == [RATE]
    assert records(BinanceCodec([MARK]), mark) == [PRICE]
    assert records(BinanceCodec(STREAMS), frame("markPrice@1s", EVENT, (", ", ": "))) == [RATE, PRICE]


def test_one_stream_is_requested_once_and_its_answer_is_about_all() -> None:
    codec = BinanceCodec(STREAMS)
    (request,) = codec.subscribe(STREAMS)
    assert json.loads(request)["params"] == ["btcusdt@markPrice@1s", "btcusdt@forceOrder"]
    assert codec.read(b'{"result":null,"id":1}', 9) == (Ack(tuple(STREAMS)),)


def test_recorded_mark_prices_are_read_for_each_symbol() -> None:
    streams = [Stream(f"{base}-USDT-PERP", each.data_type) for base in ("BTC", "ETH") for each in (FUNDING, MARK)]
    frames = [each.bytes for each in recordings.received(recordings.BINANCE_MARK_PRICES)]
    found = records(BinanceCodec(streams), *frames)
    assert len(found) == 2 * len(frames) == 40
    assert {(each.symbol, type(each)) for each in found} == {
        (f"{base}-USDT-PERP", kind) for base in ("BTC", "ETH") for kind in (Funding, MarkPrice)
    }


@pytest.mark.parametrize("changes", [{"r": ""}, {"T": 0}, {"T": EVENT["E"]}, {"T": 1790757175999}])
def test_rate_without_a_coming_time_is_no_record(changes: dict[str, Any]) -> None:
    assert records(BinanceCodec(STREAMS), frame("markPrice@1s", EVENT | changes)) == [PRICE]


@pytest.mark.parametrize(
    ("stream", "changes"),
    [
        (FUNDING, {"r": "1e-5"}), (FUNDING, {"p": "-1"}), (FUNDING, {"T": "x"}), (FUNDING, {"E": -1}),
        (MARK, {"P": "x"}),
    ],
)  # fmt: skip
def test_odd_field_is_an_error_of_its_stream(stream: Stream, changes: dict[str, Any]) -> None:
    odd = frame("markPrice@1s", EVENT | changes)
    with pytest.raises(FrameError) as caught:
        BinanceCodec([stream]).read(odd, 9)
    assert caught.value.stream == stream
    assert stream in [each.stream for each in BinanceCodec(STREAMS).read(odd, 9) if isinstance(each, UnreadableData)]


def test_odd_rate_does_not_hide_the_mark_price() -> None:
    unreadable, batch = BinanceCodec(STREAMS).read(frame("markPrice@1s", EVENT | {"r": "1e-5"}), 9)
    assert unreadable == UnreadableData(FUNDING, "Binance frame cannot be read: '1e-5' is not a plain decimal")
    assert batch == Batch(MARK, [PRICE])


@pytest.mark.parametrize(("given", "side", "position"), [("SELL", "sell", "long"), ("BUY", "buy", "short")])
def test_liquidation_is_one_of_several_and_has_its_fills(given: str, side: Any, position: Any) -> None:
    event = {"e": "forceOrder", "E": 1568014460900, "o": ORDER | {"S": given}}
    (record,) = records(BinanceCodec(STREAMS), frame("forceOrder", event))
    assert record == Liquidation(
        "binance", PERP, 1_568_014_460_893_000_000, 9, None, side, position, "9910", "9912.5", "0.014", "0.010",
        complete=False,
    )  # fmt: skip


def test_liquidation_without_a_fill_has_no_average_price() -> None:
    event = {"e": "forceOrder", "E": 1568014460900, "o": ORDER | {"ap": "0.0", "z": "0"}}
    (record,) = records(BinanceCodec(STREAMS), frame("forceOrder", event))
    assert isinstance(record, Liquidation)
    assert (record.average_price, record.filled_amount) == (None, "0")


@pytest.mark.parametrize("changes", [{"S": "BOTH"}, {"q": "-1"}, {"p": ""}, {"T": "x"}, {"z": "1e3"}])
def test_odd_liquidation_is_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(FrameError) as caught:
        BinanceCodec(STREAMS).read(frame("forceOrder", {"e": "forceOrder", "E": 5, "o": ORDER | changes}), 9)
    assert caught.value.stream == LIQUIDATIONS


def test_open_interest_is_polled_and_the_others_are_pushed() -> None:
    assert {BINANCE.route(stream) for stream in STREAMS} == {"perpetual-market"}
    assert BINANCE.routes[BINANCE.route(INTEREST)].polled_every_s == 30.0
    assert [name for name, route in BINANCE.routes.items() if route.polled_every_s is not None] == ["perpetual-polls"]


# -- REST

ROW = {
    "symbol": "BTCUSDT", "markPrice": EVENT["p"], "indexPrice": EVENT["i"], "estimatedSettlePrice": EVENT["P"],
    "lastFundingRate": EVENT["r"], "interestRate": "0.00010000", "nextFundingTime": EVENT["T"],
    "time": 1790757177000,
}  # fmt: skip


def request(call: str) -> Request:
    return Request(f"/fapi/v1/{call}?symbol=BTCUSDT", host="perpetual-rest", bucket="perpetual", cost=1)


@pytest.mark.parametrize(("stream", "field"), [(FUNDING, "lastFundingRate"), (MARK, "estimatedSettlePrice")])
def test_state_is_compared_with_that_of_rest(stream: Stream, field: str) -> None:
    assert API.newest(stream) == request("premiumIndex")
    (last,) = records(BinanceCodec([stream]), frame("markPrice@1s", EVENT))
    assert API.judge(stream, Seen(last), json.dumps(ROW).encode()).finding is Finding.QUIET
    assert API.judge(stream, Seen(last), json.dumps(ROW | {field: "9"}).encode()).finding is Finding.NEWER
    assert API.judge(stream, Seen(), json.dumps(ROW).encode()).finding is Finding.UNKNOWN
    with pytest.raises(FrameError) as caught:
        API.judge(stream, Seen(last), json.dumps(ROW | {field: "x"}).encode())
    assert caught.value.stream == stream


def test_symbol_without_a_rate_has_no_funding() -> None:
    body = json.dumps(ROW | {"lastFundingRate": "", "nextFundingTime": 0}).encode()
    assert API.judge(FUNDING, Seen(), body).finding is Finding.EMPTY


def test_unknown_symbol_is_refused() -> None:
    unknown = b'{"code":-1121,"msg":"Invalid symbol."}'
    with pytest.raises(InstrumentRefusedError):
        API.judge(MARK, Seen(), unknown)
    with pytest.raises(InstrumentRefusedError):
        BinancePolls().read(INTEREST, unknown, 9)


def test_open_interest_is_in_base_currency() -> None:
    assert BinancePolls().request(INTEREST) == request("openInterest")
    body = b'{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}'
    time_ns = 1_589_437_530_011_000_000
    assert BinancePolls().read(INTEREST, body, 9) == Batch(
        INTEREST, [OpenInterest("binance", PERP, time_ns, 9, "10659.509", None, None, None, polled=True)]
    )


@pytest.mark.parametrize("body", [b'{"openInterest":"x","time":5}', b'{"openInterest":"1"}', b"{", b"[]"])
def test_odd_open_interest_is_an_error(body: bytes) -> None:
    with pytest.raises(FrameError):
        BinancePolls().read(INTEREST, body, 9)


SETTLED = {"symbol": "BTCUSDT", "fundingRate": "-0.00010000", "fundingTime": 1570608000002, "markPrice": "34287.5"}


def settled(*rows: Any) -> Batch:
    found = BinancePolls().read(FUNDING, json.dumps(rows).encode(), 9)
    assert isinstance(found, Batch)
    return found


def test_settled_rates_come_from_history_with_a_budget_of_their_own() -> None:
    asked = Request("/fapi/v1/fundingRate?symbol=BTCUSDT&limit=10", host="perpetual-rest", bucket="funding-history")
    assert BinancePolls().request(FUNDING) == asked
    budget = API.budgets[asked.bucket]
    assert 300 * budget.per_second + budget.capacity <= 250
    assert not BINANCE.routes[BINANCE.route(FUNDING)].sends_settled_rates


def test_settled_rate_has_the_time_and_mark_price_of_its_payment() -> None:
    time_ns = 1_570_608_000_002_000_000
    rate = Funding(
        "binance", PERP, None, 9, "settled", "-0.00010000", None, time_ns, None, None, "34287.5", None
    )  # fmt: skip
    assert settled(SETTLED).records == [rate]
    (old,) = settled(SETTLED | {"markPrice": ""}).records
    assert isinstance(old, Funding)
    assert old.mark_price is None
    assert settled().records == []


@pytest.mark.parametrize("changes", [{"fundingRate": "x"}, {"markPrice": "-1"}, {"fundingTime": "5"}])
def test_odd_settled_rate_is_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(FrameError) as caught:
        settled(SETTLED | changes)
    assert caught.value.stream == FUNDING


def test_other_data_does_not_load_the_module_of_derivatives() -> None:
    code = (
        "import sys; from market_collector.exchanges.binance.exchange import Binance;"
        "from market_collector.model.streams import DataType, Stream;"
        "Binance().codec('perpetual-market', [Stream('BTC-USDT-PERP', DataType.TRADE)]);"
        "print('market_collector.exchanges.binance.derivatives' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
