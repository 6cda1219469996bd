"""Readers of foreign documents take any bytes: they return a value, or raise the error that their callers handle."""

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from market_collector.checkpoint import FILE, Checkpoint
from market_collector.errors import FrameError
from market_collector.exchanges.okx.exchange import Okx
from market_collector.exchanges.okx.rest import OkxRestApi
from market_collector.model.streams import DataType, Stream
from market_collector.net.predecessors import HandoverFile

STREAMS = [Stream("BTC-USDT", each) for each in (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)]
CANDLES = Stream("BTC-USDT", DataType.CANDLE, "1m")
API = OkxRestApi()
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(["0", "9" * 400, "-1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["code", "data", "ts", "tradeId", "px", "arg", "streams", "running"]), inner)
    ),
    max_leaves=8,
)
replies = st.lists(values, max_size=3).map(lambda rows: json.dumps({"code": "0", "msg": "", "data": rows}).encode())
documents = st.one_of(st.binary(max_size=60), values.map(lambda value: json.dumps(value).encode()), replies)
DEEP = b"[" * 100_000
CLOCK = b'{"code":"0","msg":"","data":[{"ts":"%s"}]}' % (b"9" * 400)

READERS: list[Callable[[bytes], object]] = [
    API.read_time,
    lambda body: API.read_instruments(None, body, 1),
    API.halted,
    lambda body: API.read_overview(STREAMS, body),
    lambda body: [API.newest_mark(stream, body) for stream in (*STREAMS, CANDLES)],
    lambda body: [API.read_history(stream, body, 1) for stream in (STREAMS[0], CANDLES)],
]


@pytest.mark.parametrize("read", READERS, ids=range(len(READERS)))
@given(body=documents)
@example(body=DEEP)
@example(body=b'{"code":"0","data":[' + DEEP)
@example(body=CLOCK)
def test_rest_readers_raise_only_frame_errors(read: Callable[[bytes], object], body: bytes) -> None:
    with suppress(FrameError):
        read(body)


@given(frame=documents)
@example(frame=DEEP)
@example(frame=b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":' + DEEP)
def test_codec_raises_only_frame_errors(frame: bytes) -> None:
    with suppress(FrameError):
        Okx().codec("public", STREAMS).read(frame, 1)


@given(document=documents)
@example(document=DEEP)
@example(document=b'{"contract":1,"ended":{},"running":' + DEEP)
def test_unreadable_documents_count_as_missing(tmp_path_factory: pytest.TempPathFactory, document: bytes) -> None:
    folder = tmp_path_factory.mktemp("state")
    (folder / FILE).write_bytes(document)
    Checkpoint(folder).load()
    HandoverFile(folder / FILE).read_change()
