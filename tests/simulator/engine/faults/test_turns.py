from market_simulator.engine.events import Key
from market_simulator.engine.faults.turns import Stream, Turns


def acted(turns: Turns, occasions: int, now: float = 0.0) -> list[int]:
    """The occasions on which the fault acts."""
    return [place for place in range(occasions) if turns.comes(now)]


def test_fault_acts_left_times_after_the_skipped_occasions() -> None:
    turns = Turns(left=3, after=2)
    assert acted(turns, 10) == [2, 3, 4]
    assert turns.is_over(0.0)


def test_fault_acts_until_its_end_without_a_count() -> None:
    turns = Turns(until=5.0)
    assert [turns.comes(now) for now in (0.0, 4.9, 5.0)] == [True, True, False]
    assert [turns.is_over(now) for now in (4.9, 5.0)] == [False, True]


def test_the_same_seed_gives_the_same_chance_and_another_one_another() -> None:
    one, same, other = (acted(Turns(chance=0.5, seed=seed), 100) for seed in ("7", "7", "8"))
    assert one == same != other
    assert 30 < len(one) < 70


def test_occasion_without_action_by_chance_uses_no_turn() -> None:
    turns = Turns(left=5, chance=0.1)
    assert len(acted(turns, 1000)) == 5


def test_stream_is_selected_by_channel_symbol_both_or_neither() -> None:
    key = Key("trades", "A-B")
    assert all(Stream(*named).has(key) for named in (("trades", "A-B"), ("trades", None), (None, "A-B"), (None, None)))
    assert not any(Stream(*named).has(key) for named in (("books", "A-B"), ("trades", "C-D"), (None, "C-D")))


def test_message_without_a_stream_is_selected_only_with_all_streams() -> None:
    assert Stream().has(None)
    assert not Stream("trades").has(None)
