"""The search for the next id that history has: progress, proof, and contradictions."""

from hypothesis import given
from hypothesis import strategies as st

from market_collector.feed.history_search import HistorySearch

PAGE = 100


def test_neighbours_on_one_page_end_the_search() -> None:
    search = HistorySearch(1_001, PAGE, low=1_101)
    assert search.next_page(1_000_000) == 1_000_001
    search.take(1_000_001, [998, 999, 1_000, 1_000_001], reaches_back=True)
    assert (search.is_found, search.high) == (True, 1_000_001)
    assert search.next_page(1_000_000) == 1_000_001


def test_full_page_above_the_missing_ids_halves_the_range() -> None:
    search = HistorySearch(1_001, PAGE, low=1_101)
    search.take(10_000, range(9_901, 10_001), reaches_back=False)
    assert (search.is_found, search.next_page(9_999)) == (False, (1_101 + 9_901) // 2)


def test_page_without_the_id_above_proves_nothing() -> None:
    search = HistorySearch(1_001, PAGE, low=1_101)
    search.take(10_000, [999, 1_000], reaches_back=True)
    assert (search.is_blind, search.is_found, search.is_contradicted) == (True, False, False)


def test_id_that_vanishes_again_restarts_the_search() -> None:
    search = HistorySearch(1_001, PAGE, low=1_101)
    search.take(10_000, [1_000, 10_000], reaches_back=True)
    search.take(10_000, [1_000], reaches_back=True)
    assert (search.is_contradicted, search.is_found, search.next_page(9_999)) == (True, False, 10_000)


@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(0, 2_000))
def test_search_takes_logarithmic_time(first: int, distance: int, above: int) -> None:
    """For any distance to the next id, any number of ids above it, and a history that starts with it."""
    there = range(first + PAGE + distance, first + PAGE + distance + above + 1)
    search = HistorySearch(first, PAGE, low=first + PAGE)
    for _ in range(60):
        end = search.next_page(there[-1] - 1)
        page = there[: max(0, end + 1 - there.start)][-PAGE:]
        search.take(end, page, reaches_back=len(page) < PAGE)
        if search.is_found:
            break
    assert search.high == there.start
