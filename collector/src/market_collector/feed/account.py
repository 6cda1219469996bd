"""What an account holds, and what of a message about it is news.

Every connection, a periodic repetition and a roll-out's overlap tell the same states: each is passed on once.
"""

from collections.abc import Iterator

from market_collector.exchanges.interface import AccountUpdate
from market_collector.model.events import Balance

Held = dict[str, Balance]
"""By asset: what was passed on last."""


def news(held: Held, told: AccountUpdate, receive_time_ns: int) -> list[Balance]:
    """What is new in a message, in its order; changes ``held``.

    An asset that a whole account does not list is not held any more, and is said to be zero.
    """
    fresh = [balance for balance in told.balances if _is_news(held.get(balance.asset), balance)]
    fresh += _gone(held, told, receive_time_ns) if told.is_whole else ()
    held.update((balance.asset, balance) for balance in fresh)
    return fresh


def _is_news(known: Balance | None, told: Balance) -> bool:
    if known is None:
        return True
    return (told.exchange_time_ns or 0) >= (known.exchange_time_ns or 0) and _amounts(told) != _amounts(known)


def _gone(held: Held, told: AccountUpdate, receive_time_ns: int) -> Iterator[Balance]:
    listed = {balance.asset for balance in told.balances}
    for asset, known in held.items():
        is_older = (known.exchange_time_ns or 0) > told.time_ns  # an update that overtook the list
        if asset not in listed and known.total != "0" and not is_older:
            yield Balance(known.exchange, known.symbol, told.time_ns, receive_time_ns, asset, "0", "0", "0")


def _amounts(balance: Balance) -> tuple[str | None, ...]:
    return balance.total, balance.available, balance.locked
