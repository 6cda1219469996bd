"""The patterns and ids of Bybit's messages."""

import json
import re
from typing import Any, Final

from market_simulator.dialects.bybit.trade_ids import dense, trade_id
from market_simulator.engine.events import Key
from market_simulator.engine.faults.words import Words


def identity(key: Key, text: str) -> dict[str, Any]:
    """Identify a message within its topic.

    By the market's ids of its fills, the sequence and the update of a book, an opening time, or a time.
    """
    message = json.loads(text)
    data = message["data"]
    if "u" in data:
        return {"sequence": data["seq"], "update": data["u"]}
    if isinstance(data, list) and "i" in data[0]:
        return _fills(key.instrument, data[0]["i"], data[-1]["i"])
    if isinstance(data, list) and "start" in data[0]:
        return {"openMs": data[0]["start"], "closed": data[0]["confirm"]}
    return {"ts": message.get("ts", message.get("creationTime"))}


def _fills(symbol: str, first: str, last: str) -> dict[str, Any]:
    """The market's ids. Recorded ids do not tell them, so they are named themselves."""
    numbers = dense(first), dense(last)
    if (trade_id(symbol, numbers[0]), trade_id(symbol, numbers[1])) != (first, last):
        return {"firstExecId": first, "lastExecId": last}
    return {"firstTradeId": numbers[0], "lastTradeId": numbers[1]}


WORDS: Final = Words(
    # The price of a trade, level or candle, a field of a ticker, or an amount of the wallet.
    value=re.compile(r'("(?:p|open|walletBalance|turnover24h|openInterest|\w*(?:Price|Size)\w*)":"|\[\[")\d'),
    checksum=re.compile(r"(?!)"),  # there is none
    # Of timeNano the first 13 digits are milliseconds. Times of candles stay.
    time=re.compile(r'("(?:ts|cts|T|time|creationTime|timeNano)":"?)(\d{13})'),
    identity=identity,
)
