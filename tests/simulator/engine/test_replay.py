import json
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import pytest

from market_simulator.dialects.okx import protocol as okx
from market_simulator.dialects.okx.recording import read_frame
from market_simulator.engine.book import Book
from market_simulator.engine.events import BookChange, Event, Key, Level, RecordedRow, Trades
from market_simulator.engine.quantities import price_key
from market_simulator.engine.recording import (
    Frame,
    RecordedBase,
    RecordedBook,
    RecordedTrade,
    Recording,
    read_recording,
)
from market_simulator.engine.replay import recorded_books, recorded_keys, replay, tracks

RECORDINGS = Path(__file__).parents[2] / "recordings" / "okx"
NOW_US = 1_800_000_000_000_000


def recording(path: Path) -> Recording:
    return read_recording(path, read_frame, "OKX v5")


FILE_2022 = RECORDINGS / "ws_public_2022-05-13_btc.jsonl"
FILE_2026 = RECORDINGS / "ws_public_2026-09-26_btc-usdt-swap_part1.jsonl"
DERIVATIVES = RECORDINGS / "ws_public_2026-09-30_swap_funding_mark_oi.jsonl"


def played(*names: Path, count: int, speed: Fraction = Fraction(1), origin_us: int = NOW_US) -> list[Event]:
    return list(islice(replay([recording(name) for name in names], origin_us, speed, okx.checksum), count))


def book_changes(events: list[Event], instrument: str) -> list[BookChange]:
    return [event for event in events if isinstance(event, BookChange) and event.instrument == instrument]


def first_pass(file: Path) -> list[str]:
    """The messages of OKX's dialect in the first pass."""
    read = recording(file)
    said = []
    for event in islice(replay([read], read.zero_ms * 1000, Fraction(1), okx.checksum), len(read.frames)):
        match event:
            case Trades():
                said.append(okx.push(Key("trades", event.instrument), okx.merged_trades(event)))
            case BookChange():
                said.append(okx.book_update(event))
            case RecordedRow():
                said.append(okx.push(Key(event.channel, event.instrument), okx.recorded_row(event)))
    return said


def recorded_data(file: Path) -> list[str]:
    texts = [entry["raw"] for entry in map(json.loads, file.read_text().splitlines()) if entry["dir"] == "in"]
    return [text for text in texts if '"data"' in text]


@pytest.mark.parametrize("file", [FILE_2026, DERIVATIVES], ids=["market", "derivatives"])
def test_first_pass_has_the_recorded_bytes(file: Path) -> None:
    assert first_pass(file) == [text for text in recorded_data(file) if "index-tickers" not in text]


def test_later_pass_of_funding_rates_moves_all_their_times() -> None:
    rates = [
        each for each in played(DERIVATIVES, count=60) if isinstance(each, RecordedRow) and "fundingRate" in each.row
    ]
    moves = []
    for each in rates:
        row = json.loads(okx.recorded_row(each))
        (move,) = {int(row[name]) - int(each.row[name]) for name in ("ts", "fundingTime", "nextFundingTime")}
        moves.append(move)
    assert max(moves) > min(moves) > 0


def test_first_pass_of_an_older_protocol_only_adds_fields() -> None:
    """In 2022, trades had no count, source and sequence number, and books no sequence numbers."""
    said, recorded = map(json.loads, first_pass(FILE_2022)), map(json.loads, recorded_data(FILE_2022))
    for ours, theirs in zip(said, recorded, strict=True):
        added = {name for row in ours["data"] for name in row} - {name for row in theirs["data"] for name in row}
        assert added <= {"count", "source", "seqId", "prevSeqId"}
        rows = [{name: row[name] for name in row if name not in added} for row in ours["data"]]
        assert ours | {"data": rows} == theirs


@pytest.mark.parametrize("instrument", ["BTC-USDT", "BTC-USD-220527"])
def test_all_checksums_are_valid_across_seams(instrument: str) -> None:
    changes = book_changes(played(FILE_2022, count=297 * 4), instrument)
    book = Book()
    for change in changes:
        book.apply(change.bids, change.asks)
        assert change.checksum == okx.checksum(book)
    assert len(changes) > 350
    assert [change.is_snapshot for change in changes] == [True] + [False] * (len(changes) - 1)


@pytest.mark.parametrize(("file", "instrument"), [(FILE_2022, "BTC-USDT"), (FILE_2026, "BTC-USDT-SWAP")])
def test_sequence_numbers_stay_linked_with_steps_above_one(file: Path, instrument: str) -> None:
    changes = book_changes(played(file, count=1500), instrument)
    assert changes[0].previous == -1
    assert all(after.previous == before.sequence for before, after in pairwise(changes))
    assert all(change.sequence > change.previous + 1 for change in changes if not change.is_no_change)


@pytest.mark.parametrize("file", [FILE_2022, FILE_2026, RECORDINGS / "ws_2026-08-12_spot_snippets.jsonl"])
def test_trade_ids_have_no_gap_and_no_duplicate_across_seams(file: Path) -> None:
    last: dict[str, int] = {}
    for event in played(file, count=1500):
        if not isinstance(event, Trades):
            continue
        for row in event.rows:
            assert row.first_id == last.get(event.instrument, row.first_id - 1) + 1
            last[event.instrument] = row.last_id
    assert last


def test_times_continue_from_the_start_and_never_decrease() -> None:
    events = played(FILE_2022, FILE_2026, count=3000)
    assert [event.time_us for event in events] == sorted(event.time_us for event in events)
    assert NOW_US <= events[0].time_us < NOW_US + 1_000_000
    stamps: dict[str, int] = {}
    for event in events:
        if not isinstance(event, Trades):
            continue
        for row in event.rows:
            assert stamps.get(event.instrument, 0) <= row.ts_ms <= event.time_us // 1000
            stamps[event.instrument] = row.ts_ms


def test_speed_shortens_distances_and_keeps_the_start() -> None:
    slow, fast = (played(FILE_2022, count=600, speed=Fraction(speed)) for speed in (1, 10))
    for before, after in zip(slow, fast, strict=True):
        assert abs((before.time_us - NOW_US) / 10 - (after.time_us - NOW_US)) <= 1


def test_recorded_restart_of_the_numbers_is_replayed() -> None:
    changes = book_changes(played(RECORDINGS / "derived_seq_scenarios.jsonl", count=14), "BTC-USDT")
    assert [change.sequence for change in changes[:6]] == [10, 15, 15, 20, 3, 5]
    assert changes[2].is_no_change
    assert all(after.previous == before.sequence for before, after in pairwise(changes))


def test_recordings_that_share_an_instrument_follow_each_other() -> None:
    snippets, spot, swap = (
        recording(p) for p in (RECORDINGS / "ws_2026-08-12_spot_snippets.jsonl", FILE_2022, FILE_2026)
    )
    assert tracks([snippets, swap, spot]) == [[swap], [snippets, spot]]
    events = islice(replay([snippets, swap, spot], NOW_US, Fraction(1), okx.checksum), 400)
    assert {e.instrument for e in events if isinstance(e, Trades)} == {"BTC-USDT", "BTC-USDT-SWAP", "BTC-USD-220527"}


def test_gap_in_recorded_ids_disappears_and_duplicates_are_dropped(tmp_path: Path) -> None:
    rows = [(10, 1), (14, 2), (14, 2), (20, 1)]
    lines = []
    for trade_id, fills in rows:
        row = {
            "instId": "A-B",
            "tradeId": str(trade_id),
            "px": "1",
            "sz": "5",
            "side": "buy",
            "ts": "1",
            "count": str(fills),
        }
        raw = json.dumps({"arg": {"channel": "trades", "instId": "A-B"}, "data": [row]})
        lines.append(json.dumps({"t": 1.0, "dir": "in", "url": "wss://x", "raw": raw}))
    file = tmp_path / "holes.jsonl"
    file.write_text("\n".join(lines))
    trades = [row for event in played(file, count=6) if isinstance(event, Trades) for row in event.rows]
    assert [(row.first_id, row.last_id) for row in trades] == [
        (10, 10),
        (11, 12),
        (13, 13),
        (14, 14),
        (15, 16),
        (17, 17),
    ]


def test_trades_without_a_sequence_take_the_last_one_of_the_book(tmp_path: Path) -> None:
    trade = {"instId": "A-B", "tradeId": "5", "px": "1", "sz": "5", "side": "buy", "ts": "1"}
    book = {"asks": [], "bids": [["1", "1", "0", "1"]], "ts": "1", "seqId": 77, "prevSeqId": -1}
    messages = [
        {"arg": {"channel": "books", "instId": "A-B"}, "action": "snapshot", "data": [book]},
        {"arg": {"channel": "trades", "instId": "A-B"}, "data": [trade]},
    ]
    lines = [{"t": 1.0, "dir": "in", "url": "wss://x", "raw": json.dumps(message)} for message in messages]
    file = tmp_path / "some.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    events = played(file, count=4)
    assert [e.rows[0].sequence for e in events if isinstance(e, Trades)] == [77, 94]
    assert [e.sequence for e in events if isinstance(e, BookChange)] == [77, 94]


def test_changes_before_the_first_snapshot_are_not_replayed() -> None:
    read = recording(FILE_2026)
    first = next(place for place, frame in enumerate(read.frames) if frame.channel == "books")
    headless = Recording(read.path, read.zero_ms, read.frames[first + 1 :], ())
    with pytest.raises(StopIteration):
        next(
            event
            for event in islice(replay([headless], 0, Fraction(1), okx.checksum), 100)
            if isinstance(event, BookChange)
        )


def level(price: str, size: str) -> Level:
    return Level(price_key(price), price, size, "")


def made(*frames: Frame) -> Recording:
    return Recording(Path("made.jsonl"), 0, frames, ())


def changes(recording: Recording, count: int) -> list[BookChange]:
    events = islice(replay([recording], 0, Fraction(1), okx.checksum), count)
    return [event for event in events if isinstance(event, BookChange)]


def update(offset_us: int, sequence: int, before: int, *bids: Level, channel: str = "depth") -> Frame:
    book = RecordedBook(bids, (), 5, sequence, 0, False, before=before)
    return Frame(offset_us, channel, "A-B", book)


def test_book_without_snapshots_starts_with_that_of_rest() -> None:
    base = Frame(10, "", "A-B", RecordedBase((level("7", "1"), level("6", "2")), ()))
    recording = made(update(0, 22, 19, level("7", "1")), base, update(20, 23, 22, level("6", "0")))
    opening, first, second, again, *_ = changes(recording, 6)
    assert (opening.is_snapshot, opening.sequence, [row.size for row in opening.bids]) == (True, 19, ["1", "2"])
    assert [(first.previous, first.sequence), (second.previous, second.sequence)] == [(19, 22), (22, 23)]
    assert (again.is_snapshot, again.previous, again.bids) == (False, 23, (level("6", "2"),))
    assert again.sequence > 23


def test_book_without_any_state_starts_empty_and_keeps_empty_updates() -> None:
    opening, first, second = changes(made(update(0, 3, 2), update(10, 5, 3)), 3)
    assert (opening.is_snapshot, opening.bids) == (True, ())
    assert [(change.is_no_change, change.sequence) for change in (first, second)] == [(False, 3), (False, 5)]


def test_other_depths_of_a_book_are_left_out() -> None:
    frames = update(0, 3, 2), update(10, 90, 80, channel="depth@100ms"), update(20, 4, 3)
    assert [change.sequence for change in changes(made(*frames), 3)] == [2, 3, 4]
    assert recorded_books([made(*frames)]) == {Key("depth", "A-B"): 0, Key("depth@100ms", "A-B"): 0}


def test_ids_that_are_not_dense_are_kept_in_the_first_pass() -> None:
    trades = [RecordedTrade(None, "1", "1", 1, "buy", "0", 5, None, name) for name in ("x", "c")]
    recording = made(*(Frame(place, "trades", "A-B", (trade,)) for place, trade in enumerate(trades)))
    events = islice(replay([recording], 0, Fraction(1), okx.checksum), 4)
    rows = [row for event in events if isinstance(event, Trades) for row in event.rows]
    assert [(row.last_id, row.name) for row in rows] == [(1, "x"), (2, "c"), (3, ""), (4, "")]


def test_channels_that_are_recorded_are_named() -> None:
    assert recorded_keys([recording(FILE_2026)]) == {Key("bbo-tbt", "BTC-USDT-SWAP")}
