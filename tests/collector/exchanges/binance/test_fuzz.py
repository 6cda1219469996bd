"""Decoding any bytes of Binance gives messages that can be written, or a FrameError, and no other error."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.binance.account import BinanceAccount
from market_collector.exchanges.binance.balances import whole_account
from market_collector.exchanges.binance.channels import BinanceCodec, channel
from market_collector.exchanges.binance.exchange import Binance
from market_collector.exchanges.binance.polls import BinancePolls
from market_collector.exchanges.binance.rest import BinanceRestApi, BinanceSnapshots
from market_collector.exchanges.interface import AccountUpdate, Batch, Codec, Seen
from market_collector.model.events import Candle, Funding, Liquidation, MarkPrice, Orderbook, Ticker, Trade
from market_collector.model.streams import OF_DERIVATIVES, DataType, Stream
from mutations import mutated
from record_lines import lines

ACCOUNT = Stream("account", DataType.BALANCE)
STREAMS = [
    Stream(symbol, data_type, "1m" if data_type is DataType.CANDLE else "")
    for symbol in ("BTC-USDT", "NKN-USDT", "BNB-BTC")
    for data_type in Binance.offers - {DataType.BALANCE, DataType.QUOTE} - OF_DERIVATIVES
]
PERPETUALS = [
    Stream(f"{symbol}-PERP", data_type, "1m" if data_type is DataType.CANDLE else "")
    for symbol in ("BTC-USDT", "ETH-USDT")
    for data_type in sorted(Binance.offers - {DataType.BALANCE, DataType.QUOTE, DataType.OPENINTEREST})
]
INTEREST, RATES = (Stream("BTC-USDT-PERP", kind) for kind in (DataType.OPENINTEREST, DataType.FUNDING))
KINDS = {
    DataType.TRADE: Trade, DataType.ORDERBOOK: Orderbook, DataType.TICKER: Ticker, DataType.CANDLE: Candle,
    DataType.FUNDING: Funding, DataType.MARKPRICE: MarkPrice, DataType.LIQUIDATION: Liquidation,
}  # fmt: skip
ASKED = STREAMS + [each for each in PERPETUALS if each.data_type is not DataType.LIQUIDATION]
HISTORY = [stream for stream in STREAMS if stream.data_type in (DataType.TRADE, DataType.CANDLE)]


def combined(text: str) -> bytes:
    """The frame, or a raw event as a combined connection sends it."""
    names = {"24hrTicker": "bnbbtc@ticker", "kline": "btcusdt@kline_1m"}
    name = names.get(json.loads(text).get("e", ""))
    return text.encode() if name is None else f'{{"stream":"{name}","data":{text}}}'.encode()


SOURCES = (recordings.BINANCE_2021, recordings.BINANCE_TESTNET, recordings.BINANCE_KLINE, recordings.BINANCE_CONTROL)
FRAMES = [
    combined(frame.text)
    for path in SOURCES
    for frame in recordings.received(path)
    if frame.url.startswith("wss:") and "ws-api" not in frame.url
]
LIQUIDATION = (
    b'{"stream":"btcusdt@forceOrder","data":{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL",'
    b'"o":"LIMIT","f":"IOC","q":"0.014","p":"9910","ap":"9910","X":"FILLED","l":"0.014","z":"0.014",'
    b'"T":1568014460893}}}'
)
PERPETUAL_FRAMES = [
    LIQUIDATION, *(frame.bytes for path in recordings.BINANCE_PERPETUALS for frame in recordings.received(path))
]  # fmt: skip
USER_DATA = [
    frame.bytes for frame in recordings.received(recordings.BINANCE_CONTROL) if frame.url.endswith("/ws-api/v3")
]
ANSWERS = (
    [
        frame.bytes
        for path in (recordings.BINANCE_REST, recordings.BINANCE_CONTROL, recordings.BINANCE_TESTNET)
        for frame in recordings.received(path)
        if frame.url.startswith("https:") and len(frame.text) < 10_000
    ]
    + [b'{"updateTime":1790686454570,"balances":[{"asset":"BTC","free":"0.01485691","locked":"0.00000000"}]}']
    + [
        b'{"symbol":"BTCUSDT","markPrice":"11793.63104562","indexPrice":"11781.80495970","estimatedSettlePrice":"1.5",'
        b'"lastFundingRate":"0.00038246","interestRate":"0.00010000","nextFundingTime":1597392000000,"time":1597370495002}',
        b'[{"symbol":"BTCUSDT","fundingRate":"0.00010000","fundingTime":1570636800000,"markPrice":"34287.54619963"}]',
        b'{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}',
    ]
)


def read_all(codec: Codec, frame: bytes) -> None:
    try:
        messages = codec.read(frame, 1)
    except FrameError:
        return
    for message in messages:
        if isinstance(message, Batch):
            kind, most = KINDS[message.stream.data_type], len(message.records)
            assert [type(record) for record in message.records] == [kind] * most
            assert most == 1 or (most == 0 and kind is Funding)  # its time has passed
            assert len(lines(message.records).splitlines()) == most
        if isinstance(message, AccountUpdate):
            assert len(lines(message.balances).splitlines()) == len(message.balances)


@settings(max_examples=600)
@given(frame=mutated(FRAMES))
def test_frame_is_decoded_or_an_error(frame: bytes) -> None:
    codec = BinanceCodec(STREAMS)
    codec.subscribe(STREAMS)
    read_all(codec, frame)


@settings(max_examples=600)
@given(frame=mutated(PERPETUAL_FRAMES))
def test_frame_of_perpetuals_is_decoded_or_an_error(frame: bytes) -> None:
    codec = BinanceCodec(PERPETUALS, "/market/stream")
    codec.subscribe(PERPETUALS)
    read_all(codec, frame)


@settings(max_examples=300)
@given(frame=mutated(USER_DATA))
def test_account_frame_is_decoded_or_an_error(frame: bytes) -> None:
    read_all(BinanceAccount([ACCOUNT]), frame)


@settings(max_examples=600)
@given(answer=mutated(ANSWERS), stream=st.sampled_from(ASKED), past=st.sampled_from(HISTORY))
def test_an_answer_of_rest_is_read_or_refused(answer: bytes, stream: Stream, past: Stream) -> None:
    api = BinanceRestApi()
    for read in (
        lambda: api.judge(stream, Seen(), answer),
        lambda: api.read_instruments(None, answer, 1),
        lambda: api.halted(answer),
        lambda: api.unlisted({"BTC-USDT"}, answer),
        lambda: lines(api.read_instruments({"BTC-USDT", "ETH-BTC"}, answer, 1)),
        lambda: api.read_overview(STREAMS, answer),
        lambda: api.read_time(answer),
        lambda: lines(api.read_history(past, answer, 1).records),
        lambda: lines([BinanceSnapshots().read(stream, None, answer, 1)]),
        lambda: lines(whole_account(ACCOUNT, answer, 1).balances),
        lambda: BinancePolls().read(INTEREST, answer, 1),
        lambda: BinancePolls().read(RATES, answer, 1),
    ):
        try:
            read()
        except FrameError:
            continue
    api.refusal(400, {}, answer)


@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_has_a_frame_of_its_own(stream: Stream) -> None:
    with pytest.raises(FrameError) as raised:
        BinanceCodec(STREAMS).read(f'{{"stream":"{channel(stream)}","data":{{}}}}'.encode(), 1)
    assert raised.value.stream == stream
