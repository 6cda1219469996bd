"""Two replicas with faults: the union of their data of derivatives has what a replica without faults has.

`tests/collector/test_derivatives.py` compares one collector with the exchange's truth.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

import evidence
from collector_settings import settings_of
from collector_thread import CollectorThread, ListSink, collector_thread
from cut_replicas import cut
from exchange_words import ALL_WORDS, BYBIT
from market_collector.config.settings import Settings
from market_collector.model.events import AnyData, Funding
from market_collector.model.identity import identity, union
from market_collector.model.streams import DataType
from market_collector.verify import coverage
from market_spec.exchanges import CAPABILITIES
from simulator_process import Simulator, simulator

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(280)]
SYMBOL = "BTC-USDT-PERP"
KINDS = ("funding", "markprice", "openinterest", "liquidation")
VENUES = [name for name in ALL_WORDS if set(KINDS) <= set(CAPABILITIES[name].data_types)]
FEW = ("funding", "openinterest")
"""Kinds of which the first message of a new connection may be the only one that was missed."""
AWAY_S = 3.5
"""Longer than the interval between two messages about open interest."""


@dataclass(frozen=True)
class Recorded:
    """Records of one market by two replicas with faults, and by one without."""

    outputs: list[list[Any]]
    """Of the two."""
    undisturbed: list[Any]
    folder: Path
    """Files of the two."""

    def merged(self, kind: str) -> list[AnyData]:
        """The union of the two by identity."""
        return union(*(typed(output, kind) for output in self.outputs))


def typed(output: list[Any], kind: str) -> list[AnyData]:
    return msgspec.convert(evidence.of_type(output, kind), list[AnyData])


@pytest.fixture(
    scope="module",
    params=[pytest.param(venue, marks=pytest.mark.xdist_group(f"derivatives {venue}")) for venue in VENUES],
)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Each of the two is away, then both are. Funding is paid meanwhile. Only settled rates are offered again."""
    folder = tmp_path_factory.mktemp("files")
    market = ("--market", "19", "--symbols", SYMBOL, "--rate", "200", "--start", "2026-01-01T07:59:50Z")
    sinks = [ListSink(name) for name in "abc"]
    with simulator(*market, exchange=request.param) as exchange:
        settings = every_type(exchange)
        with (
            with_data(settings, sinks[2]) as undisturbed,
            collector_thread(settings, sinks[0]) as first,
            collector_thread(settings, sinks[1]) as second,
        ):
            for collector in (undisturbed, first, second):
                collector.is_served()
            for victims in ((first,), (second,), (first, second)):
                be_away(exchange, victims)
                for collector in (first, second):
                    collector.is_served()
                time.sleep(AWAY_S)
            for collector in (first, second, undisturbed):
                collector.stop()
    for sink in sinks[:2]:
        (folder / f"{sink.name}.jsonl").write_bytes(b"".join(sink.lines))
    return Recorded([sink.output() for sink in sinks[:2]], sinks[2].output(), folder)


@contextmanager
def with_data(settings: Settings, sink: ListSink) -> Iterator[CollectorThread]:
    """Yield a running collector once it has data, so that those that start later have no earlier record."""
    with collector_thread(settings, sink) as collector:
        while not evidence.of_type(sink.output(), "markprice"):
            time.sleep(0.05)
        yield collector


def every_type(exchange: Simulator) -> Settings:
    types = [DataType(kind) for kind in KINDS]
    backoff = {"backoff_initial_s": 0.05, "backoff_max_s": 0.5}
    return settings_of(
        exchange.websocket, *types, rest=exchange.rest, exchange=exchange.words.name, symbols=(SYMBOL,), sinks=(),
        **backoff,
    )  # fmt: skip


def be_away(exchange: Simulator, victims: Sequence[CollectorThread]) -> None:
    """Cut the connections of these collectors, and refuse new ones for a while."""
    exchange.post("/faults/refuse", {"seconds": AWAY_S})
    cut(exchange, *victims)
    time.sleep(AWAY_S)


def answers(output: list[Any], kind: str) -> Iterator[Any]:
    """The present states that other replicas need not have: polled ones, and the first message of each connection."""
    first_ns: int | None = None
    is_new = False
    for record in output:
        if record["type"] == "connected" and f"{SYMBOL}/{kind}" in record["streams"]:
            is_new, first_ns = True, None
        elif record["type"] == kind and record.get("polled"):
            yield record
        elif record["type"] == kind and is_new:
            first_ns = first_ns or record["receive_time_ns"]
            if record["receive_time_ns"] == first_ns:
                yield record


def is_polled(recorded: Recorded, kind: str) -> bool:
    """Whether the exchange pushes none, so that the end of a connection interrupts nothing."""
    return any(each.get("polled") for each in evidence.of_type(recorded.undisturbed, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_union_has_each_record_of_the_undisturbed_one_once(recorded: Recorded, kind: str) -> None:
    merged, known = recorded.merged(kind), typed(recorded.undisturbed, kind)
    own = msgspec.convert([each for output in recorded.outputs for each in answers(output, kind)], list[AnyData])
    assert {*map(identity, merged)} <= {*map(identity, known)} | {*map(identity, own)}
    parts = [{*map(identity, typed(output, kind))} for output in recorded.outputs]
    is_sampled = is_polled(recorded, kind)
    assert parts[0] & parts[1] or kind == "funding" or is_sampled  # funding may change while one of them is away
    assert parts[0] != parts[1] or kind in FEW or is_sampled
    assert len(merged) == len({*map(identity, merged)}) == len(parts[0] | parts[1])


def test_union_has_each_settled_rate_once(recorded: Recorded) -> None:
    known = settled(typed(recorded.undisturbed, "funding"))
    assert settled(recorded.merged("funding")) == known
    assert bool(known) == (recorded.undisturbed[0]["exchange"] != BYBIT.name)


def settled(records: Iterable[AnyData]) -> list[int]:
    """The times of the payments."""
    return sorted(each.funding_time_ns for each in records if isinstance(each, Funding) and each.kind == "settled")


@pytest.mark.parametrize("kind", KINDS)
def test_coverage_has_each_record_of_the_undisturbed_one(recorded: Recorded, kind: str) -> None:
    """Between the first and the last record that was received within an interval."""
    known, intervals = {*map(identity, recorded.merged(kind))}, coverage(recorded.folder, kind)
    assert intervals
    if is_polled(recorded, kind):  # each replica asks at times of its own
        return
    assert len(intervals) > 1
    for interval in intervals:
        received = [
            each["exchange_time_ns"]
            for output in recorded.outputs
            for each in evidence.of_type(output, kind)
            if interval.from_time_ns <= each["receive_time_ns"] <= interval.to_time_ns
            and each["exchange_time_ns"] is not None
        ]
        for each in typed(recorded.undisturbed, kind):
            time_ns = each.exchange_time_ns
            if received and time_ns is not None and min(received) <= time_ns <= max(received):
                assert identity(each) in known, each
