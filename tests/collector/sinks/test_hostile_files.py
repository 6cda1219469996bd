"""A file sink reads back any file that it finds after a crash, or says that it cannot."""

import asyncio
import gzip
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from market_collector.config.settings import FileSinkSettings
from market_collector.errors import SinkError
from market_collector.model.events import Record
from market_collector.net.clock import read_clock
from market_collector.sinks.file import FileSink
from market_collector.sinks.interface import Origin
from mutations import mutated
from record_lines import lines
from records import candle, gap, lost, repaired, snapshot, trade, update

NAME = "okx-btc_0_pod-a_20261122T100000.000Z_000001.jsonl"
RECORDS: list[Record] = [
    snapshot(1),
    update(1, 2),
    trade(1),
    trade(2),
    gap("g", 2, 2),
    repaired("g"),
    lost("h", [(2, 2)]),
    candle(1),
]
LINES = [line + b"\n" for line in lines(RECORDS).splitlines()]
DEEP = b'{"type":"trade","x":' + b"[" * 100_000 + b"\n"
LONG_ID = LINES[2].replace(b'"trade_id":"1"', b'"trade_id":"' + b"9" * 5_000 + b'"')
places = st.sampled_from([None, f"{NAME}:0", f"{NAME}:70", f"{NAME}:-1", f"{NAME}:x", "", "a/b:1"])
contents = st.lists(st.one_of(st.sampled_from(LINES), mutated(LINES)), max_size=12).map(b"".join)


@pytest.mark.parametrize(("ending", "pack"), [("", bytes), (".gz", gzip.compress)], ids=["plain", "gzip"])
@given(place=places, content=contents)
@example(place=None, content=DEEP)
@example(place=f"{NAME}:0", content=DEEP)
@example(place=None, content=LONG_ID)
def test_any_file_is_read_back_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    ending: str,
    pack: Callable[[bytes], bytes],
    place: str | None,
    content: bytes,
) -> None:
    folder = tmp_path_factory.mktemp("sink")
    (folder / (NAME + ending)).write_bytes(pack(content))
    asyncio.run(_start(folder, place))


async def _start(folder: Path, place: str | None) -> None:
    settings = FileSinkSettings("out", folder, 1 << 20, 60.0, "none", 1.0)
    sink = FileSink(settings, Origin("okx-btc", 0, "pod-a"), read_clock)
    with suppress(SinkError):
        await sink.recall(place, keep=True)
        await sink.open()
    await sink.close()
