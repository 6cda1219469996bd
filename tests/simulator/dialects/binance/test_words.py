"""Ids by which faults tell Binance's events apart."""

from typing import Any

import pytest

from market_simulator.dialects.binance.words import WORDS, identity
from market_simulator.engine.events import Key

KEY = Key("trade", "BTC-USDT")
DEPTH = '{"e":"depthUpdate","E":1753962000000,"s":"BTCUSDT","U":157,"u":160,"b":[["0.0024","10"]],"a":[]}'
UPDATE_OF_PERPETUAL = '{"e":"depthUpdate","E":1753962000000,"s":"BTCUSDT","U":157,"u":160,"pu":140,"b":[],"a":[]}'


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ('{"e":"trade","E":1753962000000,"s":"BTCUSDT","t":12345}', {"firstTradeId": 12345, "lastTradeId": 12345}),
        (DEPTH, {"sequence": 160, "previous": 156}),
        (f'{{"stream":"btcusdt@depth","data":{DEPTH}}}', {"sequence": 160, "previous": 156}),
        ('{"e":"kline","E":5,"k":{"t":1753962000000,"x":true}}', {"openMs": 1753962000000, "closed": True}),
        (
            '{"e":"aggTrade","E":1753962000000,"a":77,"s":"BTCUSDT","f":9,"l":12}',
            {"firstTradeId": 77, "lastTradeId": 77},
        ),
        (UPDATE_OF_PERPETUAL, {"sequence": 160, "previous": 140}),
        ('{"e":"markPriceUpdate","E":1753962000000,"s":"BTCUSDT","p":"1"}', {"ts": 1753962000000}),
        ('{"e":"forceOrder","E":1753962000000,"o":{"s":"BTCUSDT"}}', {"ts": 1753962000000}),
        ('{"e":"24hrTicker","E":1753962000000,"c":"0.0025"}', {"ts": 1753962000000}),
        ('{"u":400900217,"s":"BTCUSDT","b":"25.35190000"}', {"sequence": 400900217}),
        ('{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":1753962000000}}', {"ts": 1753962000000}),
    ],
)
def test_event_is_identified_by_its_ids(text: str, ids: dict[str, Any]) -> None:
    assert identity(KEY, text) == ids


def test_a_fault_finds_values_and_the_time_of_an_event() -> None:
    value, time = WORDS.value.search(DEPTH), WORDS.time.search(DEPTH)
    assert value is not None
    assert time is not None
    assert (DEPTH[value.end() - 1 :][:6], time[2]) == ("0.0024", "1753962000000")
    assert WORDS.checksum.search(DEPTH) is None
