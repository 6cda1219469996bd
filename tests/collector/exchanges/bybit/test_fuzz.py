"""Decoding any bytes of Bybit gives messages that can be written, or a FrameError, and no other error."""

from hypothesis import given, settings
from hypothesis import strategies as st

import recordings
from market_collector.errors import FrameError
from market_collector.exchanges.bybit.account import BybitAccount
from market_collector.exchanges.bybit.balances import BybitPolls
from market_collector.exchanges.bybit.channels import BybitCodec
from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.exchanges.bybit.recent import BybitRecent
from market_collector.exchanges.bybit.rest import BybitRestApi
from market_collector.exchanges.interface import AccountUpdate, Batch, Codec, Seen
from market_collector.model.streams import DataType, Stream
from mutations import mutated
from record_lines import lines

ACCOUNT = Stream("account", DataType.BALANCE)
STREAMS = {
    category: [
        Stream(f"{symbol}{end}", data_type, "1m" if data_type is DataType.CANDLE else "")
        for symbol in ("BTC-USDT", "ETH-USDT", "LTC-USDT")
        for data_type in sorted(Bybit.offers - {DataType.BALANCE, DataType.QUOTE})
    ]
    for category, end in (("spot", ""), ("linear", "-PERP"))
}
RECEIVED = [frame for path in sorted(recordings.BYBIT.glob("*.jsonl")) for frame in recordings.received(path)]
FRAMES = [frame.bytes for frame in RECEIVED if "/public/" in frame.url and len(frame.text) < 5_000]
PRIVATE = [frame.bytes for frame in RECEIVED if frame.url.endswith("/private")]
TRADE_ROW = b'{"execId":"a","price":"5","size":"1","side":"Buy","time":"1786538700833","seq":"7"}'
ANSWERS = [frame.bytes for frame in RECEIVED if frame.url.startswith("https:")] + [
    b'{"retCode":0,"result":{"list":[' + TRADE_ROW + b"]}}",
    b'{"retCode":0,"result":{"list":[["1786538700000","1","3","1","2","4","8"]]},"time":1786538800000}',
    b'{"retCode":0,"result":{"s":"BTCUSDT","b":[["5","1"]],"a":[],"u":1,"seq":2,"cts":3}}',
    b'{"retCode":0,"result":{"list":[{"symbol":"BTCUSDT","lastPrice":"5","bid1Price":"4"}]}}',
]


def read_all(codec: Codec, frame: bytes) -> None:
    try:
        messages = codec.read(frame, 1)
    except FrameError:
        return
    for message in messages:
        if isinstance(message, Batch):
            assert {record.__struct_config__.tag for record in message.records} <= {message.stream.data_type}
            assert len(lines(message.records).splitlines()) == len(message.records)
        if isinstance(message, AccountUpdate):
            assert len(lines(message.balances).splitlines()) == len(message.balances)


@settings(max_examples=800)
@given(frames=st.lists(mutated(FRAMES), min_size=1, max_size=3), category=st.sampled_from(["spot", "linear"]))
def test_frame_is_decoded_or_an_error(frames: list[bytes], category: str) -> None:
    codec = BybitCodec(category, STREAMS[category], 50)
    codec.subscribe(STREAMS[category])
    for frame in frames:
        read_all(codec, frame)


@settings(max_examples=300)
@given(frame=mutated(PRIVATE))
def test_account_frame_is_decoded_or_an_error(frame: bytes) -> None:
    read_all(BybitAccount([ACCOUNT]), frame)


@settings(max_examples=600)
@given(answer=mutated(ANSWERS), stream=st.sampled_from(STREAMS["spot"]))
def test_an_answer_of_rest_is_read_or_refused(answer: bytes, stream: Stream) -> None:
    api, candles = BybitRestApi(), Stream("BTC-USDT", DataType.CANDLE, "1m")
    for read in (
        lambda: api.judge(stream, Seen(), answer),
        lambda: lines(api.read_instruments(None, answer, 1)),
        lambda: api.halted(answer),
        lambda: api.unlisted({"BTC-USDT"}, answer),
        lambda: api.read_overview(STREAMS["spot"], answer),
        lambda: api.read_time(answer),
        lambda: lines(api.read_history(candles, answer, 1).records),
        lambda: lines(BybitRecent().read(stream, answer, 1)),
        lambda: lines(BybitPolls().read(ACCOUNT, answer, 1).balances),
    ):
        try:
            read()
        except FrameError:
            continue
    api.refusal(200, {}, answer)
    api.refusal(400, {}, answer)
