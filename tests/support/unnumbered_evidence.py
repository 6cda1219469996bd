"""Checks of records of an exchange whose trade ids are not dense, by comparison with the simulator's truth.

A message that the exchange did not send is not noticed there, so trades that a fault has swallowed may be missing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from truth import SIDES, Sides

Records = list[Any]
Span = tuple[int, int]


def check_trades(records: Records, fills: Sequence[dict[str, Any]], swallowed: set[str], *, skew_ns: int = 0) -> None:
    """Check that each fill from the first to the last is there once and correct, or was swallowed, or is in a gap.

    ``fills`` are the rows of the truth, ``swallowed`` the ids of those that faults have swallowed. The exchange's
    clock was wrong by up to ``skew_ns``.
    """
    trades = [record for record in records if record["type"] == "trade"]
    doubles = [name for name, count in Counter(trade["trade_id"] for trade in trades).items() if count > 1]
    assert not doubles, f"delivered twice: {doubles[:5]}"
    there = {trade["trade_id"]: trade for trade in trades}
    times = [_time_ns(fill) for fill in fills if fill["execId"] in there]
    first, last = min(times), max(times)
    lost = [(start - skew_ns, end + skew_ns) for start, end in lost_spans(records)]
    missing = []
    for fill in fills:
        name, time_ns = fill["execId"], _time_ns(fill)
        if name in there:
            assert _same(there[name], fill), (there[name], fill)
        elif first < time_ns < last and name not in swallowed and not _is_in(lost, time_ns):
            missing.append((name, time_ns))
    assert not missing, f"{len(missing)} missing, not reported: {missing[:5]}; lost are {lost}"


def _time_ns(fill: Any) -> int:
    return int(fill["time"]) * 1_000_000


def _same(trade: Any, fill: Any) -> bool:
    numbers = Decimal(trade["price"]), Decimal(trade["amount"])
    is_equal = numbers == (Decimal(fill["price"]), Decimal(fill["size"]))
    return is_equal and bool(trade["side"] == fill["side"].lower())


def lost_spans(records: Records) -> Iterator[Span]:
    """The times of trades that are reported as lost."""
    for record in records:
        if record["type"] == "lost" and record["stream"].endswith("/trade"):
            yield record["from_time_ns"], record["to_time_ns"]


def _is_in(spans: Iterable[Span], time_ns: int) -> bool:
    return any(start <= time_ns <= end for start, end in spans)


def check_gaps(records: Records) -> None:
    """Check that each gap has exactly one end, which has its times, and that backfilled trades lie in order before."""
    gaps = {record["gap_id"]: record for record in records if record["type"] == "gap"}
    ends = [record for record in records if record["type"] in ("repaired", "lost")]
    assert Counter(record["gap_id"] for record in ends) == Counter(gaps.keys()), (gaps, ends)
    for end in ends:
        gap = gaps[end["gap_id"]]
        if gap["stream"].endswith("/trade"):
            assert (gap["first_id"], gap["last_id"], gap["missing"], gap["from_time_ns"]) == (
                None, None, None, end["from_time_ns"],
            )  # fmt: skip
            assert end["missing"] in (None, 0)


def check_books(records: Records, states: dict[int, set[int]]) -> None:
    """Check that each published book is one of the exchange's states at its time, and that breaks are reported.

    ``states`` has the digests of the windows by time in nanoseconds.
    """
    sides: Sides = {}
    sequence: int | None = None
    out_of_sync = "nothing was published"
    for record in records:
        if record["type"] in ("gap", "resync", "dropped") and record["stream"].endswith("/orderbook"):
            out_of_sync = f"{record['type']}: {record['reason']}"
        if record["type"] != "orderbook":
            continue
        if record["action"] == "snapshot":
            sides, out_of_sync = {side: {} for side in SIDES}, ""
        else:
            assert not out_of_sync, f"{record['sequence']} is published out of sync ({out_of_sync})"
            assert record["previous_sequence"] == sequence, f"{record} after {sequence}"
        sequence = record["sequence"]
        for side in SIDES:
            for price, amount, *_ in record[side]:
                sides[side][price] = amount
                if amount == "0":
                    del sides[side][price]
        assert window(sides, 10_000) in states[record["exchange_time_ns"]], (
            f"the book at {sequence} is not the exchange's"
        )


def window(sides: Sides, depth: int) -> int:
    """The digest of the best levels, whatever the form of their numbers."""
    levels = {side: sorted((float(price), float(amount)) for price, amount in sides[side].items()) for side in SIDES}
    return hash((tuple(levels["bids"][-depth:]), tuple(levels["asks"][:depth])))
