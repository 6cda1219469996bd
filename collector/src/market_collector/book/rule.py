"""Rules by which an exchange's order books are proved complete: which state an update follows."""

from enum import Enum

import msgspec

from market_collector.model.events import Orderbook


class Proof(Enum):
    """The exchange's way to show that no update was lost.

    A codec sets ``previous_sequence`` to the first state that an update follows, and ``sequence`` to the state after
    it.
    """

    SEQUENCE = "sequence"
    """An update names the state before it. The numbers may restart, so a smaller one proves nothing (OKX)."""
    RANGE = "range"
    """An update holds several numbered changes. It follows each state from before the first to before the last
    (Binance)."""
    COUNTER = "counter"
    """Updates are numbered without a gap. A smaller number is an older state, unless a snapshot brings it (Bybit)."""
    CONNECTION = "connection"
    """The messages of a connection are numbered, so that the codec counts those of a book (Coinbase)."""
    CHECKSUM = "checksum"
    """A checksum of the book's best levels. The codec numbers the messages (Kraken)."""


_ONLY_GROWS = (Proof.RANGE, Proof.COUNTER)
"""Proofs whose numbers only grow between two snapshots."""


class Scope(Enum):
    """The connections on which a number of a book means the same state."""

    INSTRUMENT = "instrument"
    """On all connections, so that any of them can continue the published book."""
    CONNECTION = "connection"
    """On one connection. The collector publishes running numbers of its own."""


class BookWindow(Enum):
    """The levels of a book that the collector knows."""

    EXACT = "exact"
    """All that the exchange keeps: it deletes each level that leaves them."""
    TRIM = "trim"
    """The best `Orderbook.depth` of a snapshot. The collector deletes those that an update pushes out (Kraken)."""
    KNOWN_RANGE = "known range"
    """Those between the worst prices of a snapshot. What lies beyond is unknown until it changes (Binance)."""


class BookRule(msgspec.Struct, frozen=True):
    """An exchange's way to keep books."""

    proof: Proof = Proof.SEQUENCE
    scope: Scope = Scope.INSTRUMENT
    window: BookWindow = BookWindow.EXACT

    def is_next(self, state: int | None, update: Orderbook) -> bool:
        """Return whether the update leads on from a state. It may repeat changes that the state contains already."""
        first = update.previous_sequence
        if self.proof is not Proof.RANGE or state is None or first is None or update.sequence is None:
            return first == state
        return first <= state < update.sequence

    def contains(self, state: int | None, update: Orderbook) -> bool:
        """Return whether a state contains all changes of the update for certain."""
        if self.proof not in _ONLY_GROWS or state is None or update.sequence is None:
            return False
        return update.sequence <= state


LINKED_BY_SEQUENCE = BookRule()
