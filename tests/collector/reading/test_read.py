"""All records of one type, also from replicas that lack some."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from market_collector.errors import InputError, RecordingError
from market_collector.model.events import Candle, Data, Trade
from market_collector.model.identity import identity
from market_collector.reading import read
from record_lines import lines
from records import at, candle, gap, snapshot, ticker, trade, update

UNDISTURBED: list[Data] = [
    snapshot(1),
    *(update(number - 1, number, bids=[("9", str(number))]) for number in range(2, 12)),
    *(trade(number) for number in range(1, 12)),
    *(ticker(seconds) for seconds in range(1, 12)),
    *(candle(minute, closed=closed) for minute in range(4) for closed in (False, True)),
]
KINDS = ("trade", "orderbook", "ticker", "candle")


def recorded(folder: Path, **replicas: list[Data]) -> Path:
    for name, records in replicas.items():
        (folder / f"{name}.jsonl").write_bytes(lines(records))
    return folder


def test_records_are_deduplicated_and_sorted(tmp_path: Path) -> None:
    later = replace(trade(2), receive_time_ns=at(50))
    folder = recorded(tmp_path, a=[trade(3), trade(1), trade(2)], b=[later, trade(10), ticker(1)])
    assert list(read(folder, "trade").records()) == [trade(1), trade(2), trade(3), trade(10)]
    assert len(read(folder, "trade")) == 4


def test_live_trades_and_closed_candles_win(tmp_path: Path) -> None:
    live, closed = replace(trade(1), receive_time_ns=at(9)), candle(1)
    running = replace(candle(1, closed=False), receive_time_ns=closed.receive_time_ns + 1)
    folder = recorded(tmp_path, a=[trade(1, backfilled=True), closed], b=[live, running])
    assert list(read(folder, "trade").records()) == [live]
    assert list(read(folder, "candle").records()) == [closed]


def test_symbols_select_records(tmp_path: Path) -> None:
    other = replace(trade(1), symbol="ETH-USDT")
    folder = recorded(tmp_path, a=[trade(1), other])
    assert list(read(folder, "trade", symbols="ETH-USDT").records()) == [other]
    assert list(read(folder, "trade", ["BTC-USDT", "ETH-USDT"]).records()) == [trade(1), other]
    assert list(read(folder, "trade", ["SOL-USDT"]).records()) == []


def test_events_of_each_replica_are_kept(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_bytes(lines([gap("g", 1, 2), trade(3)]))
    assert list(read(tmp_path, "gap").records()) == [gap("g", 1, 2)] * 2


def test_gap_that_later_files_repeat_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([gap("g", 1, 2), trade(3), gap("g", 1, 2, seconds=5)]))
    assert list(read(tmp_path, "gap").records()) == [gap("g", 1, 2)]


def test_tables_have_the_records(tmp_path: Path) -> None:
    found = read(recorded(tmp_path, a=[trade(1), trade(2)]), "trade")
    assert found.kind is Trade
    assert found.to_polars()["trade_id"].to_list() == list(found.to_pandas()["trade_id"]) == ["1", "2"]
    assert found.to_polars("text")["price"].to_list() == list(found.to_pandas("text")["price"]) == ["1", "1"]


def test_unreadable_line_and_unknown_type_are_errors(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([trade(1)]) + b"{}\n")
    with pytest.raises(RecordingError, match=r"a\.jsonl:2: "):
        read(tmp_path, "trade")
    with pytest.raises(InputError, match="Did you mean trade"):
        read(tmp_path, "trad")


@st.composite
def faulty(draw: st.DrawFn) -> tuple[list[Data], list[Data]]:
    """Two replicas: each record is in one of them or in both, live or backfilled, at any receive time."""
    replicas: tuple[list[Data], list[Data]] = ([], [])
    for record in UNDISTURBED:
        owners = draw(st.sampled_from([(0,), (1,), (0, 1)]))
        for owner in owners:
            delay = draw(st.integers(0, 3_000_000_000))
            copy = replace(record, receive_time_ns=record.receive_time_ns + delay)
            if isinstance(copy, Trade) and len(owners) == 2 and owner == 1:
                copy = replace(copy, backfilled=draw(st.booleans()))
            replicas[owner].append(copy)
    return draw(st.permutations(replicas[0])), draw(st.permutations(replicas[1]))


@given(replicas=faulty())
def test_union_of_replicas_is_one_undisturbed_replica(
    tmp_path_factory: pytest.TempPathFactory, replicas: tuple[list[Data], list[Data]]
) -> None:
    folder = recorded(tmp_path_factory.mktemp("replicas"), a=replicas[0], b=replicas[1])
    whole = recorded(tmp_path_factory.mktemp("whole"), c=UNDISTURBED)
    for kind in KINDS:
        found, expected = list(read(folder, kind).records()), list(read(whole, kind).records())
        assert [identity(each) for each in found if isinstance(each, Data)] == [
            identity(each) for each in expected if isinstance(each, Data)
        ]
        assert all(each.closed for each in found if isinstance(each, Candle))
        assert not any(each.backfilled for each in found if isinstance(each, Trade))
