import json

from market_simulator.dialects.okx.protocol import Path
from market_simulator.dialects.okx.words import WORDS
from market_simulator.engine.events import Key
from market_simulator.engine.faults import Faults, described, name
from market_simulator.engine.faults.connections import HalfOpen, Refuse, SlowWrite, Stage
from market_simulator.engine.faults.messages import (
    Corrupt,
    Cut,
    Damage,
    Duplicate,
    Kind,
    Lose,
    Outgoing,
    Reorder,
    Silence,
    Skew,
    Truncate,
)  # fmt: skip
from market_simulator.engine.faults.turns import Stream, Turns

KEY = Key("trades-all", "A-B")


def push(trade_id: int = 1) -> Outgoing:
    return Outgoing(Kind.PUSH, KEY, f'{{"data":[{{"tradeId":"{trade_id}","px":"1","ts":"5"}}]}}')


def faults(*given: object) -> Faults:
    made = Faults(WORDS)
    for fault in given:
        made.add(fault)  # type: ignore[arg-type]
    return made


def swallowed(made: Faults) -> list[tuple[str, int]]:
    return [(row["fault"], row["firstTradeId"]) for row in made.swallowed.rows(Stream())]


def test_without_faults_everything_passes() -> None:
    assert Faults(WORDS).outgoing(0.0, push()) == (push(),)
    assert Faults(WORDS).next(Refuse, 0.0) is None


def test_faults_add_up_and_can_be_ended() -> None:
    made = faults(
        Lose(Stream("trades-all"), Turns(1)), Lose(Stream("trades-all"), Turns(1)), Silence(Stream("books"), Turns())
    )
    assert [made.outgoing(0.0, push()) for _ in range(3)] == [(), (), (push(),)]
    assert [name(fault) for fault in made.end()] == ["silence"]
    assert made.in_force(0.0) == []


def test_faults_of_one_kind_can_be_ended() -> None:
    made = faults(Lose(Stream(), Turns(1)), Refuse(None, Turns(1), 503))
    assert len(made.end("lose")) == 1
    assert [name(fault) for fault in made.in_force(0.0)] == ["refuse"]


def test_lost_message_is_not_duplicated_in_any_order_of_requests() -> None:
    made = faults(Duplicate(Stream(), Turns(1)), Lose(Stream(), Turns(1)))
    assert [made.outgoing(0.0, push()) for _ in range(2)] == [(), (push(), push())]


def test_ledger_lists_exactly_the_unreadable_messages() -> None:
    made = faults(
        Lose(Stream(), Turns(1)),
        Corrupt(Stream(), Turns(2), Damage.JSON, WORDS),
        Truncate(Stream(), Turns(1, after=1), Cut.TEXT),
        Duplicate(Stream(), Turns(1)),
        Skew(Turns(), 1.0, WORDS),
    )
    for trade_id in range(1, 7):
        made.outgoing(0.0, push(trade_id))
    assert swallowed(made) == [("lose", 1), ("corrupt", 2), ("corrupt", 3)]  # the third was truncated as well
    made.outgoing(0.0, Outgoing(Kind.PRESENT, KEY, "not a push"))
    assert len(swallowed(made)) == 3


def test_message_can_be_lost_for_one_connection() -> None:
    made = faults(Lose(Stream("trades-all"), Turns(2), "one"))
    assert made.outgoing(0.0, push(1)) == (push(1),)
    kept = [made.keeps_from(name, 0.0, push(number)) for number in (1, 2, 3) for name in ("one", "two")]
    assert kept == [True, False, True, False, False, False]
    rows = made.swallowed.rows(Stream())
    assert [(row["connection"], row["firstTradeId"]) for row in rows] == [("one", 1), ("one", 2)]


def test_held_messages_are_sent_when_the_fault_ends() -> None:
    made = faults(Reorder(Stream(), Turns(3)))
    assert made.outgoing(0.0, push(1)) == made.outgoing(0.0, push(2)) == ()
    (ended,) = made.end()
    assert isinstance(ended, Reorder)
    assert ended.held == [push(1), push(2)]
    assert swallowed(made) == []


def test_expired_reordering_stays_until_it_releases_messages() -> None:
    made = faults(Reorder(Stream(), Turns(3, until=1.0)))
    made.outgoing(0.0, push(1))
    assert made.outgoing(2.0, push(2)) == (push(1), push(2))
    assert made.in_force(2.0) == []


def test_first_matching_fault_uses_a_turn() -> None:
    business, any_path = Refuse(Path.BUSINESS, Turns(1), 429), Refuse(None, Turns(2), 503)
    made = faults(business, any_path)

    def status(path: Path) -> int | None:
        fault = made.next(Refuse, 0.0, lambda fault: fault.path in (None, path))
        return fault.status if fault else None

    assert [status(path) for path in (Path.PUBLIC, Path.BUSINESS, Path.BUSINESS, Path.PUBLIC)] == [503, 429, 503, None]


def test_only_silence_on_all_streams_is_silencing_all() -> None:
    assert faults(Silence(Stream(), Turns(until=1.0))).is_silencing_all(0.9)
    assert not faults(Silence(Stream(), Turns(until=1.0))).is_silencing_all(1.0)
    assert not faults(Silence(Stream("books"), Turns(until=1.0))).is_silencing_all(0.9)


def test_faults_are_described_in_json() -> None:
    row = described(Corrupt(Stream("books"), Turns(2, until=10.0), Damage.VALUE, WORDS), 4.0)
    assert row == {
        "fault": "corrupt", "channel": "books", "symbol": None, "count": 2, "seconds": 6.0, "after": 0, "chance": 1.0,
        "damage": "value",
    }  # fmt: skip
    assert described(HalfOpen(Stage.ESTABLISHED, None, Turns(), frozenset({"b", "a"})), 0.0)["connections"] == [
        "a",
        "b",
    ]
    assert described(Reorder(Stream(), Turns(3), [push()]), 0.0)["held"] == 1
    assert json.dumps(described(SlowWrite(Path.PUBLIC, Turns(), 5.0), 0.0))
