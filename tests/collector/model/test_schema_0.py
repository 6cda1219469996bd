"""Records of schema 0 are read as those of schema 1, and documents keep gaps in the form of schema 0."""

from typing import Any

import msgspec
import pytest

from market_collector.model.events import AnyRecord, Gap, Lost, Repaired, Trade
from market_collector.model.schema_0 import StoredGap, record_decoder
from record_lines import lines
from records import BOOK, CANDLES, TRADES, gap, lost, open_ms, repaired, trade

GAP: dict[str, Any] = {
    "type": "gap", "exchange": "okx", "symbol": "BTC-USDT", "exchange_time_ns": None, "receive_time_ns": 6,
    "gap_id": "g", "stream": TRADES, "from": "3", "to": "5", "from_time_ns": 1, "to_time_ns": 2, "missing": 3,
    "reason": "IdsMissing", "merges": None,
}  # fmt: skip


def read(line: dict[str, Any]) -> AnyRecord:
    return record_decoder()(msgspec.json.encode(line))


def test_bounds_of_a_trade_gap_become_ids() -> None:
    found = read(GAP)
    assert isinstance(found, Gap)
    assert (found.first_id, found.last_id, found.data_type, found.interval) == ("3", "5", "trade", None)
    assert (found.from_time_ns, found.to_time_ns, found.missing, found.reason) == (1, 2, 3, "IdsMissing")


def test_milliseconds_of_a_candle_gap_become_nanoseconds() -> None:
    found = read(GAP | {"stream": CANDLES, "from": str(open_ms(1)), "to": str(open_ms(2))})
    assert isinstance(found, Gap)
    assert (found.first_id, found.last_id) == (f"{open_ms(1)}000000", f"{open_ms(2)}000000")
    assert (found.data_type, found.interval) == ("candle", "1m")


def test_start_of_a_book_gap_becomes_its_last_sequence() -> None:
    found = read(GAP | {"stream": BOOK, "from": "17", "to": None})
    assert isinstance(found, Gap)
    assert (found.first_id, found.last_id, found.after_sequence) == (None, None, 17)


def test_ends_of_gaps_get_the_type_of_their_stream() -> None:
    end = {key: GAP[key] for key in ("exchange", "symbol", "exchange_time_ns", "receive_time_ns", "gap_id")}
    end |= {"stream": CANDLES, "recovered": 1, "missing": 1, "reason": "NotInHistory"}
    found = read({"type": "lost", "ranges": [[str(open_ms(1)), str(open_ms(1))]]} | end)
    assert isinstance(found, Lost)
    assert (found.interval, found.ranges) == ("1m", [(f"{open_ms(1)}000000", f"{open_ms(1)}000000")])
    found = read({"type": "repaired"} | end)
    assert isinstance(found, Repaired)
    assert found.data_type == "candle"


def test_gap_of_an_unknown_stream_is_kept() -> None:
    found = read(GAP | {"stream": "BTC-USDT/new"})
    assert isinstance(found, Gap)
    assert (found.stream, found.data_type) == ("BTC-USDT/new", None)


@pytest.mark.parametrize("record", [gap("g", 1, 2), lost("g", [(1, 2)]), repaired("g"), trade(7)], ids=repr)
def test_records_of_schema_1_stay_the_same(record: AnyRecord) -> None:
    assert record_decoder()(lines([record])) == record


@pytest.mark.parametrize(
    "record",
    [gap("g", 3, 5, missing=3, merges=["f"]), gap("g", 17, stream=BOOK), gap("g", None, None)],
    ids=lambda record: str(record.stream),
)
def test_stored_gap_is_read_back_as_the_same_record(record: Gap) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(StoredGap.of(record)), type=StoredGap)
    assert stored.record() == record


def test_stored_gap_of_candles_has_milliseconds_as_in_schema_0() -> None:
    first, last = (f"{open_ms(minute)}000000" for minute in (1, 2))
    record = msgspec.structs.replace(gap("g", None, None, stream=CANDLES), first_id=first, last_id=last)
    stored = StoredGap.of(record)
    assert (stored.first, stored.last) == (str(open_ms(1)), str(open_ms(2)))
    assert stored.record() == record


def test_other_records_are_decoded_as_they_are() -> None:
    assert isinstance(record_decoder()(lines([trade(7)])), Trade)
