"""Patterns and ids by which faults change and tell apart Bybit's messages."""

import json
from typing import Any

import pytest

from market_simulator.dialects.bybit.trade_ids import trade_id
from market_simulator.dialects.bybit.words import WORDS, identity
from market_simulator.engine.events import Key

KEY = Key("publicTrade", "BTC-USDT-PERP")
BOOK = '{"topic":"orderbook.50.X","ts":1789299657452,"type":"delta","data":{"s":"X","b":[["77.5","1"]],"a":[],"u":5,"seq":9},"cts":1789299657450}'
TRADES = [f'{{"i":"{trade_id("BTC-USDT-PERP", number)}","T":1789299657450,"p":"64.5"}}' for number in (70, 72)]
TRADE = f'{{"topic":"publicTrade.X","ts":1789299657452,"data":[{",".join(TRADES)}]}}'
KLINE = '{"topic":"kline.1.X","data":[{"start":1789299600000,"open":"64.5","confirm":false}],"ts":1789299657452}'
TICKER = '{"topic":"tickers.X","type":"delta","data":{"symbol":"X","ask1Size":"3.383"},"cs":1,"ts":1789299657452}'
WALLET = '{"id":"1","topic":"wallet","creationTime":1789299657452,"data":[{"coin":[{"walletBalance":"3"}]}]}'


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (BOOK, {"sequence": 9, "update": 5}),
        (TRADE, {"firstTradeId": 70, "lastTradeId": 72}),
        (KLINE, {"openMs": 1789299600000, "closed": False}),
        (TICKER, {"ts": 1789299657452}),
        (WALLET, {"ts": 1789299657452}),
    ],
)
def test_message_is_identified_by_its_ids(text: str, ids: dict[str, Any]) -> None:
    assert identity(KEY, text) == ids


@pytest.mark.parametrize(("text", "value"), [(BOOK, "77.5"), (TRADE, "64.5"), (KLINE, "64.5"), (TICKER, "3.383")])
def test_wrong_value_leaves_valid_json(text: str, value: str) -> None:
    damaged = WORDS.value.sub(r"\1x", text, count=1)
    assert f'"x{value[1:]}"' in damaged
    json.loads(damaged)


def test_clock_skew_shifts_times_but_no_candle() -> None:
    def shifted(text: str) -> str:
        return WORDS.time.sub(lambda found: f"{found[1]}{int(found[2]) + 1000}", text)

    assert json.loads(shifted(BOOK))["ts"] == 1789299658452
    assert json.loads(shifted(BOOK))["cts"] == 1789299658450
    assert json.loads(shifted(TRADE))["data"][0]["T"] == 1789299658450
    assert json.loads(shifted(KLINE))["data"][0]["start"] == 1789299600000
    assert shifted('{"timeNano":"1789299657452000000"}') == '{"timeNano":"1789299658452000000"}'
