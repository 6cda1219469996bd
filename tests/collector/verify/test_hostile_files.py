"""`verify` reads any file: it reports what is wrong, and raises nothing."""

import gzip
import json
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from market_collector.model.events import Record
from market_collector.verify.command import examine
from market_collector.verify.document import document
from market_collector.verify.intervals import intervals, to_csv
from market_collector.verify.table import text
from mutations import mutated
from record_lines import lines
from records import (
    candle,
    connected,
    disconnected,
    gap,
    header,
    instrument,
    lost,
    quote,
    raw,
    repaired,
    repeat,
    snapshot,
    trade,
    update,
)

NAME = "okx-btc_0_pod-a_20261122T100000.000Z_000001.jsonl"
RECORDS: list[Record] = [
    snapshot(1, checksum=7), update(1, 2), trade(1), trade(5, first=3), gap("g", 2, 2), repaired("g"), lost("h", [(2, 2)]),
    candle(1), raw(), connected(1), disconnected(2, "reset"), header(), instrument(), quote(2), repeat(snapshot(1)),
    replace(trade(1), exchange_time_ns=0),
]  # fmt: skip
LINES = [line + b"\n" for line in lines(RECORDS).splitlines()]
DEEP = b'{"type":"trade","x":' + b"[" * 100_000 + b"\n"
FAR = LINES[2].replace(b'"receive_time_ns":', b'"receive_time_ns":9223372036854775807,"x":')
BEYOND = LINES[2].replace(b'"exchange_time_ns":', b'"exchange_time_ns":17900000010000001790000001000000000,"x":')
NEVER = LINES[2].replace(b'"exchange_time_ns":', b'"exchange_time_ns":-9223372036854775808,"x":')
LONG_ID = LINES[2].replace(b'"trade_id":"1"', b'"trade_id":"' + b"9" * 5_000 + b'"')
ESCAPES = b'{"type":"trade","exchange":"okx\\u001b]0;PWN\\u0007","symbol":"BTC\\u001b[2J-USDT","receive_time_ns":1}\n'
NO_INTERVAL = (
    b'{"type":"lost","exchange":"okx","symbol":"BTC-USDT","exchange_time_ns":null,"receive_time_ns":1,"gap_id":"g",'
    b'"stream":"BTC-USDT/candle:0s","reason":"x","ranges":[["1","2"]]}\n'
)
contents = st.lists(st.one_of(st.sampled_from(LINES), mutated(LINES)), max_size=12).map(b"".join)
PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("", bytes),
    (".gz", gzip.compress),
    (".zst", zstandard.ZstdCompressor().compress),
    (".gz", bytes),
    (".zst", bytes),
]


@pytest.mark.parametrize(("ending", "pack"), PACKED, ids=["plain", "gzip", "zstd", "no gzip", "no zstd"])
@given(content=contents)
@example(content=DEEP)
@example(content=FAR + LINES[2])
@example(content=NEVER + LINES[2])
@example(content=BEYOND + LINES[2])
@example(content=LONG_ID)
@example(content=ESCAPES)
@example(content=NO_INTERVAL)
@example(content=LINES[-1])
def test_any_file_is_reported_on(
    tmp_path_factory: pytest.TempPathFactory, ending: str, pack: Callable[[bytes], bytes], content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("recording")
    (folder / (NAME + ending)).write_bytes(pack(content))
    report = examine([str(folder)])
    assert text(report, 120, has_blocks=True)
    assert json.dumps(document(report))
    assert to_csv(list(intervals(report.streams)))
