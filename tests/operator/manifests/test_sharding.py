from hypothesis import given
from hypothesis import strategies as st

from market_operator.manifests.sharding import spread

SYMBOLS = st.lists(st.from_regex("[A-Z]{3,5}-USDT", fullmatch=True), min_size=1, max_size=60, unique=True)
MANY = [f"C{number}-USDT" for number in range(300)]


def home(groups: tuple[tuple[str, ...], ...]) -> dict[str, int]:
    return {symbol: shard for shard, group in enumerate(groups) for symbol in group}


@given(symbols=SYMBOLS, shards=st.integers(1, 64))
def test_every_symbol_has_one_shard_and_no_shard_is_needlessly_empty(symbols: list[str], shards: int) -> None:
    groups = spread(symbols, shards)
    assert sorted(symbol for group in groups for symbol in group) == sorted(symbols)
    assert sum(not group for group in groups) == max(0, shards - len(symbols))


@given(symbols=SYMBOLS, shards=st.integers(1, 64))
def test_order_of_the_symbols_changes_nothing(symbols: list[str], shards: int) -> None:
    assert spread(symbols, shards) == spread(sorted(symbols), shards)


def test_added_shard_moves_no_symbol_between_the_others() -> None:
    before, after = home(spread(MANY, 7)), home(spread(MANY, 8))
    moved = {symbol: shard for symbol, shard in after.items() if before[symbol] != shard}
    assert set(moved.values()) == {7}
    assert len(moved) < 2 * len(MANY) / 8


def test_added_symbol_changes_only_its_own_shard() -> None:
    before, after = spread(MANY, 8), spread([*MANY, "NEW-USDT"], 8)
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_the_symbols_are_spread_evenly() -> None:
    sizes = [len(group) for group in spread(MANY, 8)]
    assert min(sizes) > 20
    assert max(sizes) < 60
