"""OKX's REST requests, and the readers of their answers."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

import recordings
from market_collector.errors import FrameError, InstrumentRefusedError
from market_collector.exchanges.interface import Batch, HistoryRange, ProblemKind, RestProblem, Sign, Top
from market_collector.exchanges.okx.derivatives import STATES
from market_collector.exchanges.okx.exchange import Okx
from market_collector.exchanges.okx.rest import OkxRestApi
from market_collector.model.events import Instrument
from market_collector.model.streams import DataType, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
TICKER = Stream("BTC-USDT", DataType.TICKER)
CANDLE = Stream("BTC-USDT", DataType.CANDLE, "1h")
STREAMS = (TRADES, BOOK, TICKER)
QUESTIONS = OkxRestApi()


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


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":"50011","msg":"Too Many Requests","data":[]}', b'{"code":"0","data":[{}]}'])  # fmt: skip
def test_a_rest_answer_that_is_none_is_an_error(body: bytes) -> None:
    with pytest.raises(FrameError, match="BTC-USDT/trade"):
        QUESTIONS.newest_mark(TRADES, body)


@pytest.mark.parametrize("stream", [*STREAMS, CANDLE])
def test_empty_answer_is_complete(stream: Stream) -> None:
    assert QUESTIONS.newest_mark(stream, b'{"code":"0","msg":"","data":[]}') is None


@pytest.mark.parametrize(
    ("code", "words", "is_refusal"),
    [
        ("51001", "Instrument ID doesn't exist.", True),
        ("51000", "Parameter instId error", True),
        ("51000", "Parameter bar error", False),
        ("50001", "Service temporarily unavailable", False),
    ],
)
def test_error_codes_that_refuse_the_instrument(code: str, words: str, is_refusal: bool) -> None:
    body = f'{{"code":"{code}","msg":"{words}","data":[]}}'.encode()
    with pytest.raises(FrameError, match=f"OKX error {code}: {words}") as raised:
        QUESTIONS.newest_mark(TRADES, body)
    assert isinstance(raised.value, InstrumentRefusedError) is is_refusal
    with pytest.raises(FrameError, match=words) as raised:
        QUESTIONS.read_overview(STREAMS, body)
    assert not isinstance(raised.value, InstrumentRefusedError)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><title>Just a moment...</title>", "it is not a JSON object: Just a moment..."),
        (b'{"msg":"not available in your region"}', 'required field `code`.*: {"msg":"not available in your region"}'),
    ],
)
def test_foreign_answer_is_shown(body: bytes, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        QUESTIONS.newest_mark(TRADES, body)


def overview(**fields: str) -> Mapping[Stream, Sign]:
    row = json.dumps({"instType": "SPOT", "instId": "BTC-USDT", "ts": "7", **fields})
    body = f'{{"code":"0","msg":"","data":[{{"instId":"NEW-USDT","ts":""}},{row}]}}'
    return QUESTIONS.read_overview([*STREAMS, CANDLE, Stream("NEW-USDT", DataType.TRADE)], body.encode())


def test_overview_signs_the_newest_event_of_each_stream() -> None:
    request = QUESTIONS.overview("spot")
    assert request is not None
    assert request.path == "/api/v5/market/tickers?instType=SPOT"
    prices = {"bidPx": "9", "bidSz": "1", "askPx": "10", "askSz": "2"}
    signs = overview(last="9", lastSz="1", vol24h="5", volCcy24h="45", **prices)
    assert signs == {TICKER: 7, BOOK: Top("9", "1", "10", "2"), TRADES: "9 1 5 45", CANDLE: "9 1 5 45"}


def test_overview_without_volumes_or_prices_signs_with_its_time() -> None:
    assert overview() == {TICKER: 7, BOOK: "7", TRADES: "7", CANDLE: "7"}


def test_instruments_that_do_not_trade_have_their_state() -> None:
    rows = [("BTC-USDT", "live"), ("OLD-USDT", "suspend"), ("NEW-USDT", "preopen")]
    data = ",".join(f'{{"instId":"{name}","state":"{state}"}}' for name, state in rows)
    halted = QUESTIONS.halted(f'{{"code":"0","msg":"","data":[{data}]}}'.encode())
    assert halted == {"OLD-USDT": "suspend", "NEW-USDT": "preopen"}


def test_the_exchanges_time_is_asked_for_and_read() -> None:
    assert QUESTIONS.time().path == "/api/v5/public/time"
    body = b'{"code":"0","msg":"","data":[{"ts":"1597026383085"}]}'
    assert QUESTIONS.read_time(body) == 1_597_026_383_085_000_000


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":"50011","msg":"Too Many","data":[]}', b'{"code":"0","data":[]}', b'{"code":"0","data":[{}]}', b'{"code":"0","data":[{"ts":"x"}]}', b'{"code":"0","data":[{"ts":"1"}]}', b'{"code":"0","data":[{"ts":"999999999999999"}]}', b'{"code":"0","data":[{"ts":"' + b"9" * 400 + b'"}]}', b"[" * 100_000])  # fmt: skip
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


@pytest.mark.parametrize(("kind", "word"), [("spot", "SPOT"), ("perpetual", "SWAP"), ("future", "FUTURES")])
def test_lists_are_requested_for_each_kind_of_instruments(kind: str, word: str) -> None:
    assert QUESTIONS.instruments(kind).path == f"/api/v5/public/instruments?instType={word}"
    assert QUESTIONS.overview(kind).path == f"/api/v5/market/tickers?instType={word}"


def test_all_instruments_with_a_canonical_name_are_listed() -> None:
    names = ["ETH-USDT", "BTC-USDT-SWAP", "BTC-USD-SWAP", "BTC-USD-270326", "BTC-USD-270326-60000-C", "A-USD_UM-SWAP"]
    data = ",".join(f'{{"instId":"{name}","state":"live"}}' for name in names)
    found = QUESTIONS.read_instruments(None, f'{{"code":"0","msg":"","data":[{data}]}}'.encode(), 7)
    assert [(each.symbol, each.native_symbol) for each in found] == [
        ("ETH-USDT", "ETH-USDT"),
        ("BTC-USDT-PERP", "BTC-USDT-SWAP"),
        ("BTC-USD-PERP-BTC", "BTC-USD-SWAP"),
        ("BTC-USD-270326-BTC", "BTC-USD-270326"),
    ]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code":"50011","msg":"Too Many Requests","data":[]}', b'{"code":"0","data":[{}]}'])  # fmt: skip
def test_instruments_that_cannot_be_read_are_an_error(body: bytes) -> None:
    with pytest.raises(FrameError, match="instruments"):
        QUESTIONS.read_instruments(None, body, 7)


def instruments(row: object, symbol: str = "BTC-USDT") -> list[Instrument]:
    body = json.dumps({"code": "0", "msg": "", "data": [{"instId": "OTHER-USDT"}, row]}).encode()
    return list(QUESTIONS.read_instruments({symbol}, body, 7))


def test_recorded_instrument_has_its_increments_and_units() -> None:
    (line, *_) = recordings.OKX_REST.read_text().splitlines()
    body = json.loads(line)["raw"].encode()
    (btc,) = QUESTIONS.read_instruments({"BTC-USDT"}, body, 7)
    assert msgspec.to_builtins(btc) == {
        "type": "instrument", "exchange": "okx", "symbol": "BTC-USDT", "exchange_time_ns": None, "receive_time_ns": 7,
        "valid_from_ns": 7, "native_symbol": "BTC-USDT", "kind": "spot", "base": "BTC", "quote": "USDT",
        "amount_unit": "base", "price_increment": "0.1", "amount_increment": "0.00000001", "min_amount": "0.00001",
        "min_notional": None, "status": "trading", "listed_time_ns": 1_548_133_413_000_000_000, "trade_ids": "dense",
        "sequence_scope": "exchange", "trades_share_sequence": True, "trade_kinds": ["rpi"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("state", "status"),
    [("live", "trading"), ("suspend", "halted"), ("rebase", "halted"), ("preopen", "pre_launch"), ("later", "later")],
)
def test_state_of_an_instrument_has_one_word_for_all_exchanges(state: str, status: str) -> None:
    row = {"instId": "BTC-USDT", "instType": "SPOT", "state": state}
    assert [each.status for each in instruments(row)] == [status]


@pytest.mark.parametrize("empty", [None, ""])
def test_absent_fields_of_an_instrument_are_null(empty: str | None) -> None:
    names = ("tickSz", "lotSz", "minSz", "listTime")
    (found,) = instruments({"instId": "BTC-USDT", "instType": "SPOT", "state": "live"} | dict.fromkeys(names, empty))
    absent = (found.price_increment, found.amount_increment, found.min_amount)
    assert (*absent, found.listed_time_ns) == (None,) * 4


def test_recorded_swap_has_its_contract_size_and_settlement() -> None:
    (_, line, *_) = recordings.OKX_REST.read_text().splitlines()
    (btc,) = QUESTIONS.read_instruments({"BTC-USDT-PERP"}, json.loads(line)["raw"].encode(), 7)
    assert msgspec.to_builtins(btc) == {
        "type": "instrument", "exchange": "okx", "symbol": "BTC-USDT-PERP", "exchange_time_ns": None,
        "receive_time_ns": 7, "valid_from_ns": 7, "native_symbol": "BTC-USDT-SWAP", "kind": "perpetual", "base": "BTC",
        "quote": "USDT", "amount_unit": "contract", "price_increment": "0.1", "amount_increment": "0.01",
        "min_amount": "0.01", "min_notional": None, "status": "trading", "listed_time_ns": 1_573_557_408_000_000_000,
        "trade_ids": "dense", "sequence_scope": "exchange", "trades_share_sequence": True, "trade_kinds": ["rpi"],
        "settlement": "USDT", "contract_size": "0.01", "contract_unit": "base",
    }  # fmt: skip


@pytest.mark.parametrize(("multiplier", "size"), [({}, "100"), ({"ctMult": ""}, "100"), ({"ctMult": "0.1"}, "10.0")])
def test_inverse_future_has_a_size_in_quote_and_an_expiry(multiplier: dict[str, str], size: str) -> None:
    row = {"instId": "BTC-USD-270326", "state": "live", "settleCcy": "BTC", "ctVal": "100", "ctValCcy": "USD"}
    (found,) = instruments({**row, "expTime": "1806048000000", **multiplier}, "BTC-USD-270326-BTC")
    assert (found.kind, found.settlement, found.contract_size, found.contract_unit) == ("future", "BTC", size, "quote")
    assert found.expiry_time_ns == 1_806_048_000_000_000_000


def test_contract_settled_in_another_asset_has_another_name() -> None:
    row = {"instId": "BTC-USD-SWAP", "state": "live", "settleCcy": "USDC"}
    assert instruments(row, "BTC-USD-PERP-BTC") == []
    assert [each.symbol for each in instruments(row, "BTC-USD-PERP-USDC")] == ["BTC-USD-PERP-USDC"]


SWAP = [Stream("BTC-USD-PERP-BTC", stream.data_type, stream.interval) for stream in (*STREAMS, CANDLE)]


def test_requests_about_a_swap_have_its_own_name() -> None:
    missing = HistoryRange(1, 9, 9)
    requests = [*map(QUESTIONS.newest, SWAP), *map(QUESTIONS.state, SWAP)]
    requests += [QUESTIONS.history(stream, missing) for stream in SWAP if stream.data_type in ("trade", "candle")]
    for request in requests:
        assert "instId=BTC-USD-SWAP&" in f"{request.path}&"
    assert QUESTIONS.state(SWAP[0]).path.startswith("/api/v5/public/instruments?instType=SWAP&")


def test_answers_about_a_swap_name_its_symbol() -> None:
    row = {"instId": "BTC-USD-SWAP", "ts": "7", "state": "suspend"}
    body = json.dumps({"code": "0", "msg": "", "data": [row]}).encode()
    assert QUESTIONS.halted(body) == {"BTC-USD-PERP-BTC": "suspend"}
    assert set(QUESTIONS.read_overview(SWAP, body)) == set(SWAP)
    assert QUESTIONS.unlisted({"BTC-USD-PERP-BTC", "ETH-USD-PERP-ETH"}, body) == {"ETH-USD-PERP-ETH"}


@pytest.mark.parametrize(
    ("symbols", "answer", "unlisted"),
    [
        ({"BTC-USDT", "GONE-USDT"}, {"code": "0", "data": [{"instId": "BTC-USDT"}]}, {"GONE-USDT"}),
        ({"GONE-USDT"}, {"code": "51001", "data": []}, {"GONE-USDT"}),
        ({"BTC-USDT", "GONE-USDT"}, {"code": "51001", "data": []}, set()),
        ({"BTC-USDT"}, {"code": "50011", "data": []}, set()),
        ({"BTC-USDT"}, {"code": "0", "data": []}, set()),
    ],
)
def test_symbol_is_unlisted_if_the_list_lacks_it(symbols: set[str], answer: dict[str, Any], unlisted: set[str]) -> None:
    assert QUESTIONS.unlisted(symbols, json.dumps({"msg": ""} | answer).encode()) == unlisted


@pytest.mark.parametrize("row", [{"instId": "BTC-USDT"}, {"instId": "BTC-USDT", "state": "live", "tickSz": "1e-8"}])
def test_instrument_that_cannot_be_read_is_an_error(row: object) -> None:
    with pytest.raises(FrameError, match="instruments"):
        instruments(row)


@pytest.mark.parametrize(
    ("status", "headers", "body", "problem"),
    [
        (200, {}, b'{"code":"50011","msg":"Too Many Requests","data":[]}', None),
        (429, {}, b'{"code":"50011","msg":"Too Many Requests","data":[]}', RestProblem(ProblemKind.BUSY, 2.0)),
        (429, {"retry-after": "7"}, b"<html>", RestProblem(ProblemKind.BUSY, 7.0)),
        (429, {"retry-after": "3600"}, b"", RestProblem(ProblemKind.BUSY, 60.0)),
        (429, {"retry-after": "Sun, 29 Nov 2026 23:00:00 GMT"}, b"", RestProblem(ProblemKind.BUSY, 2.0)),
        (400, {}, b'{"code":"51001","msg":"Instrument ID does not exist"}', RestProblem(ProblemKind.NO_SYMBOL)),
        (400, {}, b'{"code":"51000","msg":"Parameter bar error"}', RestProblem(ProblemKind.BUG)),
        (403, {}, b"<html>Access denied</html>", RestProblem(ProblemKind.BUG)),
        (403, {}, b"not available in your country", RestProblem(ProblemKind.REGION, 600.0)),
        (451, {}, b"", RestProblem(ProblemKind.REGION, 600.0)),
        (503, {}, b"", RestProblem(ProblemKind.SERVER)),
    ],
)
def test_http_errors_are_judged(status: int, headers: dict[str, str], body: bytes, problem: RestProblem | None) -> None:
    assert QUESTIONS.refusal(status, headers, body) == problem


@pytest.mark.parametrize(("rows", "covers_from"), [(99, None), (100, 901)])
def test_only_a_full_page_leaves_out_older_candles(rows: int, covers_from: int | None) -> None:
    """The newest one may be open: it counts as a row."""
    candles = [
        [str(hour * 3_600_000), *"1234567", "0" if hour == 1000 else "1"] for hour in range(1000, 1000 - rows, -1)
    ]
    history = QUESTIONS.read_history(CANDLE, json.dumps({"code": "0", "data": candles}).encode(), 1)
    assert (len(history.records), history.covers) == (rows - 1, (covers_from, None))


def test_every_request_has_a_budget() -> None:
    requests = [QUESTIONS.instruments("spot"), QUESTIONS.time(), QUESTIONS.overview("spot"), QUESTIONS.state(BOOK)]
    contracts = [Stream("BTC-USDT-PERP", kind) for kind in STATES]
    requests += [QUESTIONS.newest(stream) for stream in (*STREAMS, CANDLE, *contracts)]
    requests += [
        QUESTIONS.history(stream, HistoryRange(1, last, 5000)) for stream in (TRADES, CANDLE) for last in (1, 5000)
    ]
    assert {request.bucket for request in requests if request} == set(QUESTIONS.budgets)
