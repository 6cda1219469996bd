"""The exchanges that this collector speaks with. One more is a package beside these and a function here."""

from collections.abc import Callable, Iterator, MutableMapping
from functools import cache

from market_collector.book.rule import BookWindow, Scope
from market_collector.exchanges.interface import Exchange
from market_spec.exchanges import CAPABILITIES

# Imported when they are used: a package takes 3 ms and 0.5 MB, and a collector speaks with one exchange.


@cache
def _okx() -> Exchange:
    from market_collector.exchanges.okx.exchange import Okx

    return Okx()


@cache
def _binance() -> Exchange:
    from market_collector.exchanges.binance.exchange import Binance

    return Binance()


@cache
def _bybit() -> Exchange:
    from market_collector.exchanges.bybit.exchange import Bybit

    return Bybit()


class _Exchanges(MutableMapping[str, Exchange]):
    """Exchanges by name, each loaded at its first use."""

    def __init__(self, loaders: dict[str, Callable[[], Exchange]]) -> None:
        self._loaders = loaders

    def __getitem__(self, name: str) -> Exchange:
        return self._loaders[name]()

    def __setitem__(self, name: str, exchange: Exchange) -> None:
        self._loaders[name] = lambda: exchange

    def __delitem__(self, name: str) -> None:
        del self._loaders[name]

    def __contains__(self, name: object) -> bool:
        return name in self._loaders

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)


EXCHANGES: MutableMapping[str, Exchange] = _Exchanges({"okx": _okx, "binance": _binance, "bybit": _bybit})


def has_dense_trade_ids(exchange: str) -> bool:
    """Whether each trade id of this exchange is one above the last. One that is not known counts as such."""
    return exchange not in EXCHANGES or EXCHANGES[exchange].has_dense_trade_ids


def has_own_numbers(exchange: str) -> bool:
    """Whether each collector numbers the states of this exchange's books itself."""
    return exchange in EXCHANGES and EXCHANGES[exchange].books.scope is Scope.CONNECTION


def has_own_books(exchange: str) -> bool:
    """Whether the books of two collectors differ: in their numbers, or in the prices of which they know all levels."""
    is_ranged = exchange in EXCHANGES and EXCHANGES[exchange].books.window is BookWindow.KNOWN_RANGE
    return is_ranged or has_own_numbers(exchange)


def is_partial(exchange: str, data_type: str) -> bool:
    """Whether an exchange reports only a part of its data of a type."""
    return exchange in CAPABILITIES and data_type in CAPABILITIES[exchange].partial_types
