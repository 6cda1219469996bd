"""Checks that a collector's records are true and complete, by comparison with the simulator's truth.

Records are the decoded JSON lines of one sink, in order, and can be iterated several times. Every check fails with an
AssertionError that describes the error.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from itertools import takewhile
from typing import Any

from exchange_words import ALL_WORDS, ExchangeWords
from truth import SIDES, Sides, Tracked, Truth

Records = Iterable[Any]
LENGTHS = {"1s": 1_000_000_000, "1m": 60_000_000_000}
"""Lengths of the tests' intervals in nanoseconds."""


def check(records: Records, truth: Truth, *, interval: str = "", skew_ns: int = 0) -> None:
    """Check everything that holds for any output after any fault.

    Unless one is given, candles have the exchange's shortest interval. Its clock was wrong by 0 or by ``skew_ns``.
    """
    check_gaps(records, skew_ns=skew_ns)
    check_gap_times(records)
    check_trades(records, truth, skew_ns=skew_ns)
    check_books(records, truth, skew_ns=skew_ns)
    check_candles(records, truth, interval or truth.exchange.words.interval)


def words_of(record: Any) -> ExchangeWords:
    """The words of a record's exchange."""
    return ALL_WORDS[record["exchange"]]


# -- trades


def check_trades(records: Records, truth: Truth, *, skew_ns: int = 0) -> None:
    """Check that every fill between the first and the last is present once and correct, except for lost ones."""
    trades: dict[int, tuple[str, str, str]] = {}
    for trade in each(records, "trade"):
        assert trade_id(trade) not in trades, f"delivered twice: {trade}"
        trades[trade_id(trade)] = trade["price"], trade["amount"], trade["side"]
    first, last, missing, number = min(trades), max(trades), dict[int, int](), min(trades) - 1
    for fill in truth.fills(first, last):
        assert fill.id == number + 1, f"the truth itself has a gap after {number}"
        number += 1
        if number not in trades:
            missing[number] = fill.time_ns
        else:
            assert trades[number] == (fill.price, fill.amount, fill.side), fill
    assert number == last
    if not words_of(next(each(records, "trade"))).has_dense_ids:
        check_missing(records, missing, truth.swallowed(), skew_ns)
        return
    lost = {lost_id for lost_id in lost_numbers(records, "/trade") if first <= lost_id <= last}
    assert missing.keys() == lost, (
        f"missing, not reported: {sorted(missing.keys() - lost)[:9]}; "
        f"reported, present: {sorted(lost - missing.keys())[:9]}"
    )


def check_missing(records: Records, missing: Mapping[int, int], swallowed: Set[int], skew_ns: int) -> None:
    """Check that each missing fill, given with its time, is in a lost gap.

    Without dense ids, nobody notices a message that a fault has swallowed.
    """
    lost = [(min(times) - skew_ns, max(times) + skew_ns) for times in lost_times(records)]
    silent = [
        (number, time_ns)
        for number, time_ns in missing.items()
        if number not in swallowed and not any(start <= time_ns <= end for start, end in lost)
    ]
    assert not silent, f"{len(silent)} missing, not reported: {silent[:5]}; lost are {lost}"


def lost_times(records: Records) -> list[tuple[int, int]]:
    """The times of trades that are reported as lost."""
    ends = (end for end in each(records, "lost") if end["stream"].endswith("/trade"))
    return [(end["from_time_ns"], end["to_time_ns"]) for end in ends]


def trade_id(record: Any) -> int:
    """The id of a fill."""
    assert record["count"] == 1
    return words_of(record).number_of(record["trade_id"])


# -- gaps


def check_gaps(records: Records, *, skew_ns: int = 0) -> None:
    """Check that each gap was missing when it was reported, and has exactly one end with the correct outcome."""
    ends = Counter(record["gap_id"] for record in records if record["type"] in ("repaired", "lost"))
    gaps = Counter(record["gap_id"] for record in of_type(records, "gap"))
    assert all(count == 1 for count in gaps.values()), gaps
    assert ends == gaps, f"without an end: {gaps - ends}; an end without a gap: {ends - gaps}"
    for stream, words in {record["stream"]: words_of(record) for record in each(records, "gap")}.items():
        if stream.endswith("/trade") and not words.has_dense_ids:
            _check_without_numbers(records, stream, skew_ns)
        elif not stream.endswith("/orderbook"):
            _check_dense(records, stream)


def _check_without_numbers(records: Records, stream: str, skew_ns: int) -> None:
    """Check that the gaps of trades without dense ids have times, and the number of backfilled trades in them."""
    open_gaps: dict[str, int] = {}
    for record in records:
        if record["type"] == "trade" and record["backfilled"]:
            open_gaps = {gap_id: count + 1 for gap_id, count in open_gaps.items()}
        elif record["type"] == "gap" and record["stream"] == stream:
            assert (record["first_id"], record["last_id"], record["missing"]) == (None, None, None), record
            open_gaps[record["gap_id"]] = 0
        elif record["type"] in ("repaired", "lost") and record["stream"] == stream:
            assert record["from_time_ns"] <= record["to_time_ns"] + skew_ns, record
            assert (record["recovered"], record["missing"] or 0) == (open_gaps.pop(record["gap_id"]), 0), record


def _check_dense(records: Records, stream: str) -> None:
    """Check the gaps of one stream with dense numbers.

    Records that were backfilled while the sink was full can follow later, in the gap of the dropped records. Otherwise
    all of them precede the end of their gap.
    """
    has_dropped = bool(of_type(records, "dropped"))
    ended: list[tuple[Any, Any]] = []
    step = LENGTHS.get(stream.rpartition(":")[2], 1)
    there: set[int] = set()
    open_gaps: dict[str, Any] = {}
    for record in records:
        if (number := dense_number(record, stream)) is not None:
            there.add(number)
            if record["backfilled"]:
                is_in_gap = any(int(gap["first_id"]) <= number <= int(gap["last_id"]) for gap in open_gaps.values())
                assert is_in_gap, f"backfilled without an open gap: {record}"
        elif record["type"] == "gap" and record["stream"] == stream:
            first, last = int(record["first_id"]), int(record["last_id"])
            early = [number for number in range(first, last + 1, step) if number in there]
            assert not early, f"{record} although {early[:9]} were there"
            assert record["missing"] == (last - first) // step + 1, record
            open_gaps[record["gap_id"]] = record
        elif record["type"] in ("repaired", "lost") and record["stream"] == stream:
            ended.append((open_gaps.pop(record["gap_id"]), record))
            if not has_dropped:
                _check_end(*ended[-1], there, step)
    for gap, end in ended:
        _check_end(gap, end, there, step)


def _check_end(gap: Any, end: Any, there: set[int], step: int) -> None:
    numbers = range(int(gap["first_id"]), int(gap["last_id"]) + 1, step)
    absent = [number for number in numbers if number not in there]
    lost = [n for first, last in end.get("ranges") or () for n in range(int(first), int(last) + 1, step)]
    if end["reason"] == "NothingTraded":
        return
    assert absent == lost, f"{end}: not there are {absent[:9]}"
    assert (end["recovered"], end["missing"]) == (len(numbers) - len(lost), len(lost)), (gap, end)


def dense_number(record: Any, stream: str) -> int | None:
    """A trade's id, or a closed candle's open time in nanoseconds, if the record belongs to this stream."""
    if record["type"] == "trade" and stream.endswith("/trade"):
        return trade_id(record)
    if record["type"] == "candle" and record["closed"] and stream.endswith(f"/candle:{record['interval']}"):
        return int(record["open_time_ns"])
    return None


def lost_numbers(records: Records, stream: str) -> set[int]:
    """Numbers that are reported as lost for streams whose names end with `stream`: ids, or open times."""
    step = LENGTHS.get(stream.rpartition(":")[2], 1)
    ends = [record for record in of_type(records, "lost") if record["stream"].endswith(stream)]
    return {n for end in ends for first, last in end["ranges"] for n in range(int(first), int(last) + 1, step)}


# -- order and times of gaps

BOUNDS = (
    "stream", "data_type", "interval", "first_id", "last_id", "after_sequence", "resumed_sequence", "from_time_ns",
    "to_time_ns",
)  # fmt: skip


def check_gap_times(records: Records) -> None:
    """Check that each gap precedes every record beyond it, and has the times of the records around it.

    A gap of a single sink may have any place, and no times. If the sink dropped records, others may be absent, too.
    """
    if of_type(records, "dropped"):
        return
    gaps = {gap["gap_id"]: gap for gap in of_type(records, "gap") if gap["reason"] != "Dropped"}
    for end in records:
        if end["type"] in ("repaired", "lost") and (gap := gaps.get(end["gap_id"])) is not None:
            known = {name for name in BOUNDS if gap[name] is not None}
            if gap["stream"].endswith("/trade") and not words_of(gap).has_dense_ids:
                known.discard("to_time_ns")  # a further interruption may follow before the end
            assert {name: end[name] for name in known} == {name: gap[name] for name in known}, (gap, end)
    ends = {end["gap_id"]: end for end in records if end["type"] in ("repaired", "lost")}
    for stream in {gap["stream"] for gap in gaps.values()}:
        mine = {gap_id: gap for gap_id, gap in gaps.items() if gap["stream"] == stream and gap["reason"] != "Merged"}
        if stream.endswith("/trade"):
            if any(gap["first_id"] for gap in mine.values()):
                _check_trade_gaps(records, mine, ends)
        elif stream.endswith("/orderbook"):
            _check_book_gaps(records, mine, ends)
        else:
            _check_candle_gaps(records, mine, stream)


def _check_trade_gaps(records: Records, gaps: dict[str, Any], ends: dict[str, Any]) -> None:
    live = sorted(trade_id(trade) for trade in each(records, "trade") if not trade["backfilled"])
    times = {trade_id(trade): trade["exchange_time_ns"] for trade in each(records, "trade")}
    newest: int | None = None
    for record in records:
        if record["type"] == "trade" and not record["backfilled"]:
            newest = max(trade_id(record), newest or 0)
        elif record["type"] == "gap" and record["gap_id"] in gaps and newest is not None:
            first, last, end = int(record["first_id"]), int(record["last_id"]), ends[record["gap_id"]]
            assert newest < first, f"{record} comes after trade {newest}"
            # History may have brought records of an earlier gap that is still open.
            before_it = {time for number, time in times.items() if newest <= number < first}
            assert end["from_time_ns"] in before_it, (end, newest)
            after = next((number for number in live if number > last), None)
            if after is not None and (end["to_time_ns"] is not None or after in before(records, end)):
                assert end["to_time_ns"] == times[after], (end, after)


def before(records: Records, end: Any) -> set[int]:
    """Ids of the live trades that precede a record."""
    earlier = takewhile(lambda record: record != end, records)  # a long recording is read again each time
    return {trade_id(record) for record in each(earlier, "trade") if not record["backfilled"]}


def _check_book_gaps(records: Records, gaps: dict[str, Any], ends: dict[str, Any]) -> None:
    state: tuple[int, int] | None = None
    resumed: list[Any] = []
    for record in records:
        if record["type"] == "orderbook":
            state = record["sequence"], record["exchange_time_ns"]
            for end in resumed:
                assert record["action"] == "snapshot"
                assert (end["resumed_sequence"], end["to_time_ns"]) == state, (end, record)
            resumed = []
        elif record["type"] == "gap" and record["gap_id"] in gaps and state is not None:
            assert (record["after_sequence"], record["from_time_ns"]) == state, record
            assert (record["resumed_sequence"], record["to_time_ns"]) == (None, None), record
            if record["gap_id"] in ends:
                resumed.append(ends[record["gap_id"]])


def _check_candle_gaps(records: Records, gaps: dict[str, Any], stream: str) -> None:
    length, newest = LENGTHS[stream.rpartition(":")[2]], 0
    for record in records:
        if record["type"] == "candle" and not record["backfilled"] and stream.endswith(f":{record['interval']}"):
            newest = max(record["open_time_ns"], newest)
        elif record["type"] == "gap" and record["gap_id"] in gaps:
            first, last = int(record["first_id"]), int(record["last_id"])
            assert newest <= first, f"{record} comes after the candle of {newest}"
            assert (record["from_time_ns"], record["to_time_ns"]) == (first - length, last + length), record


# -- books


def check_books(records: Records, truth: Truth, *, skew_ns: int = 0) -> None:
    """Check that the rebuilt book equals the exchange's at every published sequence, and that breaks are reported."""
    states = _states(records, truth, skew_ns)
    book: Tracked | None = None
    sequence: int | None = None
    out_of_sync = "nothing was published"
    for record in records:
        if is_out_of_sync(record):
            out_of_sync = f"{record['type']}: {record['reason']}"
        if record["type"] != "orderbook":
            continue
        if record["action"] == "snapshot":
            sides = {side: {price: amount for price, amount, *_ in record[side]} for side in SIDES}
            book, out_of_sync = Tracked(sides), ""
        else:
            step = f"{record['previous_sequence']} → {record['sequence']}"
            assert not out_of_sync, f"{step} is published out of sync ({out_of_sync})"
            assert record["previous_sequence"] == sequence, f"{record} after {sequence}"
            assert book is not None
            book.apply(record)
        sequence = record["sequence"]
        assert book.digest in states(record), f"the book at {sequence} is not the exchange's"


def _states(records: Records, truth: Truth, skew_ns: int) -> Callable[[Any], Set[int]]:
    """The digests that the book may have at a record: those of its number, or else those of its time."""
    first = next(each(records, "orderbook"), None)
    if first is None or words_of(first).book_depth is None:
        by_number = truth.book_states()
        return lambda record: by_number[record["sequence"]]
    skews = {-skew_ns, 0, skew_ns}
    by_time = truth.best_states(
        {book["exchange_time_ns"] + skew for book in each(records, "orderbook") for skew in skews}
    )
    return lambda record: set().union(*(by_time.get(record["exchange_time_ns"] + skew, ()) for skew in skews))


def is_out_of_sync(record: Any) -> bool:
    """Whether the next orderbook record must be a snapshot."""
    return record["type"] in ("gap", "resync", "dropped") and record["stream"].endswith("/orderbook")


def check_quotes(records: Records) -> None:
    """Check that each quote has the best prices of the book record before it, and that each change has a quote.

    `check_books` compares the books themselves with the exchange's.
    """
    book: Tracked | None = None
    quoted: tuple[str | None, ...] | None = None
    sequence, is_due = None, False
    for record in records:
        if record["type"] == "quote":
            assert is_due, f"{record} without a change of the best prices"
            assert (record["sequence"], best(record)) == (sequence, quoted)
            is_due = False
            continue
        assert not is_due, f"no quote between the book record {sequence} and {record}"
        if is_out_of_sync(record):
            book = quoted = None
        elif record["type"] == "orderbook":
            if record["action"] == "snapshot":
                book = Tracked({side: {price: amount for price, amount, *_ in record[side]} for side in SIDES})
            else:
                assert book is not None
                book.apply(record)
            before, quoted, sequence = quoted, best_of(book.sides), record["sequence"]
            is_due = quoted != before


def best(quote: Any) -> tuple[str | None, ...]:
    """Best bid and ask with their amounts."""
    return quote["bid"], quote["bid_amount"], quote["ask"], quote["ask_amount"]


def best_of(sides: Sides) -> tuple[str | None, ...]:
    """The same of a book."""
    bid = max(sides["bids"], key=float, default=None)
    ask = min(sides["asks"], key=float, default=None)
    return bid, sides["bids"].get(bid or ""), ask, sides["asks"].get(ask or "")


# -- candles


def check_candles(records: Records, truth: Truth, interval: str) -> None:
    """Check that every closed candle between the first and the last is present once and equals the history."""
    closed = [record for record in of_type(records, "candle") if record["closed"] and record["interval"] == interval]
    if not closed:
        return
    opens = [record["open_time_ns"] // 1_000_000 for record in closed]
    assert max(Counter(opens).values()) == 1, f"candles delivered twice: {Counter(opens).most_common(3)}"
    history = truth.candles(interval)
    expected = {open_ms for open_ms in history if min(opens) <= open_ms <= max(opens)}
    missing = expected - set(opens)
    lost = {open_ns // 1_000_000 for open_ns in lost_numbers(records, f"/candle:{interval}")}
    assert missing == expected & lost, f"candles missing: {sorted(missing)}"
    for record, open_ms in zip(closed, opens, strict=True):
        if open_ms in history:
            row = [record[name] for name in ("open", "high", "low", "close", "volume")]
            assert row == history[open_ms][1:6], record


# -- verify and /status


def check_verdict(document: Any) -> None:
    """Check that `market-collector verify` finds every record once, except for reported gaps.

    Only books, and trades without dense ids, may have some that stay lost.
    """
    assert not document["unreadable"]
    for stream in document["streams"]:
        assert not stream["findings"], (stream["stream"], stream["findings"][:3])
        assert not stream["duplicates"], (stream["stream"], stream["duplicates"])
        is_numbered = stream.get("numbered", True)
        reported = ("repaired", "lost") if is_numbered else ("repaired", "lost", "bridged")
        unreported = [gap for gap in stream["hole_list"] if gap["state"] not in reported]
        assert not unreported, (stream["stream"], unreported[:3])
        may_lack = stream["stream"].endswith("/orderbook") or not is_numbered
        assert stream["complete"] or may_lack, stream["hole_list"][:3]


def check_counters(records: Records, counters: dict[str, int]) -> None:
    """Check that /status of one process agrees with the records of one sink without drops."""
    gaps = of_type(records, "gap")
    trade_gaps = {gap["gap_id"]: gap for gap in gaps if gap["stream"].endswith("/trade")}
    lost = [end for end in of_type(records, "lost") if end["gap_id"] in trade_gaps]
    missing = sum(gap["missing"] or 0 for gap in trade_gaps.values())
    recovered = sum(end["recovered"] for end in of_type(records, "repaired") + lost if end["gap_id"] in trade_gaps)
    expected = {
        "records": sum(1 for _ in records),
        "gapsDetected": len(gaps),
        "gapsRepaired": len(of_type(records, "repaired")),
        "gapsLost": len(of_type(records, "lost")),
        "missingTrades": missing,
        "lostTrades": sum(end["missing"] or 0 for end in lost),
        "recoveredTrades": recovered,
    }
    assert {name: counters[name] for name in expected} == expected


def of_type(records: Iterable[Any], kind: str) -> list[Any]:
    """The records of one type."""
    return list(each(records, kind))


def each(records: Iterable[Any], kind: str) -> Iterator[Any]:
    """An iterator of the records of one type."""
    return (record for record in records if record["type"] == kind)
