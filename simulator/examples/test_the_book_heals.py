"""Example 3: a client never shows a wrong book, whatever fault affects its stream."""

from itertools import islice

import pytest

from conftest import Exchange
from plain_client import BookClient

FAULTS = {
    "lose": {"count": 1},
    "reorder": {"count": 2},
    "duplicate": {"count": 1},
    "sequence-reset": {},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_book_is_the_exchanges_at_every_sequence(okx: Exchange, fault: str) -> None:
    client = BookClient(okx.listen, "BTC-USDT")
    stream = {} if fault == "sequence-reset" else {"channel": "books"}
    for place, book in enumerate(islice(client.states(), 3_000)):
        if place > 150 and (client.resyncs or fault == "sequence-reset"):
            break  # a slow client still reads states from before the fault
        if place == 20:
            okx.fault(fault, symbol="BTC-USDT", **stream, **FAULTS[fault])
        (truth,) = okx.get(f"/truth/book?symbol=BTC-USDT&sequence={book.sequence}")
        assert book.sides == {side: dict(truth[side]) for side in ("bids", "asks")}
    assert client.resyncs == (0 if fault == "sequence-reset" else 1)  # a restart of the numbers is not a gap
