"""Decoding any bytes gives messages that can be written, or a FrameError, and no other error."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.interface import AccountUpdate, Batch, Message
from market_collector.exchanges.okx.account import OkxAccount
from market_collector.exchanges.okx.channels import BUSINESS, PUBLIC, OkxCodec
from market_collector.exchanges.okx.exchange import Okx
from market_collector.exchanges.okx.rest import OkxRestApi
from market_collector.model.events import Trade
from market_collector.model.streams import DataType, Stream
from mutations import mutated
from record_lines import lines

ACCOUNT = Stream("account", DataType.BALANCE)
SOURCES = (
    recordings.OKX_2022,
    recordings.OKX_2026,
    recordings.OKX_SNIPPETS,
    recordings.OKX_CONTROL,
    recordings.OKX_DERIVATIVES,
)
FRAMES = [frame.bytes for path in SOURCES for frame in recordings.received(path) if len(frame.text) < 3_000]
"""A snapshot of 400 levels has nothing that an update has not."""
STREAMS = [
    Stream(symbol, data_type, "1m" if data_type is DataType.CANDLE else "")
    for symbol in ("BTC-USDT", "BTC-USDT-PERP")
    for data_type in Okx.offers - {DataType.BALANCE, DataType.QUOTE}
]
ANSWERS = [frame.bytes for frame in recordings.frames(recordings.OKX_REST) if len(frame.text) < 10_000]
CANDLES = b'{"code":"0","msg":"","data":[["1786538760000","64040.2","64040.2","64025.7","64033.5","2.1","138.2","138.2","1"]]}'
BOOKS = b'{"code":"0","msg":"","data":[{"asks":[["1","2","0","1"]],"bids":[],"ts":"1786538760000","seqId":7}]}'
NUMBER = re.compile(r"\d+(\.\d+)?")


@pytest.mark.parametrize("route", [PUBLIC, BUSINESS])
@settings(max_examples=600)
@given(frame=mutated(FRAMES))
def test_frame_is_decoded_or_an_error(route: str, frame: bytes) -> None:
    codec = OkxCodec(route, STREAMS)
    codec.subscribe(STREAMS)
    try:
        messages = codec.read(frame, 1)
    except FrameError:
        return
    for message in messages:
        check(message)


ACCOUNT_FRAMES = [frame.bytes for frame in recordings.received(recordings.OKX_ACCOUNT)]


@settings(max_examples=300)
@given(frames=st.lists(mutated(ACCOUNT_FRAMES), max_size=4))
def test_account_frame_is_decoded_or_an_error(frames: list[bytes]) -> None:
    codec = OkxAccount([ACCOUNT])
    for frame in frames:
        try:
            messages = codec.read(frame, 1)
        except FrameError:
            continue
        for message in messages:
            if isinstance(message, AccountUpdate):
                assert len(lines(message.balances).splitlines()) == len(message.balances)


def check(message: Message) -> None:
    """Data has the type of its stream, numbers are numbers, and it can be written."""
    if not isinstance(message, Batch):
        return
    for record in message.records:
        assert record.__struct_config__.tag == message.stream.data_type
        if isinstance(record, Trade):
            float(record.price), float(record.amount)
    assert len(lines(message.records).splitlines()) == len(message.records)


@settings(max_examples=600)
@given(answer=mutated([*ANSWERS, CANDLES, BOOKS]), stream=st.sampled_from(STREAMS))
def test_an_answer_of_rest_is_read_or_refused(answer: bytes, stream: Stream) -> None:
    questions = OkxRestApi()
    for read in (
        lambda: questions.newest_mark(stream, answer),
        lambda: questions.read_instruments(None, answer, 1),
        lambda: questions.halted(answer),
        lambda: questions.read_overview(STREAMS, answer),
        lambda: lines(questions.read_history(stream, answer, 1).records) if stream.data_type in HISTORY else b"",
    ):
        try:
            read()
        except FrameError:
            continue


HISTORY = (DataType.TRADE, DataType.CANDLE)
