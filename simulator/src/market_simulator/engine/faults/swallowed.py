"""Ledger of the published messages that a fault made unreadable, by their ids: the gaps a client must report."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from market_simulator.engine.events import Key
from market_simulator.engine.faults.messages import Outgoing
from market_simulator.engine.faults.turns import Stream
from market_simulator.engine.faults.words import Words

_KEPT: Final = 100_000


@dataclass(frozen=True, slots=True)
class Swallowed:
    """One message. `ids` identifies it in the truth. `connection` is the only one without it; None means all."""

    fault: str
    key: Key
    ids: dict[str, Any]
    connection: str | None

    def row(self) -> dict[str, Any]:
        only = {} if self.connection is None else {"connection": self.connection}
        return {"fault": self.fault, "channel": self.key.channel, "symbol": self.key.instrument, **only, **self.ids}


class Ledger:
    """The newest swallowed messages in the order of publishing. `words` identifies them."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._messages: deque[Swallowed] = deque(maxlen=_KEPT)

    def note(self, fault: str, message: Outgoing, connection: str | None = None) -> None:
        """Record a push with its complete, undamaged JSON."""
        if message.key is not None:
            self._messages.append(
                Swallowed(fault, message.key, self._words.identity(message.key, message.text), connection)
            )

    def rows(self, stream: Stream) -> Iterator[dict[str, Any]]:
        """The messages of the selected streams."""
        return (message.row() for message in self._messages if stream.has(message.key))

    def trade_ids(self, symbol: str) -> list[tuple[int, int]]:
        """First and last trade id of every message."""
        rows = self.rows(Stream(symbol=symbol))
        return [(row["firstTradeId"], row["lastTradeId"]) for row in rows if "firstTradeId" in row]
