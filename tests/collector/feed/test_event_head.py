import pytest

from market_collector.feed.event_head import event_head
from market_collector.model.moment import Moment
from market_collector.model.streams import Stream


@pytest.mark.parametrize(("name", "interval"), [("BTC-USDT/trade", None), ("BTC-USDT/candle:1m", "1m")])
def test_head_names_the_stream_and_only_candles_have_an_interval(name: str, interval: str | None) -> None:
    stream = Stream.parse(name)
    assert event_head("okx", stream, Moment(1.0, 5)) == {
        "exchange": "okx",
        "symbol": "BTC-USDT",
        "exchange_time_ns": None,
        "receive_time_ns": 5,
        "stream": name,
        "data_type": stream.data_type,
        "interval": interval,
    }
