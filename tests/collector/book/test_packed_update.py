"""Updates that are kept for later."""

import msgspec

from imaginary_books import change
from market_collector.book.packed_update import pack
from market_collector.model.events import Orderbook
from traced_memory import kept_bytes

UPDATE = change(7, 9, {"5.10": "1.50", "4": "0"}, {"6": "2"}, checksum=-3)


def test_unpacked_update_equals_the_packed_one() -> None:
    assert pack(UPDATE).unpack() == UPDATE
    assert pack(change(7, 9, {})).unpack() == change(7, 9, {})


def test_head_has_everything_but_the_levels() -> None:
    assert pack(UPDATE).head == change(7, 9, {}, checksum=-3)


def test_packed_update_takes_a_third_of_the_memory() -> None:
    frame = msgspec.json.encode(change(1, 2, {f"{price}.12000000": "12.34567800" for price in range(10_000, 10_500)}))
    whole = kept_bytes(lambda: msgspec.json.decode(frame, type=Orderbook))
    assert kept_bytes(lambda: pack(msgspec.json.decode(frame, type=Orderbook))) < whole / 3
