"""Records after a place, from plain and compressed files, also with torn lines."""

import gzip
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import zstandard

from imaginary_exchange import NAME, ImaginaryExchange
from market_collector.exchanges import EXCHANGES
from market_collector.model.events import Orderbook, Record, Trade
from market_collector.sinks.interface import Origin
from market_collector.sinks.replay import END_BYTES, recall, recall_end
from record_lines import lines
from records import gap, repaired

FIRST = "okx-btc_0_pod-a_20261122T100000.000Z_000001.jsonl"
SECOND = "okx-btc_0_pod-a_20261122T110000.000Z_000002.jsonl"
OTHERS = "okx-btc_0_pod-b_20261122T110000.000Z_000001.jsonl"


def trade(number: int) -> Trade:
    return Trade("okx", "BTC-USDT", number * 10, 1, str(number), str(number), 1, "buy", "1", "1")


def numbers(directory: Path, place: str) -> list[int]:
    return [number for number, _ in recall(directory, place).numbers.get("BTC-USDT/trade", [])]


def text(records: Sequence[Record]) -> bytes:
    return lines(records)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / FIRST).write_bytes(text([trade(1), trade(2), trade(3)]))
    (tmp_path / SECOND).write_bytes(text([trade(4)]) + b'{"type":"trade","exch')
    (tmp_path / OTHERS).write_bytes(text([trade(99)]))
    (tmp_path / "checkpoint.json").write_text("{}")
    return tmp_path


def test_recall_reads_only_records_after_the_place_on_the_same_host(directory: Path) -> None:
    offset = len(text([trade(1)]))
    assert numbers(directory, f"{FIRST}:{offset}") == [2, 3, 4]
    assert numbers(directory, f"{SECOND}:0") == [4]


def test_a_file_that_is_gone_is_no_reason_to_stop(directory: Path) -> None:
    (directory / FIRST).unlink()
    assert numbers(directory, f"{FIRST}:5") == [4]


@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_a_file_that_was_compressed_meanwhile_is_read_the_same(directory: Path, ending: str, compress: object) -> None:
    assert callable(compress)
    plain = (directory / FIRST).read_bytes()
    (directory / (FIRST + ending)).write_bytes(compress(plain))
    assert numbers(directory, f"{FIRST}:{len(text([trade(1)]))}") == [2, 3, 4]
    (directory / FIRST).unlink()
    assert numbers(directory, f"{FIRST}:{len(text([trade(1)]))}") == [2, 3, 4]


def test_gaps_heads_and_times_are_remembered(tmp_path: Path) -> None:
    book = Orderbook("okx", "BTC-USDT", 1, 2, "update", [], [], 17, 16)
    opened = [gap(name, 1, 2) for name in "abc"]
    merged = gap("d", 1, 2, reason="Merged", merges=["b", "c"])
    end = repaired("a")
    (tmp_path / FIRST).write_bytes(text([book, trade(5), *opened, merged, end]))
    memory = recall(tmp_path, f"{FIRST}:0")
    assert memory.heads == {"BTC-USDT/orderbook": 17}
    assert memory.head_times == {"BTC-USDT/orderbook": 1}
    assert memory.numbers == {"BTC-USDT/trade": [(5, 50)]}
    assert memory.gaps == {"d": merged}
    assert memory.closed == {"a", "b", "c"}


def test_trades_without_dense_ids_are_remembered_by_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXCHANGES, NAME, ImaginaryExchange(has_dense_trade_ids=False))
    rows = [Trade(NAME, "A-B", 5, 1, name, name, 1, "buy", "1", "1", None, name == "u2") for name in ("u1", "u2")]
    (tmp_path / FIRST).write_bytes(text(rows))
    assert recall(tmp_path, f"{FIRST}:0").trades == {"A-B/trade": [("u1", 5), ("u2", 5)]}


def test_a_line_that_is_no_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / FIRST).write_bytes(b"garbage\n")
    with pytest.raises(ValueError, match="malformed"):
        recall(tmp_path, f"{FIRST}:0")


@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_a_compressed_file_that_was_cut_off_is_named(tmp_path: Path, ending: str, compress: object) -> None:
    assert callable(compress)
    (tmp_path / (FIRST + ending)).write_bytes(compress(text([trade(1), trade(2)]))[:-1])
    with pytest.raises(ValueError, match=f"{FIRST}{ending}: it was cut off"):
        recall(tmp_path, f"{FIRST}:0")


ORIGIN = Origin("okx-btc", 0, "pod-new")


def test_recall_end_reads_the_newest_file_of_another_pod(directory: Path) -> None:
    assert recall_end(directory, ORIGIN).numbers == {"BTC-USDT/trade": [(4, 40)]}
    assert recall_end(directory, Origin("okx-btc", 1, "pod-new")).numbers == {}


def test_recall_end_reads_only_the_end_and_skips_leading_backfills(tmp_path: Path) -> None:
    filling = text([trade(1)]) * (END_BYTES // len(text([trade(1)])) + 5)
    backfill = msgspec.structs.replace(trade(7), backfilled=True)
    (tmp_path / FIRST).write_bytes(text([trade(999)]) + filling[: -len(text([trade(1)]))])
    assert {number for number, _ in recall_end(tmp_path, ORIGIN).numbers["BTC-USDT/trade"]} == {1}
    (tmp_path / FIRST).write_bytes(text([backfill, trade(50), backfill]))
    assert recall_end(tmp_path, ORIGIN).numbers == {"BTC-USDT/trade": [(50, 500), (7, 70)]}


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_recall_reads_only_regular_files(directory: Path, kind: str) -> None:
    """Others may write to a shared volume."""
    newest = directory / "okx-btc_0_pod-a_20261122T120000.000Z_000003.jsonl"
    match kind:
        case "link":
            newest.symlink_to(directory / OTHERS)
        case "pipe":
            os.mkfifo(newest)
        case "directory":
            newest.mkdir()
    assert numbers(directory, f"{SECOND}:0") == [4]
    (directory / OTHERS).unlink()
    assert recall_end(directory, ORIGIN).numbers == {"BTC-USDT/trade": [(4, 40)]}
