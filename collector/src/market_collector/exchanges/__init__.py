"""The exchanges that this collector speaks with. One more is a package beside these and one line here."""

from market_collector.book.rule import BookWindow, Scope
from market_collector.exchanges.binance.exchange import Binance
from market_collector.exchanges.interface import Exchange
from market_collector.exchanges.okx.exchange import Okx
from market_spec.exchanges import CAPABILITIES

EXCHANGES: dict[str, Exchange] = {exchange.name: exchange for exchange in (Okx(), Binance())}


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
