"""Capabilities of the exchanges, as far as the spec depends on them.

To add an exchange, add its entry to CAPABILITIES.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from market_spec.kinds import Findings, OneOf, Text
from market_spec.messages import Path, listed, shown
from market_spec.names import FUTURE, KINDS, MAX_LENGTH, PATTERN, PERP, PERPETUAL, SPOT, Name, parsed

INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w")


class Capabilities(msgspec.Struct, frozen=True):
    """Capabilities of one exchange."""

    data_types: tuple[str, ...]
    depths: tuple[int, ...]
    """Depths of its order book channel, levels per side, the default one first."""
    intervals: tuple[str, ...] = INTERVALS
    """Lengths of its candles."""
    kinds: tuple[str, ...] = (SPOT,)
    """Kinds of its instruments, of `names.KINDS`."""
    inverse_quotes: tuple[str, ...] = ()
    """Quotes of contracts that are settled in their base. Others are settled in their quote."""
    partial_types: tuple[str, ...] = ()
    """Data types of which the exchange reports only a part, such as the largest liquidation in a second."""
    websocket_port: int = 443
    """Of its own WebSocket address."""
    rest_port: int = 443
    """Of its own REST address."""

    def canonical(self, name: Name) -> Name:
        """The name with the asset that settles it on this exchange."""
        settlement = name.base if name.quote in self.inverse_quotes else name.quote
        return name if name.kind == SPOT else Name.contract(name.base, name.quote, name.expiry, settlement)

    @property
    def default_depth(self) -> int:
        """The depth that is collected where none is given."""
        return self.depths[0]


ACCOUNT, BALANCE = "account", "balance"
"""The stream of the account is called account/balance."""
QUOTE = "quote"
"""Quotes are made from order books, so they have no stream of their own."""
COMMON_TYPES = ("trade", "orderbook", "ticker", "candle", QUOTE, BALANCE)
KINDS_OF_TYPES = {
    "funding": (PERPETUAL,),
    "markprice": (PERPETUAL, FUTURE),
    "openinterest": (PERPETUAL, FUTURE),
    "liquidation": (PERPETUAL, FUTURE),
}
"""Kinds of the instruments that have data of a type, for types that not every kind has."""
DATA_TYPES = (*COMMON_TYPES, *KINDS_OF_TYPES)
CAPABILITIES = {
    "okx": Capabilities(
        data_types=DATA_TYPES,
        partial_types=("liquidation",),
        depths=(400,),
        kinds=KINDS,
        inverse_quotes=("USD",),
        websocket_port=8443,
    ),
    "binance": Capabilities(
        data_types=DATA_TYPES,
        partial_types=("liquidation",),
        depths=(500, 20, 50, 100, 1000),
        kinds=(SPOT, PERPETUAL),
        websocket_port=9443,
    ),
    "bybit": Capabilities(
        data_types=DATA_TYPES, depths=(200, 50, 1000), intervals=INTERVALS[1:], kinds=(SPOT, PERPETUAL)
    ),
}


class SymbolText(Text, frozen=True):
    """A canonical name. The message about another one has the canonical name, if it can be derived."""

    @property
    def message(self) -> str:
        """The constraint, as the API server reports it too."""
        return f"must be {self.form}"

    @property
    def message_cel(self) -> str:
        """The same with the canonical name, for names that differ in capitals, separators and -SWAP only."""
        name = "self.upperAscii().replace('/', '-').replace('_', '-').replace('-SWAP', '-PERP')"
        return f"'{self.message}' + ({name}.matches('{self.pattern}') ? '. Write ' + {name} : '')"

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        own = Findings()
        super().read(value, path, own)
        for fault in own.faults:
            findings.add(path, fault.text + (_advice(value) if isinstance(value, str) else ""))
        return value


def _advice(symbol: str) -> str:
    from market_spec import foreign_names  # only messages need it

    if foreign_names.is_option(symbol):
        return ". Options are not collected"
    names = foreign_names.canonical_names(symbol)
    return f". Write {listed(names)}" if names else ""


Exchange = Annotated[str, OneOf(tuple(CAPABILITIES))]
DataType = Annotated[str, OneOf(DATA_TYPES)]
Interval = Annotated[str, OneOf(INTERVALS)]
Symbol = Annotated[
    str,
    SymbolText(
        "a symbol",
        "BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals, such as BTC-USDT",
        pattern=PATTERN,
        min_length=3,
        max_length=MAX_LENGTH,
    ),
]


def types_message(exchange: str, offer: Capabilities) -> str:
    """The message about a data type that the exchange does not offer."""
    return f"{exchange} offers {', '.join(offer.data_types)}"


def depths_message(exchange: str) -> str:
    """The message about an order book depth that the exchange does not offer."""
    return f"{exchange} offers order books of depth {', '.join(map(str, sorted(CAPABILITIES[exchange].depths)))}"


def intervals_message(exchange: str) -> str:
    """The message about candles of a length that the exchange does not offer."""
    return f"{exchange} offers candles of {', '.join(CAPABILITIES[exchange].intervals)}"


def default_depths() -> str:
    """``400 for okx and 500 for binance``."""
    return listed([f"{offer.default_depth} for {name}" for name, offer in CAPABILITIES.items()], "and")


class SymbolRule(msgspec.Struct, frozen=True):
    """A rule about canonical names that depends on the exchange."""

    cel: str
    """About the name in ``{s}``. The API server limits the cost of a rule, which it knows only for fields."""
    message: str
    check: Callable[[str], str]
    """Returns the words about a symbol that breaks the rule, otherwise an empty string."""


_KIND_CEL = {
    SPOT: "{s}.matches('^[^-]+-[^-]+$')",
    PERPETUAL: f"{{s}}.matches('^[^-]+-[^-]+-{PERP}')",
    FUTURE: "{s}.matches('^[^-]+-[^-]+-[0-9]')",
}
_IS_BASE_LAST = "{s}.substring(0, {s}.indexOf('-')) == {s}.substring({s}.lastIndexOf('-') + 1)"


def symbol_rules(exchange: str, offer: Capabilities) -> list[SymbolRule]:
    """The rules about the names of one exchange: the kinds, and the asset that settles contracts."""
    rules = [_kind_rule(exchange, offer)] if set(offer.kinds) < set(KINDS) else []
    return rules if offer.kinds == (SPOT,) else [*rules, _settlement_rule(exchange, offer)]


def _kind_rule(exchange: str, offer: Capabilities) -> SymbolRule:
    return _only(offer.kinds, f"{exchange} offers instruments of kind {listed(offer.kinds, 'and')}")


def _only(kinds: tuple[str, ...], message: str) -> SymbolRule:
    def check(symbol: str) -> str:
        kind = parsed(symbol).kind
        return "" if kind in kinds else f"{shown(symbol)}: {kind}"

    return SymbolRule(" || ".join(_KIND_CEL[kind] for kind in kinds), message, check)


def type_rules() -> dict[tuple[str, ...], SymbolRule]:
    """By data types: the rule about the symbols that are collected with one of them."""
    rules = {}
    for kinds in dict.fromkeys(KINDS_OF_TYPES.values()):
        types = tuple(name for name, each in KINDS_OF_TYPES.items() if each == kinds)
        verb = "is" if len(types) == 1 else "are"
        rules[types] = _only(kinds, f"{listed(types, 'and')} {verb} only for symbols of kind {listed(kinds)}")
    return rules


def _settlement_rule(exchange: str, offer: Capabilities) -> SymbolRule:
    def check(symbol: str) -> str:
        right = str(offer.canonical(parsed(symbol)))
        return "" if right == symbol else f"{shown(symbol)}: write {right}"

    form = "a symbol ends with the asset that settles it only if that is not the quote"
    if not offer.inverse_quotes:
        return SymbolRule(_parts_cel("1,2"), form, check)
    is_inverse = f"{{s}}.matches('^[^-]+-({'|'.join(offer.inverse_quotes)})-')"
    cel = f"{is_inverse} ? {_parts_cel('3')} && {_IS_BASE_LAST} : {_parts_cel('1,2')}"
    more = f"On {exchange} the base settles contracts in {listed(offer.inverse_quotes)}"
    return SymbolRule(cel, f"{form}. {more}", check)


def _parts_cel(hyphens: str) -> str:
    return f"{{s}}.matches('^([^-]+-){{{{{hyphens}}}}}[^-]+$')"
