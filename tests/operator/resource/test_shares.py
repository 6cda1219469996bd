from collections import Counter

from market_operator.resource.shares import Shares


def taken(shares: Shares, namespace: str, size: int = 1) -> int:
    """Takes as much as a namespace may, in pieces."""
    count = 0
    while shares.may_take(namespace, size):
        shares.take(namespace, size)
        count += size
    return count


def test_one_namespace_gets_half() -> None:
    assert taken(Shares(100), "noisy") == 50


def test_a_further_namespace_finds_some() -> None:
    shares = Shares(128)
    assert [taken(shares, name) for name in ("a", "b", "c", "d")] == [64, 32, 16, 8]


def test_released_bytes_are_free_again() -> None:
    shares = Shares(100)
    taken(shares, "noisy")
    shares.release("noisy", 40)
    assert taken(shares, "next-door") == 45
    shares.release("noisy", 10)
    assert shares == Shares(100, Counter({"next-door": 45}))


def test_a_piece_larger_than_half_fits_while_nothing_is_taken() -> None:
    shares = Shares(100)
    assert taken(shares, "a", 90) == 90
    assert not shares.may_take("a", 20)
