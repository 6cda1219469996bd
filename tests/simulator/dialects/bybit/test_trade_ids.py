import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from market_simulator.dialects.bybit.trade_ids import dense, trade_id


@given(st.integers(1, 10**12), st.sampled_from(["BTC-USDT", "BTC-USDT-PERP", "ETH-USDT-PERP"]))
def test_ids_are_read_back(number: int, symbol: str) -> None:
    assert dense(trade_id(symbol, number)) == number


def test_spot_ids_rise_with_jumps() -> None:
    ids = [int(trade_id("BTC-USDT", number)) for number in range(1_000, 3_000)]
    steps = {after - before for before, after in pairwise(ids)}
    assert len(str(ids[0])) == 19
    assert min(steps) >= 1
    assert max(steps) > 16
    assert str(ids[0])[:3] != trade_id("ETH-USDT", 1_000)[:3]


def test_linear_ids_are_uuids_in_no_order() -> None:
    ids = [trade_id("BTC-USDT-PERP", number) for number in range(1_000, 3_000)]
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", i) for i in ids)
    assert len(set(ids)) == 2_000
    assert ids != sorted(ids)
    assert not set(ids) & {trade_id("ETH-USDT-PERP", number) for number in range(1_000, 3_000)}
