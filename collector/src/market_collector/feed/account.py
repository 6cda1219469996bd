"""Balances of an account, without repetitions.

Several connections, periodic snapshots and a rolling update's overlap deliver the same states. Each is emitted once.
"""

from collections.abc import Iterator

from market_collector.exchanges.interface import AccountUpdate
from market_collector.model.events import Balance

LastBalances = dict[str, Balance]
"""By asset, the balance emitted last."""


def changed_balances(last: LastBalances, update: AccountUpdate, receive_time_ns: int) -> list[Balance]:
    """Return the balances that changed, in the message's order, and store them in ``last``.

    An asset that a complete account does not list is no longer held: it is returned with all amounts "0".
    """
    changed = [balance for balance in update.balances if is_changed(last.get(balance.asset), balance)]
    changed += _unlisted(last, update, receive_time_ns) if update.is_whole else ()
    last.update((balance.asset, balance) for balance in changed)
    return changed


def is_changed(known: Balance | None, update: Balance) -> bool:
    """Return whether a balance has other amounts than the last one of its asset, and is not older."""
    if known is None:
        return True
    return (update.exchange_time_ns or 0) >= (known.exchange_time_ns or 0) and _amounts(update) != _amounts(known)


def _unlisted(last: LastBalances, update: AccountUpdate, receive_time_ns: int) -> Iterator[Balance]:
    listed = {balance.asset for balance in update.balances}
    for asset, known in last.items():
        is_newer = (known.exchange_time_ns or 0) > update.time_ns  # an update that overtook the list
        if asset not in listed and known.total != "0" and not is_newer:
            yield Balance(known.exchange, known.symbol, update.time_ns, receive_time_ns, asset, "0", "0", "0")


def _amounts(balance: Balance) -> tuple[str | None, ...]:
    return balance.total, balance.available, balance.locked
