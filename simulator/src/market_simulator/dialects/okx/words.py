"""The patterns and ids of OKX's pushes."""

import json
import re
from typing import Any, Final

from market_simulator.engine.events import Key
from market_simulator.engine.faults.words import Words


def identity(key: Key, text: str) -> dict[str, Any]:
    """Identify a push within its stream by the ids of its fills, its sequence numbers, opening time or time."""
    push = json.loads(text)
    rows = push["data"]
    first, last = rows[0], rows[-1]
    if isinstance(first, list):
        return {"openMs": int(last[0]), "closed": last[8] == "1"}
    if "tradeId" in first:
        return {
            "firstTradeId": int(first["tradeId"]) - int(first.get("count", 1)) + 1,
            "lastTradeId": int(last["tradeId"]),
        }
    if "prevSeqId" in first:
        return {"sequence": last["seqId"], "previous": first["prevSeqId"]}
    if "instId" in first and "details" in first:
        return {"ts": last["details"][-1]["ts"]}
    if "details" in first:
        return {"eventType": push["eventType"], "ts": last["uTime"]}
    return {"ts": last["ts"]}


WORDS: Final = Words(
    # The price of a trade, ticker or level, or the time of a candle. A book's push without levels has only its time.
    value=re.compile(r'("(?:px|last)":"|\[\["|"ts":")\d'),
    checksum=re.compile(r'("checksum":)(-?[1-9]\d*)(?=,)'),
    time=re.compile(r'("ts":")(\d+)(?=")'),
    identity=identity,
)
