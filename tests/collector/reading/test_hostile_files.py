"""Any file is read, or refused with an error that names it."""

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from market_collector.errors import RecordingError
from market_collector.model.events import Balance, Record
from market_collector.reading import read, replay
from market_collector.reading.newer import KINDS
from mutations import mutated
from record_lines import lines
from records import (
    BOOK,
    CANDLES,
    at,
    candle,
    connected,
    disconnected,
    gap,
    header,
    instrument,
    lost,
    open_ms,
    quote,
    raw,
    repaired,
    repeat,
    snapshot,
    ticker,
    trade,
    update,
)

RECORDS: list[Record] = [
    snapshot(1), update(1, 2), trade(1), trade(5, first=3), gap("g", 2, 2), repaired("g"), lost("h", [(2, 2)]),
    gap("b", 2, None, stream=BOOK), lost("b", stream=BOOK), candle(1, closed=False), candle(1), raw(), connected(1),
    gap("c", open_ms(2), open_ms(3), stream=CANDLES), disconnected(2, "stopped"), ticker(3),
    Balance("okx", "account", at(1), at(2), "USDT", "1", "1", "0"), header(), instrument(), quote(2), repeat(snapshot(1)),
    gap("late", 2, 4, seconds=60),
]  # fmt: skip
LINES = [line + b"\n" for line in lines(RECORDS).splitlines()]
FAR = LINES[2].replace(b'"exchange_time_ns":', b'"exchange_time_ns":17900000010000001790000001000000000,"x":')
LONG_ID = LINES[2].replace(b'"trade_id":"1"', b'"trade_id":"' + b"9" * 5_000 + b'"')
NO_NUMBER = LINES[2].replace(b'"price":"1"', b'"price":"one"')
NO_INTERVAL = LINES[6].replace(b"BTC-USDT/trade", b"BTC-USDT/candle:0s").replace(b'"data_type":"trade"', b'"x":1')
contents = st.lists(st.one_of(st.sampled_from(LINES), mutated(LINES)), max_size=12).map(b"".join)


@given(content=contents)
@example(content=FAR + LINES[2])
@example(content=LONG_ID)
@example(content=NO_NUMBER)
@example(content=NO_INTERVAL)
@example(content=LINES[3] + LINES[-1])
def test_any_file_is_read_or_named(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("recording")
    file = folder / "a.jsonl"
    file.write_bytes(content)
    for load in (lambda: list(replay(folder)), lambda: list(replay(folder, start=at(2)))):
        _try(load, str(file))
    for kind in KINDS:
        _try(partial(_tables, folder, kind), str(file))


def _tables(folder: Path, kind: str) -> None:
    found = read(folder, kind)
    found.to_polars()
    found.to_pandas()


def _try(load: Callable[[], object], file: str) -> None:
    message = file
    with contextlib.suppress(RecordingError):
        try:
            load()
        except RecordingError as error:
            message = str(error)
            raise
    assert message.startswith(file)
