"""Recordings as the stream that a collector would deliver."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from library_collector import collector, comes
from market_collector.errors import InputError, RecordingError
from market_collector.model.events import AnyRecord, Data, Gap, Level, Orderbook, Repaired, Trade
from market_collector.model.streams import DataType
from market_collector.reading import replay
from record_lines import lines
from records import (
    BOOK,
    SECOND_NS,
    at,
    connected,
    disconnected,
    gap,
    header,
    instrument,
    lost,
    raw,
    repaired,
    snapshot,
    ticker,
    trade,
    update,
)
from simulator_process import MARKET, simulator

TRUTH = 24
"""Number of the last trade and of the last book update, one of each every second."""


def recorded(folder: Path, **replicas: Iterable[AnyRecord]) -> Path:
    for name, records in replicas.items():
        (folder / f"{name}.jsonl").write_bytes(lines(records))
    return folder


def test_records_come_in_the_order_of_arrival_and_once(tmp_path: Path) -> None:
    late = replace(trade(2), receive_time_ns=at(2.5))
    folder = recorded(tmp_path, a=[connected(0), trade(1), trade(2)], b=[late, ticker(3)])
    assert list(replay(folder)) == [connected(0), trade(1), trade(2), ticker(3)]


def test_replay_starts_again_with_each_iteration(tmp_path: Path) -> None:
    found = replay(recorded(tmp_path, a=[trade(1), trade(2)]))
    assert list(found) == list(found) == [trade(1), trade(2)]


async def test_asynchronous_replay_yields_the_same_records(tmp_path: Path) -> None:
    folder = recorded(tmp_path, a=[trade(number) for number in range(250)])
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_turns())
    assert [record async for record in replay(folder)] == list(replay(folder))
    other.cancel()
    assert turns >= 2


@pytest.mark.parametrize("speed", [1e6, None])
async def test_speed_changes_no_record(tmp_path: Path, speed: float | None) -> None:
    folder = recorded(tmp_path, a=[trade(1), trade(2), trade(3)])
    assert list(replay(folder, speed=speed)) == [trade(1), trade(2), trade(3)]
    assert [record async for record in replay(folder, speed=speed)] == [trade(1), trade(2), trade(3)]


def test_types_and_symbols_select_records(tmp_path: Path) -> None:
    other = replace(trade(9), symbol="ETH-USDT")
    records: list[AnyRecord] = [header(), connected(0), trade(1), snapshot(2), raw(), instrument(), other]
    folder = recorded(tmp_path, a=records, b=[instrument(1)])
    assert list(replay(folder)) == [connected(0), trade(1), snapshot(2), other]
    assert list(replay(folder, types=["raw", "header"])) == [header(), raw()]
    assert list(replay(folder, types="instrument")) == [instrument()]
    assert list(replay(folder, types=["trade", "orderbook"], symbols="BTC-USDT")) == [trade(1), snapshot(2)]
    assert list(replay(folder, symbols=["ETH-USDT"])) == [connected(0), other]


def test_gap_records_do_not_depend_on_the_selected_types(tmp_path: Path) -> None:
    a: list[AnyRecord] = [trade(1), trade(4), gap("g", 2, 3, seconds=6), snapshot(7)]
    folder = recorded(tmp_path, a=a, b=[trade(1), trade(2), trade(3)])
    assert list(replay(folder, types="gap")) == []
    assert list(replay(tmp_path / "a.jsonl", types="gap")) == [gap("g", 2, 3, seconds=6)]


def test_gap_precedes_the_records_beyond_it(tmp_path: Path) -> None:
    late = gap("g", 2, 3, seconds=6)
    folder = recorded(tmp_path, a=[trade(1), trade(4), ticker(5), late, trade(2, 7, backfilled=True)])
    assert list(replay(folder)) == [trade(1), late, trade(4), ticker(5), trade(2, 7, backfilled=True)]


def test_start_and_end_limit_the_receive_time(tmp_path: Path) -> None:
    folder = recorded(tmp_path, a=[trade(number) for number in range(1, 9)])
    assert list(replay(folder, start=at(3), end=at(5))) == [trade(3), trade(4)]
    assert list(replay(folder, start="2026-09-21T14:13:27Z")) == [trade(7), trade(8)]
    assert list(replay(folder, start=at(99))) == []


def test_books_start_with_their_state_at_the_start(tmp_path: Path) -> None:
    change = update(1, 2, bids=[("10", "0"), ("9", "3")])
    folder = recorded(tmp_path, a=[snapshot(1), change, trade(3), update(2, 4)])
    state, *rest = replay(folder, start=at(3))
    assert isinstance(state, Orderbook)
    assert (state.action, state.sequence, state.receive_time_ns) == ("snapshot", 2, at(3))
    assert (state.bids, state.asks) == ([Level("9", "3")], [Level("11", "1")])
    assert rest == [trade(3), update(2, 4)]
    assert list(replay(folder, start=at(3), types="trade")) == [trade(3)]


@pytest.mark.parametrize("broken", [gap("g", 1, None, stream=BOOK, seconds=2), update(7, 8, 2)], ids=["gap", "link"])
def test_book_that_is_out_of_sync_at_the_start_is_left_out(tmp_path: Path, broken: AnyRecord) -> None:
    folder = recorded(tmp_path, a=[snapshot(1), broken, trade(3)])
    assert list(replay(folder, start=at(3))) == [trade(3)]


def test_replica_continues_in_its_next_process(tmp_path: Path) -> None:
    name = "okx-btc_0_pod-a_20261122T1000{}.000Z_000001.jsonl"
    (tmp_path / name.format("00")).write_bytes(lines([snapshot(1), trade(1), update(1, 2)]))
    (tmp_path / name.format("30")).write_bytes(lines([snapshot(8), trade(9), disconnected(9, "stopped")]))
    assert list(replay(tmp_path)) == [
        snapshot(1),
        trade(1),
        update(1, 2),
        snapshot(8),
        trade(9),
        disconnected(9, "stopped"),
    ]


def test_replica_whose_files_ended_bridges_no_gap(tmp_path: Path) -> None:
    gap_and_recovery: list[AnyRecord] = [
        gap("g", 2, None, stream=BOOK, seconds=3),
        lost("g", stream=BOOK, seconds=4),
        snapshot(4),
    ]
    folder = recorded(tmp_path, a=[snapshot(1), *gap_and_recovery], b=[snapshot(1), update(1, 2)])
    assert list(replay(folder)) == [snapshot(1), update(1, 2), *gap_and_recovery]


def test_files_of_later_replicas_are_not_read_before_their_time(tmp_path: Path) -> None:
    """With a pod after the other, the memory is that of one."""
    folder = recorded(tmp_path, a=[trade(1), trade(2)], b=[trade(3)], c=[])
    (folder / "b.jsonl").write_bytes(lines([trade(3)]) + b"{}\n")
    found = iter(replay(folder))
    assert [next(found), next(found)] == [trade(1), trade(2)]
    with pytest.raises(RecordingError, match=r"b\.jsonl:2: "):
        list(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"types": "trades"}, "types: .*Did you mean trade"),
        ({"start": "noon"}, "start: 'noon' is not a time"),
        ({"end": "noon"}, "end: 'noon' is not a time"),
        ({"speed": 0}, "speed: 0 is out of range"),
    ],
)
def test_invalid_arguments_are_errors_at_once(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    folder = recorded(tmp_path, a=[trade(1)])
    with pytest.raises(InputError, match=message):
        replay(folder, **arguments)


def test_missing_file_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file"):
        replay(tmp_path / "nothing.jsonl")


@pytest.mark.parametrize("bad", [b"{}\n", lines([trade(2)]).replace(b'"trade_id":"2"', b'"trade_id":"two"')])
def test_unreadable_line_is_an_error_with_its_place(tmp_path: Path, bad: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([trade(1)]) + bad)
    with pytest.raises(RecordingError, match=r"a\.jsonl:2: "):
        list(replay(tmp_path))


def test_impossible_level_of_a_book_is_an_error(tmp_path: Path) -> None:
    broken = replace(snapshot(1), bids=[Level("ten", "1"), Level("9", "1")])
    folder = recorded(tmp_path, a=[broken, trade(2)])
    assert list(replay(folder)) == [broken, trade(2)]
    with pytest.raises(RecordingError, match=r"a\.jsonl: impossible book: could not convert .* verify"):
        list(replay(folder, start=at(2)))


# -- a live collector


@pytest.mark.simulator
async def test_replay_yields_what_the_stream_of_a_collector_yielded(tmp_path: Path) -> None:
    """From the first trade on. Only gap records come earlier."""
    with simulator(*MARKET) as exchange:
        made = collector(
            exchange, DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, custom_params={"record_directory": tmp_path}
        )
        live: list[AnyRecord] = []

        async def follow() -> None:
            async for record in made.stream():
                live.append(record)  # noqa: PERF401 - read meanwhile

        async with made:
            following = asyncio.create_task(follow())
            await comes(lambda: len(live) > 100)
            exchange.post("/faults/lose", {"channel": "trades-all", "count": 5})
            await comes(lambda: any(isinstance(each, Repaired) for each in live))
        await following
    stored = list(replay(tmp_path))
    first = next(each for each in live if isinstance(each, Trade))
    assert _without_gaps(live[live.index(first) :]) == _without_gaps(stored[stored.index(first) :])
    assert any(isinstance(each, Gap) for each in stored)


def _without_gaps(records: Iterable[AnyRecord]) -> list[AnyRecord]:
    return [each for each in records if not isinstance(each, Gap)]


# -- replicas with faults

faults = st.lists(st.integers(0, 2), min_size=4, max_size=4)
"""For each six seconds, the replica that misses data in the middle of them; 2 is none of the two."""
latencies = st.lists(st.integers(0, 400), min_size=TRUTH + 1, max_size=TRUTH + 1)
"""Delay of each second's records in milliseconds."""


def undisturbed() -> list[Data]:
    return [
        snapshot(0),
        *(each for n in range(1, TRUTH + 1) for each in (update(n - 1, n, bids=[("9", str(n))]), trade(n))),
    ]


def replica(number: int, faulty: list[int], delays: list[int]) -> list[AnyRecord]:
    """The records of one replica. In the third and fourth of some six seconds it has none."""
    records: list[AnyRecord] = [delayed(snapshot(0), delays[0])]
    for second in range(1, TRUTH + 1):
        period, phase = divmod(second - 1, 6)
        is_missing = faulty[period] == number and phase in (2, 3)
        if is_missing:
            if phase == 2:
                records.append(gap(f"{number}/book/{second}", second - 1, None, stream=BOOK, seconds=second + 0.5))
            continue
        if faulty[period] == number and phase == 4:
            received = second + delays[second] / 1000
            records.append(lost(f"{number}/book/{second - 2}", stream=BOOK, seconds=received))
            records.append(
                delayed(
                    replace(snapshot(second, bid="9"), bids=[Level("9", str(second)), Level("10", "1")]), delays[second]
                )
            )
            records.append(delayed(trade(second), delays[second]))
            records.append(gap(f"{number}/trade/{second}", second - 2, second - 1, seconds=received + 0.5))
            history = [trade(each, backfilled=True) for each in (second - 2, second - 1)]
            records += [replace(each, receive_time_ns=at(received + 0.55)) for each in history]
            records.append(repaired(f"{number}/trade/{second}", seconds=received + 0.55))
            continue
        records.append(delayed(update(second - 1, second, bids=[("9", str(second))]), delays[second]))
        records.append(delayed(trade(second), delays[second]))
    return records


clocks = st.tuples(st.integers(0, TRUTH), st.integers(0, 12))
"""The second at which the exchange sets its clock back, and by how many."""


def set_back(records: Sequence[Any], clock: tuple[int, int]) -> list[Any]:
    """The records of an exchange with this clock."""
    turn, seconds = clock
    return [
        replace(each, exchange_time_ns=each.exchange_time_ns - seconds * SECOND_NS)
        if each.exchange_time_ns is not None and each.exchange_time_ns >= at(turn)
        else each
        for each in records
    ]


def delayed(record: Any, milliseconds: int) -> Any:
    return replace(record, receive_time_ns=record.receive_time_ns + milliseconds * 1_000_000)


@given(faulty=faults, delays=st.tuples(latencies, latencies), clock=clocks)
def test_replicas_with_faults_replay_as_one_undisturbed_replica(
    tmp_path_factory: pytest.TempPathFactory,
    faulty: list[int],
    delays: tuple[list[int], list[int]],
    clock: tuple[int, int],
) -> None:
    """Each replica is down while the other one runs. No gap is left, and every update and trade appears once."""
    folder = recorded(
        tmp_path_factory.mktemp("replicas"),
        a=set_back(replica(0, faulty, delays[0]), clock),
        b=set_back(replica(1, faulty, delays[1]), clock),
    )
    found = [replace(each, receive_time_ns=0) for each in replay(folder)]
    expected = [replace(each, receive_time_ns=0) for each in set_back(undisturbed(), clock)]
    for kind in (Orderbook, Trade, Gap):
        assert [each for each in found if isinstance(each, kind)] == [
            each for each in expected if isinstance(each, kind)
        ]
    assert len(found) == len(expected)


@given(faulty=faults, delays=latencies)
def test_single_replica_keeps_every_record(
    tmp_path_factory: pytest.TempPathFactory, faulty: list[int], delays: list[int]
) -> None:
    records = replica(0, faulty, delays)
    found = list(replay(recorded(tmp_path_factory.mktemp("replica"), a=records)))
    assert sorted(map(repr, found)) == sorted(map(repr, records))
    newest = 0
    for each in found:
        if isinstance(each, Trade) and not each.backfilled:
            newest = int(each.trade_id)
        elif isinstance(each, Gap) and each.stream != BOOK:
            assert newest < int(each.first_id or 0)


both = {"faulty": st.tuples(faults, faults), "delays": st.tuples(latencies, latencies), "clock": clocks}
"""Both replicas may be down at once."""


@given(**both, killed=st.tuples(st.integers(1, 80), st.integers(1, 80)))
def test_book_stays_linked_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory,
    faulty: tuple[list[int], list[int]],
    delays: tuple[list[int], list[int]],
    killed: tuple[int, int],
    clock: tuple[int, int],
) -> None:
    """Each replica ends after some record. Every update follows the last state, or a gap and a snapshot come before."""
    records = [set_back(replica(n, faulty[n], delays[n])[: killed[n]], clock) for n in (0, 1)]
    head = None
    for each in replay(recorded(tmp_path_factory.mktemp("replicas"), a=records[0], b=records[1])):
        match each:
            case Orderbook():
                assert each.action == "snapshot" or each.previous_sequence == head
                head = each.sequence
            case Gap(stream="BTC-USDT/orderbook"):
                head = None


@given(**both)
def test_missing_trades_are_announced_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory,
    faulty: tuple[list[int], list[int]],
    delays: tuple[list[int], list[int]],
    clock: tuple[int, int],
) -> None:
    """Each trade comes once, and a gap record covers all missing ids below it."""
    records = [set_back(replica(number, faulty[number], delays[number]), clock) for number in (0, 1)]
    ids: set[int] = set()
    announced: set[int] = set()
    for each in replay(recorded(tmp_path_factory.mktemp("replicas"), a=records[0], b=records[1])):
        match each:
            case Gap() if each.stream != BOOK:
                announced |= set(range(int(each.first_id or 0), int(each.last_id or 0) + 1))
            case Trade():
                assert int(each.trade_id) not in ids
                ids.add(int(each.trade_id))
                assert set(range(1, max(ids))) <= ids | announced
    assert len(ids) == TRUTH
