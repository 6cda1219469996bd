"""Updates that are kept for later. Their levels are packed as JSON, like those of a `Side`."""

import msgspec
from msgspec import structs

from market_collector.model.events import Level, Orderbook

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(tuple[list[Level], list[Level]]).decode


class PackedUpdate(msgspec.Struct, frozen=True, gc=False):
    """An update of a book. A level takes 30 bytes, and 160 in an `Orderbook`."""

    head: Orderbook
    """The update without its levels."""
    levels: bytes

    def unpack(self) -> Orderbook:
        """Return the whole update."""
        bids, asks = _decode(self.levels)
        return structs.replace(self.head, bids=bids, asks=asks)


def pack(update: Orderbook) -> PackedUpdate:
    """Pack the levels of an update."""
    return PackedUpdate(structs.replace(update, bids=[], asks=[]), _encode((update.bids, update.asks)))
