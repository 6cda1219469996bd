"""The patterns and ids of Binance's events."""

import json
import re
from typing import Any, Final

from market_simulator.engine.events import Key
from market_simulator.engine.faults.words import Words


def identity(key: Key, text: str) -> dict[str, Any]:
    """Identify an event within its stream by its trade id, update ids, opening time or time."""
    message = json.loads(text)
    event = message.get("data", message)
    match event.get("e"):
        case "trade":
            return {"firstTradeId": event["t"], "lastTradeId": event["t"]}
        case "aggTrade":
            return {"firstTradeId": event["a"], "lastTradeId": event["a"]}
        case "depthUpdate":
            return {"sequence": event["u"], "previous": event.get("pu", event["U"] - 1)}
        case "kline":
            return {"openMs": event["k"]["t"], "closed": event["k"]["x"]}
        case "24hrTicker" | "markPriceUpdate" | "forceOrder":
            return {"ts": event["E"]}
    return {"sequence": event["u"]} if "u" in event else {"ts": event["event"]["E"]}


WORDS: Final = Words(
    value=re.compile(r'("[pbocf]":"|\[\[")\d'),
    checksum=re.compile(r"(?!)"),  # there is none
    time=re.compile(r'("(?:E|serverTime)":)(\d+)'),
    identity=identity,
)
