"""Messages about the connection or the market as a whole: lost messages, halts, and kinds of an unknown future."""

from collections.abc import Sequence

import pytest

from feed_life import emitted, reconnects
from imaginary_exchange import ImaginaryExchange
from imaginary_life import ImaginaryLife, at, sent
from imaginary_server import trades
from market_collector.feed.effects import Effect, Warn
from market_collector.model.events import Balance, Gap, Orderbook, Resync, Trade
from market_collector.model.streams import ACCOUNT, DataType, Stream, StreamState

TRADES, OTHER = trades("A-B", "C-D")
BOOKS = [Stream(symbol, DataType.ORDERBOOK) for symbol in ("A-B", "C-D")]
BALANCES = Stream(ACCOUNT, DataType.BALANCE)
LOST = {"lost": "sequence_num 7 after 5"}


def warnings(effects: Sequence[Effect]) -> list[str]:
    return [effect.message for effect in effects if isinstance(effect, Warn)]


def life_with_books() -> ImaginaryLife:
    life = ImaginaryLife(ImaginaryExchange(), *BOOKS, TRADES)
    life.is_acked(*BOOKS, TRADES)
    for symbol in ("A-B", "C-D"):
        life.gets({"book": symbol, "number": 5, "previous": None}, 1)
    return life


def test_every_book_of_the_connection_is_out_of_sync_after_a_loss() -> None:
    life = life_with_books()
    effects = life.gets(LOST, 2)
    resyncs = [record for record in emitted(effects) if isinstance(record, Resync)]
    assert {(record.symbol, record.reason, record.detail) for record in resyncs} == {
        ("A-B", "SequenceGap", LOST["lost"]),
        ("C-D", "SequenceGap", LOST["lost"]),
    }
    assert len([record for record in emitted(effects) if isinstance(record, Gap)]) == 2
    requests = [(request["op"], request["streams"]) for request in sent(effects)]
    assert requests == [(verb, list(map(str, BOOKS))) for verb in ("unsubscribe", "subscribe")], "together"
    assert reconnects(effects) == []
    assert emitted(life.gets({"book": "A-B", "number": 6, "previous": 5}, 2)) == []
    life.gets({"book": "A-B", "number": 9, "previous": None}, 3)
    (update,) = emitted(life.gets({"book": "A-B", "number": 10, "previous": 9}, 3))
    assert isinstance(update, Orderbook)


def test_trades_go_on_after_a_loss_and_their_ids_show_the_gap() -> None:
    life = life_with_books()
    life.gets({"trade": "A-B", "id": 1}, 1)
    life.gets(LOST, 2)
    (trade,) = emitted(life.gets({"trade": "A-B", "id": 2}, 2))
    assert isinstance(trade, Trade)


def test_account_is_requested_again_after_a_loss() -> None:
    life = ImaginaryLife(ImaginaryExchange(), BALANCES)
    life.is_acked(BALANCES)
    (balance,) = emitted(life.gets({"balances": ["BTC"]}, 1))
    assert isinstance(balance, Balance)
    assert [request["op"] for request in sent(life.gets(LOST, 2))] == ["unsubscribe", "subscribe"]
    assert sent(life.gets(LOST, 2)) == [], "requested already"


@pytest.mark.parametrize("stream", [BOOKS[0], BALANCES], ids=str)
def test_awaited_snapshot_is_requested_again_after_a_loss(stream: Stream) -> None:
    """The lost message may have been the snapshot; without a new request the connection would end."""
    life = ImaginaryLife(ImaginaryExchange(), stream)
    life.is_acked(stream)
    assert sent(life.gets(LOST, 2)) == []
    assert [request["op"] for request in sent(life.feed.woken(at(7.5)))] == ["unsubscribe", "subscribe"]


def test_losses_in_a_row_are_one_warning() -> None:
    life = ImaginaryLife(ImaginaryExchange(), TRADES)
    life.is_acked(TRADES)
    assert warnings(life.gets(LOST, 2)) == [f"all: messages lost: {LOST['lost']}"]
    assert warnings(life.gets(LOST, 3)) == []


def test_halt_names_the_state_of_a_quiet_instrument() -> None:
    life = ImaginaryLife(ImaginaryExchange(), TRADES, OTHER)
    life.is_acked(TRADES, OTHER)
    for stream in (TRADES, OTHER):
        life.ledger.confirm(life.ledger.streams[stream], at(1))
    life.gets({"halt": "auction", "symbols": ["A-B"]}, 2)
    states = {stream: progress.reason for stream, progress in life.ledger.streams.items()}
    assert states == {TRADES: "NotTrading", OTHER: "QuietMarket"}
    assert life.ledger.streams[TRADES].state is StreamState.QUIET
    assert "auction" in life.ledger.streams[TRADES].message


def test_halt_of_the_exchange_holds_for_all_until_it_trades_again() -> None:
    life = ImaginaryLife(ImaginaryExchange(), TRADES, OTHER)
    life.is_acked(TRADES, OTHER)
    for stream in (TRADES, OTHER):
        life.ledger.confirm(life.ledger.streams[stream], at(1))
    life.gets({"halt": "maintenance", "symbols": None}, 2)
    assert {progress.reason for progress in life.ledger.streams.values()} == {"NotTrading"}
    life.gets({"halt": "", "symbols": None}, 3)
    assert {progress.reason for progress in life.ledger.streams.values()} == {"QuietMarket"}


def test_frames_of_an_unknown_kind_are_counted_and_ignored() -> None:
    life = ImaginaryLife(ImaginaryExchange(), TRADES)
    life.is_acked(TRADES)
    assert warnings(life.gets({"new": "party\n" * 20}, 1)) == [
        f"all: ignored a frame of the unknown kind {('party' + chr(10)) * 10!r}"
    ]
    for second in range(2, 32):
        effects = life.gets({"new": "party"}, second)
        assert (warnings(effects), reconnects(effects)) == ([], [])
    (warning,) = warnings(life.gets({"new": "party"}, 62))
    assert warning == "all: ignored a frame of the unknown kind 'party' (30 more since the last warning)"
    assert life.ledger.unreadable_frames == 0
