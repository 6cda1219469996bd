"""The range of prices in which a snapshot shows every level."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import structs

from market_collector.model.events import Level, Orderbook


class TextRange(NamedTuple):
    """The ends of a range as the exchange writes them, to show that a price lies within without converting it.

    Of two plain decimals with the point at the same place, the greater number has the greater text.
    """

    bid_point: int
    """Place of the decimal point in `lowest_bid`."""
    lowest_bid: str
    ask_point: int
    highest_ask: str


class KnownRange(msgspec.Struct, frozen=True):
    """Prices from the worst bid to the worst ask of a snapshot; infinite where a side is known as a whole."""

    lowest_bid: float = float("-inf")
    highest_ask: float = float("inf")
    texts: TextRange | None = None
    """The ends as strings, if both have a decimal point."""

    def cut(self, update: Orderbook) -> Orderbook:
        """Return the update without the levels beyond the range: nobody knows what lies between."""
        lowest, highest = self.lowest_bid, self.highest_ask
        if lowest == float("-inf") and highest == float("inf"):
            return update
        bids = [level for level in update.bids if float(level.price) >= lowest]
        asks = [level for level in update.asks if float(level.price) <= highest]
        if len(bids) == len(update.bids) and len(asks) == len(update.asks):
            return update
        return structs.replace(update, bids=bids, asks=asks)

    def is_short(self, bids: int, asks: int, wanted: int) -> bool:
        """Return whether a limited side has fewer levels than are wanted."""
        return (bids < wanted and self.lowest_bid > float("-inf")) or (
            asks < wanted and self.highest_ask < float("inf")
        )


WHOLE_BOOK = KnownRange()


def known_range(snapshot: Orderbook) -> KnownRange:
    """Return the range of a snapshot that was requested with its ``depth``. A side with fewer levels is complete."""
    depth = snapshot.depth
    if depth is None:
        return WHOLE_BOOK
    bid = min(_full(snapshot.bids, depth), key=float, default="-inf")
    ask = max(_full(snapshot.asks, depth), key=float, default="inf")
    return KnownRange(float(bid), float(ask), _texts(bid, ask))


def _full(levels: Sequence[Level], depth: int) -> list[str]:
    return [level.price for level in levels] if len(levels) >= depth else []


def _texts(bid: str, ask: str) -> TextRange | None:
    bid_point, ask_point = bid.find("."), ask.find(".")
    return TextRange(bid_point, bid, ask_point, ask) if bid_point > 0 and ask_point > 0 else None
