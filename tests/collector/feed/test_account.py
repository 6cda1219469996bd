from collections.abc import Sequence

from market_collector.exchanges.interface import AccountUpdate
from market_collector.feed.account import LastBalances, changed_balances
from market_collector.model.events import Balance
from market_collector.model.streams import ACCOUNT, DataType, Stream

STREAM = Stream(ACCOUNT, DataType.BALANCE)
SECOND = 1_000_000_000


def balance(asset: str, total: str, second: int) -> Balance:
    return Balance("okx", ACCOUNT, second * SECOND, 1, asset, total, total, "0")


def update(*balances: Balance, second: int = 100, is_whole: bool = False) -> AccountUpdate:
    return AccountUpdate(STREAM, balances, second * SECOND, is_whole)


def amounts(fresh: Sequence[Balance]) -> list[tuple[str, str | None]]:
    return [(each.asset, each.total) for each in fresh]


def test_unchanged_balance_is_not_emitted_again() -> None:
    last: LastBalances = {}
    snapshot = update(balance("BTC", "1", 5), balance("USDT", "9", 5), is_whole=True)
    assert amounts(changed_balances(last, snapshot, 1)) == [("BTC", "1"), ("USDT", "9")]
    assert changed_balances(last, snapshot, 2) == []
    assert changed_balances(last, update(balance("BTC", "1", 6)), 3) == [], "a new time is no change"
    assert amounts(changed_balances(last, update(balance("BTC", "2", 7)), 4)) == [("BTC", "2")]


def test_later_state_wins_when_two_connections_overlap() -> None:
    last: LastBalances = {}
    changed_balances(last, update(balance("BTC", "2", 7)), 1)
    assert changed_balances(last, update(balance("BTC", "1", 6)), 2) == []
    assert last["BTC"].total == "2"
    assert amounts(changed_balances(last, update(balance("BTC", "3", 7)), 3)) == [("BTC", "3")], (
        "two changes within a millisecond"
    )


def test_asset_becomes_zero_when_a_snapshot_does_not_list_it() -> None:
    last: LastBalances = {}
    changed_balances(last, update(balance("BTC", "1", 5), balance("ETH", "2", 5), is_whole=True), 1)
    snapshot = update(balance("BTC", "1", 5), second=100, is_whole=True)
    (gone,) = changed_balances(last, snapshot, 9)
    assert (gone.asset, gone.total, gone.available, gone.locked) == ("ETH", "0", "0", "0")
    assert (gone.exchange_time_ns, gone.receive_time_ns) == (100 * SECOND, 9)
    assert changed_balances(last, snapshot, 10) == [], "emitted once"


def test_update_leaves_unlisted_assets_unchanged() -> None:
    last: LastBalances = {}
    changed_balances(last, update(balance("BTC", "1", 5), balance("ETH", "2", 5), is_whole=True), 1)
    assert amounts(changed_balances(last, update(balance("ETH", "3", 6)), 2)) == [("ETH", "3")]


def test_balance_is_kept_when_a_snapshot_is_older() -> None:
    last: LastBalances = {}
    changed_balances(last, update(balance("ETH", "2", 50)), 1)
    assert changed_balances(last, update(second=40, is_whole=True), 2) == []
