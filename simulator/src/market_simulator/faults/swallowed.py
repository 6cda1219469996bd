"""Ledger of the published messages that a fault made unreadable, by their ids: the gaps a client must report."""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from market_simulator.events import Key
from market_simulator.faults.messages import Outgoing

_KEPT: Final = 100_000


@dataclass(frozen=True, slots=True)
class Swallowed:
    """One message. `ids` identifies it in the truth, such as `{"firstTradeId": 7, "lastTradeId": 9}`."""

    fault: str
    key: Key
    ids: dict[str, Any]

    def row(self) -> dict[str, Any]:
        return {"fault": self.fault, "channel": self.key.channel, "symbol": self.key.instrument, **self.ids}


class Ledger:
    """The newest swallowed messages in the order of publishing."""

    def __init__(self) -> None:
        self._messages: deque[Swallowed] = deque(maxlen=_KEPT)

    def note(self, fault: str, message: Outgoing) -> None:
        """Record a push with its complete, undamaged JSON."""
        if message.key is not None:
            self._messages.append(Swallowed(fault, message.key, identity(message.key, message.text)))

    def rows(self, channel: str | None, symbol: str | None) -> Iterator[dict[str, Any]]:
        for message in self._messages:
            if channel in (None, message.key.channel) and symbol in (None, message.key.instrument):
                yield message.row()

    def trade_ids(self, symbol: str) -> list[tuple[int, int]]:
        """First and last trade id of every message."""
        rows = self.rows(None, symbol)
        return [(row["firstTradeId"], row["lastTradeId"]) for row in rows if "firstTradeId" in row]


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
    if "details" in first:
        return {"eventType": push["eventType"], "ts": last["uTime"]}
    return {"ts": last["ts"]}
