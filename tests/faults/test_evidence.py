"""The checks themselves: they find each wrong record of a small market."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import evidence
import records
from exchange_words import Fill
from market_collector.model.events import Lost, Record, Repaired
from market_collector.sinks.encode import line
from truth import Truth, digest


@dataclass(frozen=True)
class SmallMarket(Truth):
    """Trades 1 to 9, a book of three states, three candles."""

    def fills(self, first: int, last: int) -> Iterator[Fill]:
        return (Fill(n, "1", "1", "buy", records.at(n)) for n in range(first, last + 1))

    def book_states(self) -> dict[int, set[int]]:
        bids = {1: {"10": "1"}, 2: {"10": "1", "9": "2"}, 3: {"9": "2"}}
        asks = {"11": "1"}
        return {n: {digest({"bids": levels, "asks": asks})} for n, levels in bids.items()}

    def candles(self, interval: str) -> dict[int, list[str]]:
        opens = [records.open_ms(n) for n in range(3)]
        return {open_ms: [str(open_ms), "1", "1", "1", "1", "1", "1", "1", "1"] for open_ms in opens}


def end(kind: type[Repaired] | type[Lost], recovered: int, missing: int, to_seconds: int = 6) -> Record:
    ranges = {"ranges": [("4", "5")]} if kind is Lost else {}
    bounds = {"first_id": "4", "last_id": "5", "from_time_ns": records.at(3), "to_time_ns": records.at(to_seconds)}
    fields = {**records.fields_of(records.TRADES), **bounds, **ranges}
    return kind("okx", "BTC-USDT", None, 1, gap_id="g", recovered=recovered, missing=missing, reason="why", **fields)


def gap(missing: int = 2, from_seconds: int = 3) -> Record:
    start_ns, end_ns = records.at(from_seconds), records.at(6)
    return records.gap("g", 4, 5, missing=missing, from_time_ns=start_ns, to_time_ns=end_ns)


GAP = gap()
HONEST: list[Record] = [
    records.snapshot(1),
    *(records.trade(n) for n in (1, 2, 3)),
    records.update(1, 2, bids=[("9", "2")]),
    GAP,
    records.trade(6),
    records.candle(0),
    records.candle(1),
    records.candle(2),
    records.trade(4, backfilled=True),
    records.trade(5, backfilled=True),
    end(Repaired, 2, 0),
    records.update(2, 3, bids=[("10", "0")]),
]


def judge(output: list[Record]) -> None:
    evidence.check([json.loads(line(record)) for record in output], SmallMarket(None), interval="1m")  # type: ignore[arg-type]


def test_the_truth_passes() -> None:
    judge(HONEST)


def test_reported_loss_passes() -> None:
    judge([*HONEST[:-4], end(Lost, 0, 2)])


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (lambda out: out.remove(records.trade(2)), "missing, not reported: \\[2\\]"),
        (lambda out: out.append(records.trade(2)), "delivered twice"),
        (lambda out: out.remove(GAP), "an end without a gap"),
        (lambda out: out.remove(end(Repaired, 2, 0)), "without an end"),
        (lambda out: out.append(end(Repaired, 2, 0)), "an end without a gap"),
        (lambda out: out.remove(records.trade(5, backfilled=True)), "not there are \\[5\\]"),
        (lambda out: out.insert(1, out.pop(out.index(records.trade(4, backfilled=True)))), "without an open gap"),
        (lambda out: out.insert(1, records.trade(4)), "although \\[4\\] were there"),
        (lambda out: swap(out, end(Repaired, 2, 0), end(Repaired, 1, 0)), "recovered"),
        (lambda out: swap(out, end(Repaired, 2, 0), end(Lost, 0, 2)), "not there are"),
        (lambda out: swap(out, GAP, gap(missing=3)), "missing"),
        (lambda out: out.insert(1, out.pop(out.index(records.trade(6)))), "comes after trade 6"),
        (lambda out: swap(out, GAP, gap(from_seconds=2)), "from_time_ns"),
        (lambda out: swap(out, end(Repaired, 2, 0), end(Repaired, 2, 0, to_seconds=7)), "to_time_ns"),
        (lambda out: out.remove(records.update(1, 2, bids=[("9", "2")])), "after"),
        (lambda out: swap(out, out[-1], records.update(2, 3, bids=[("9", "0")])), "is not the exchange's"),
        (lambda out: out.insert(-1, records.gap("b", 2, None, stream=records.BOOK)), "without an end"),
        (lambda out: out.remove(records.candle(1)), "candles missing"),
        (lambda out: out.append(records.candle(2)), "candles delivered twice"),
    ],
)  # fmt: skip
def test_a_lie_is_found(lie: Callable[[list[Record]], object], words: str) -> None:
    output = list(HONEST)
    lie(output)
    with pytest.raises(AssertionError, match=words):
        judge(output)


def swap(output: list[Record], old: Record, new: Record) -> None:
    output[output.index(old)] = new


# -- trades without dense ids

SPAN = {"from_time_ns": 3, "to_time_ns": 6}
AT_BYBIT = {"exchange": "bybit", "stream": "BTC-USDT/trade", "reason": "Disconnected", "gap_id": "g"}
INTERRUPTED = AT_BYBIT | {"type": "gap", "first_id": None, "last_id": None, "missing": None} | SPAN
FILLED = {"exchange": "bybit", "type": "trade", "trade_id": "7", "backfilled": True}
LOST = AT_BYBIT | {"type": "lost", "recovered": 1, "missing": None} | SPAN


def test_interruption_with_its_count_passes() -> None:
    evidence.check_gaps([INTERRUPTED, FILLED, LOST])


@pytest.mark.parametrize(
    "lie",
    [
        [INTERRUPTED, LOST],
        [INTERRUPTED, FILLED, FILLED, LOST],
        [INTERRUPTED | {"missing": 2}, FILLED, LOST],
        [INTERRUPTED, FILLED, LOST | {"to_time_ns": 2}],
    ],
)
def test_lie_about_an_interruption_is_found(lie: list[dict[str, Any]]) -> None:
    with pytest.raises(AssertionError):
        evidence.check_gaps(lie)


def test_missing_fill_must_be_swallowed_or_in_a_lost_time() -> None:
    evidence.check_missing([LOST], {4: 4, 9: 9}, {9}, 0)
    evidence.check_missing([LOST], {9: 9}, set(), 3)
    with pytest.raises(AssertionError, match=r"2 missing, not reported: \[\(2, 2\), \(9, 9\)\]"):
        evidence.check_missing([LOST], {2: 2, 4: 4, 9: 9}, set(), 0)


def test_trades_before_an_end_are_found_in_a_recording_that_is_read_again() -> None:
    class Recording:
        def __iter__(self) -> Iterator[dict[str, Any]]:
            yield from map(dict, [trade("1"), LOST, trade("2")])

    def trade(number: str) -> dict[str, Any]:
        return {"exchange": "okx", "type": "trade", "trade_id": number, "count": 1, "backfilled": False}

    assert evidence.before(Recording(), LOST) == {1}
