import time

import pytest

from market_operator.resource.naming import Key
from market_operator.scheduling.turns import Turns

A, B, C, OTHER = Key("md", "a"), Key("md", "b"), Key("md", "c"), Key("next-door", "a")


def turns(*keys: Key) -> Turns:
    found = Turns()
    for since, key in enumerate(keys):
        found.add(key, float(since))
    return found


def drain(waiting: Turns) -> list[Key]:
    return [found[0] for _ in range(len(waiting)) if (found := waiting.take())]


def test_namespaces_take_turns_and_keep_the_order_within() -> None:
    assert drain(turns(A, B, C, OTHER)) == [A, OTHER, B, C]


def test_namespace_that_comes_back_has_the_last_turn() -> None:
    waiting = turns(A, OTHER)
    assert waiting.take() == (A, 0.0)
    waiting.add(A, 2.0)
    assert drain(waiting) == [OTHER, A]
    assert waiting.take() is None


def test_key_that_may_not_go_keeps_its_turn() -> None:
    waiting = turns(A, B, OTHER)
    assert waiting.take(is_open=lambda namespace: namespace != "md") == (OTHER, 2.0)
    assert waiting.take(may_go=lambda key: key != A) == (B, 1.0)
    assert waiting.take(may_go=lambda key: key != A) is None
    assert drain(waiting) == [A]


def test_removed_key_has_no_turn() -> None:
    waiting = turns(A, OTHER)
    assert waiting.pop(A) == 0.0
    assert (A in waiting, OTHER in waiting, len(waiting)) == (False, True, 1)
    assert waiting.oldest() == (OTHER, 1.0)


def test_ahead_counts_the_turns_of_all_namespaces() -> None:
    waiting = turns(A, B, C)
    assert [waiting.ahead(key) for key in (A, B, C)] == [0, 1, 2]
    waiting.add(OTHER, 3.0)
    assert [waiting.ahead(key) for key in (A, B, C, OTHER)] == [1, 3, 3, 1]
    waiting.pop(A)
    assert waiting.ahead(B) == 1


@pytest.mark.parametrize("namespaces", [1, 10_000])
def test_turns_take_constant_time(namespaces: int) -> None:
    """10,000 keys and 100 keys cost about the same each."""

    def seconds_each(count: int) -> float:
        keys = [Key(f"n{number % namespaces}", str(number)) for number in range(count)]
        start = time.process_time()
        for _ in range(10_000 // count):
            waiting = turns(*keys)
            assert len(drain(waiting)) == count
        return time.process_time() - start

    assert min(seconds_each(10_000) for _ in range(3)) < 10 * min(seconds_each(100) for _ in range(3))
