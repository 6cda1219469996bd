"""Statistics of paired rounds."""

from bench.rounds import Pair, Spread, paired, share, spread, times_faster
from hypothesis import given
from hypothesis import strategies as st

POSITIVE = st.floats(0.001, 1_000.0)


def test_median_of_an_even_number_of_rounds_is_between_the_middle_two() -> None:
    assert spread([4.0, 1.0, 3.0, 2.0]) == Spread(2.5, 1.0, 4.0)


def test_one_round_is_its_own_median() -> None:
    assert spread([3.0]) == Spread(3.0, 3.0, 3.0)


def test_ratios_are_taken_round_by_round_and_not_of_medians() -> None:
    pairs = [Pair(1.0, 6.0), Pair(2.0, 8.0), Pair(10.0, 20.0)]
    assert times_faster(pairs) == Spread(4.0, 2.0, 6.0)  # of the medians it would also be 4, of the sums 2.6
    pairs = [Pair(1.0, 2.0), Pair(3.0, 30.0), Pair(9.0, 9.0)]
    assert times_faster(pairs).median == 2.0  # of the medians: 3


@given(st.lists(st.builds(Pair, POSITIVE, POSITIVE), min_size=1, max_size=15), st.floats(0.5, 2.0))
def test_disturbance_of_both_sides_of_a_round_keeps_the_ratio(pairs: list[Pair], factor: float) -> None:
    disturbed = [Pair(pairs[0].ours * factor, pairs[0].peer * factor), *pairs[1:]]
    for ratio in (times_faster, share):
        assert abs(ratio(disturbed).median / ratio(pairs).median - 1) < 1e-9


def test_ratios_show_faster_and_smaller_sides() -> None:
    assert times_faster([Pair(ours=10.0, peer=60.0)]).median == 6.0
    assert share([Pair(ours=10.0, peer=40.0)]).median == 0.25


def test_sides_take_turns_and_the_first_side_alternates() -> None:
    order: list[str] = []

    def side(name: str, value: float) -> float:
        order.append(name)
        return value

    pairs = paired(3, lambda: side("ours", 1.0), lambda: side("peer", 2.0))
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert pairs == [Pair(1.0, 2.0)] * 3


def test_document_has_four_significant_digits() -> None:
    assert Spread(12.345678, 0.00012345678, 123456.0).document() == {"median": 12.35, "min": 0.0001235, "max": 123500.0}
