"""The spec without its template: the part that collectors read, and the rules between its fields."""

from collections.abc import Iterator
from typing import Annotated

from market_spec.connection import LOGIN_ADDRESS, PLAIN_LOGIN, Connection, Credentials, is_login_address
from market_spec.exchanges import (
    ACCOUNT,
    BALANCE,
    CAPABILITIES,
    DATA_TYPES,
    INTERVALS,
    QUOTE,
    Capabilities,
    DataType,
    Exchange,
    Interval,
    Symbol,
    SymbolRule,
    default_depths,
    depths_message,
    intervals_message,
    symbol_rules,
    type_rules,
    types_message,
)
from market_spec.fields import integer
from market_spec.kinds import Duration, Items, OneOf
from market_spec.messages import Path, counted, listed, shown
from market_spec.section import Rule, Section, Violation
from market_spec.sinks import Sink

MAX_SHARDS = 64
MAX_SYMBOLS = 500
MAX_SINKS = 8
INSTEAD_OF_NONE = "To stop the collectors, set suspend to true"


class OrderBook(Section, frozen=True):
    """Settings of the order book. Allowed only with the data type orderbook."""

    depth: Annotated[
        int | None,
        integer(1),
        f"Levels per side of the book. Default: {default_depths()}.",
    ] = None
    snapshot_interval: Annotated[
        str,
        Duration("1s", "24h"),
        "Shortest time between repeated snapshots of a book, a duration from 1s to 24h. Default 1m.",
    ] = "1m"


def book_depth(exchange: str, orderbook: OrderBook | None) -> int:
    """The levels per side that are collected: those of the spec, or the exchange's default."""
    depth = None if orderbook is None else orderbook.depth
    return CAPABILITIES[exchange].default_depth if depth is None else depth


QUOTE_NEEDS_BOOK = "quote needs orderbook in dataTypes"


class Candle(Section, frozen=True):
    """Settings of candles. Allowed only with the data type candle."""

    intervals: Annotated[
        tuple[Interval, ...],
        Items(1, 13, "set"),
        "Lengths of the candles, from 1s to 1w. Default [1m]. Each interval is a stream of its own per symbol.",
    ] = ("1m",)


def _offer_rules() -> tuple[Rule, ...]:
    """An exchange that offers every data type needs no rule about them: the enumeration states it."""
    partial = {name: offer for name, offer in CAPABILITIES.items() if set(offer.data_types) < set(DATA_TYPES)}
    return (
        *(types_rule(name, offer) for name, offer in partial.items()),
        *(_depth_rule(name, offer) for name, offer in CAPABILITIES.items()),
        *(_interval_rule(name, offer) for name, offer in CAPABILITIES.items() if offer.intervals != INTERVALS),
        *(symbol_rule(name, rule) for name, offer in CAPABILITIES.items() for rule in symbol_rules(name, offer)),
        *(_type_rule(types, rule) for types, rule in type_rules().items()),
    )


def symbol_rule(name: str, rule: SymbolRule) -> Rule:
    """A rule about the symbols of an exchange."""

    def violations(spec: "Collection") -> Iterator[Violation]:
        for path, symbol in _symbols(spec) if spec.exchange == name else ():
            if given := rule.check(symbol):
                yield Violation(path, given)

    return Rule(f"self.exchange != '{name}' || ({_of_symbols(rule)})", rule.message, violations)


def _type_rule(types: tuple[str, ...], rule: SymbolRule) -> Rule:
    def violations(spec: "Collection") -> Iterator[Violation]:
        for path, symbol in _symbols(spec) if set(types) & set(spec.data_types) else ():
            if given := rule.check(symbol):
                yield Violation(path, given)

    given = f"self.dataTypes.exists(t, t in {list(types)})"
    return Rule(f"!{given} || ({_of_symbols(rule)})", rule.message, violations)


def _of_symbols(rule: SymbolRule) -> str:
    one, each = rule.cel.format(s="self.symbol"), rule.cel.format(s="s")
    return f"(!has(self.symbol) || ({one})) && (!has(self.symbols) || self.symbols.all(s, {each}))"


def _symbols(spec: "Collection") -> Iterator[tuple[Path, str]]:
    if spec.symbol is not None:
        yield ("symbol",), spec.symbol
    for number, symbol in enumerate(spec.symbols or ()):
        yield ("symbols", number), symbol


def types_rule(name: str, offer: Capabilities) -> Rule:
    """The rule about the data types of an exchange that does not offer all of them."""

    def violations(spec: "Collection") -> Iterator[Violation]:
        for number, data_type in enumerate(spec.data_types):
            if spec.exchange == name and data_type not in offer.data_types:
                yield Violation(("dataTypes", number), shown(data_type))

    return Rule(
        f"self.exchange != '{name}' || self.dataTypes.all(t, t in {list(offer.data_types)})",
        types_message(name, offer),
        violations,
        "dataTypes",
    )


def _depth_rule(name: str, offer: Capabilities) -> Rule:
    def violations(spec: "Collection") -> Iterator[Violation]:
        depth = book_depth(spec.exchange, spec.orderbook)
        if spec.exchange == name and depth not in offer.depths:
            yield Violation(("orderbook", "depth"), f"depth is {depth}")

    return Rule(
        f"self.exchange != '{name}' || !has(self.orderbook) || !has(self.orderbook.depth)"
        f" || self.orderbook.depth in {list(offer.depths)}",
        depths_message(name),
        violations,
        "orderbook.depth",
    )


def _interval_rule(name: str, offer: Capabilities) -> Rule:
    def violations(spec: "Collection") -> Iterator[Violation]:
        for number, interval in enumerate(spec.candle.intervals if spec.candle else ()):
            if spec.exchange == name and interval not in offer.intervals:
                yield Violation(("candle", "intervals", number), shown(interval))

    return Rule(
        f"self.exchange != '{name}' || !has(self.candle) || !has(self.candle.intervals)"
        f" || self.candle.intervals.all(i, i in {list(offer.intervals)})",
        intervals_message(name),
        violations,
        "candle.intervals",
    )


def _not_one_of_symbol_and_symbols(spec: "Collection") -> Iterator[Violation]:
    if spec.symbol is not None and spec.symbols is not None:
        yield Violation(("symbols",), "both are set")
    if spec.symbol is None and spec.symbols is None:
        yield Violation(("symbol",), "neither is set")


def _orderbook_without_type(spec: "Collection") -> Iterator[Violation]:
    if spec.orderbook is not None and "orderbook" not in spec.data_types:
        yield Violation(("orderbook",), _given_types(spec))


def _quote_without_book(spec: "Collection") -> Iterator[Violation]:
    if QUOTE in spec.data_types and "orderbook" not in spec.data_types:
        yield Violation(("dataTypes",), _given_types(spec))


def _audit_without_minutes(spec: "Collection") -> Iterator[Violation]:
    has_minutes = "candle" in spec.data_types and "1m" in (spec.candle or Candle()).intervals
    if spec.audit_volumes and not (has_minutes and "trade" in spec.data_types):
        yield Violation(("auditVolumes",), _given_types(spec))


def _candle_without_type(spec: "Collection") -> Iterator[Violation]:
    if spec.candle is not None and "candle" not in spec.data_types:
        yield Violation(("candle",), _given_types(spec))


def _credentials_without_balance(spec: "Collection") -> Iterator[Violation]:
    if (spec.credentials is not None) != (BALANCE in spec.data_types):
        yield Violation(("credentials",), _given_types(spec))


def _plain_login(spec: "Collection") -> Iterator[Violation]:
    endpoint = spec.connection.endpoint
    if spec.credentials is None or endpoint is None or endpoint.allow_plain_login:
        return
    for name, address in (("websocket", endpoint.websocket), ("rest", endpoint.rest)):
        if address is not None and not is_login_address(address):
            yield Violation(("connection", "endpoint", name), shown(address))


def _given_types(spec: "Collection") -> str:
    return f"dataTypes: {', '.join(spec.data_types)}"


def _shards_of_one_account(spec: "Collection") -> Iterator[Violation]:
    if spec.shards != 1 and set(spec.data_types) == {BALANCE}:
        yield Violation(("shards",), counted(spec.shards, "shard"))


def _shards_above_symbols(spec: "Collection") -> Iterator[Violation]:
    count = len(spec.symbols if spec.symbols is not None else [spec.symbol])
    if spec.shards > count:
        yield Violation(("shards",), f"{counted(spec.shards, 'shard')}, {counted(count, 'symbol')}")


def _shared_directories(spec: "Collection") -> Iterator[Violation]:
    first: dict[str, str] = {}
    for number, sink in enumerate(spec.sinks):
        if sink.file and first.setdefault(sink.file.directory, sink.name) != sink.name:
            given = f"{shown(sink.file.directory)} is of sink {first[sink.file.directory]} too"
            yield Violation(("sinks", number, "file", "directory"), given)


def _two_writers_of_a_claim(spec: "Collection") -> Iterator[Violation]:
    claims = [sink.name for sink in spec.sinks if sink.file and sink.file.claim_name]
    if spec.replicas != 1 and claims:
        yield Violation(("replicas",), f"replicas is {spec.replicas}, sink {claims[0]} has a claimName")


_RULES = (
    Rule(
        "self.exchange == oldSelf.exchange",
        "spec.exchange is immutable; delete the resource and create another",
        None,
        "exchange",
    ),
    Rule(
        "has(self.symbol) != has(self.symbols)",
        "set exactly one of symbol (one) and symbols (a list)",
        _not_one_of_symbol_and_symbols,
    ),
    *_offer_rules(),
    Rule(
        "!has(self.orderbook) || 'orderbook' in self.dataTypes",
        "orderbook is only for dataTypes with orderbook",
        _orderbook_without_type,
        "orderbook",
    ),
    Rule(
        "!('quote' in self.dataTypes) || 'orderbook' in self.dataTypes",
        QUOTE_NEEDS_BOOK,
        _quote_without_book,
        "dataTypes",
    ),
    Rule(
        "!has(self.auditVolumes) || !self.auditVolumes || ('trade' in self.dataTypes && 'candle' in self.dataTypes"
        " && (!has(self.candle) || !has(self.candle.intervals) || '1m' in self.candle.intervals))",
        "auditVolumes needs trade in dataTypes, and candle with the interval 1m",
        _audit_without_minutes,
        "auditVolumes",
    ),
    Rule(
        "!has(self.candle) || 'candle' in self.dataTypes",
        "candle is only for dataTypes with candle",
        _candle_without_type,
        "candle",
    ),
    Rule(
        "has(self.credentials) == ('balance' in self.dataTypes)",
        "credentials are required for, and only for, dataTypes with balance",
        _credentials_without_balance,
        "credentials",
    ),
    Rule(
        "!has(self.credentials) || !has(self.connection.endpoint) || self.connection.endpoint.allowPlainLogin || "
        + " && ".join(
            f"(!has(self.connection.endpoint.{name}) || self.connection.endpoint.{name}.matches(r'{LOGIN_ADDRESS}'))"
            for name in ("websocket", "rest")
        ),
        PLAIN_LOGIN,
        _plain_login,
        "connection.endpoint",
    ),
    Rule(
        "self.shards == 1 || self.dataTypes.exists(t, t != 'balance')",
        "shards must be 1 when balance is the only data type: there is one account",
        _shards_of_one_account,
        "shards",
    ),
    Rule(
        "self.shards <= (has(self.symbols) ? size(self.symbols) : 1)",
        "shards must not exceed the number of symbols",
        _shards_above_symbols,
        "shards",
    ),
    Rule(
        "self.sinks.all(a, !has(a.file) || "
        "self.sinks.exists_one(b, has(b.file) && b.file.directory == a.file.directory))",
        "two sinks must not share a directory",
        _shared_directories,
        "sinks",
    ),
    Rule(
        "self.replicas == 1 || !self.sinks.exists(s, has(s.file) && has(s.file.claimName))",
        "a sink with claimName needs replicas 1: two pods would write the same files",
        _two_writers_of_a_claim,
        "replicas",
    ),
)


class Collection(Section, frozen=True, kw_only=True):
    """Exchange, symbols and data to collect, and the sinks of the records."""

    rules = _RULES
    exchange: Annotated[
        Exchange,
        f"Exchange to collect from; {listed(tuple(CAPABILITIES))}. Required. Immutable.",
    ]
    symbol: Annotated[
        Symbol | None,
        "Symbol of an instrument. Spot: BASE-QUOTE, such as BTC-USDT. Perpetual: BASE-QUOTE-PERP. Dated future: "
        "BASE-QUOTE-YYMMDD. If another asset than the quote settles a contract, it follows: BTC-USD-PERP-BTC. "
        "Default none; exactly one of symbol and symbols is required.",
    ] = None
    symbols: Annotated[
        tuple[Symbol, ...] | None,
        Items(1, MAX_SYMBOLS, "set"),
        "Symbols of instruments, 1 to 500. Default none; exactly one of symbol and symbols is required.",
    ] = None
    data_types: Annotated[
        tuple[DataType, ...],
        Items(1, len(DATA_TYPES), "set"),
        "Data to collect. quote needs orderbook; balance needs credentials. funding is for perpetuals, and markprice, "
        "openinterest and liquidation are for perpetuals and futures. Some exchanges report only a part of their "
        "liquidations, which each record says. Required.",
    ]
    orderbook: Annotated[
        OrderBook | None,
        "How order books are collected; only with the data type orderbook. Default: the full depth that the exchange "
        "offers.",
    ] = None
    candle: Annotated[
        Candle | None,
        "Which candles are collected; only with the data type candle. Default: one-minute candles.",
    ] = None
    store_raw_data: Annotated[
        bool,
        "Keep the exchange's own frames as records of type raw, as proof. Default false. It doubles the volume.",
    ] = False
    audit_volumes: Annotated[
        bool,
        "Compare the trades of each minute with the volume of its closed candle, where ids do not show a missing "
        "trade. Default false. It needs trade, and candle with 1m. The collector's status counts the minutes.",
    ] = False
    auto_restart: Annotated[
        bool,
        "What happens after connection.maxReconnectAttempts failed attempts. true starts over; false stays down and "
        "shows it in the status. Default true.",
    ] = True
    health_check_interval: Annotated[
        str,
        Duration("1s", "10m"),
        "Longest time between two probes of a healthy collector by the operator, a duration from 1s to 10m. "
        "Default 30s. New and unhealthy collectors are probed more often.",
    ] = "30s"
    stale_after: Annotated[
        str,
        Duration("1s", "1h"),
        "A stream without data for longer is stale, and the resource is not Ready. A duration from 1s to 1h. "
        "Default 60s. Raise it for symbols that trade rarely.",
    ] = "60s"
    connection: Annotated[
        Connection,
        "How connections are kept alive and reopened. Default: the defaults of its fields.",
    ] = Connection()
    credentials: Annotated[
        Credentials | None,
        "API key of the account, for and only for the data type balance. Default none: all other data is public.",
    ] = None
    sinks: Annotated[
        tuple[Sink, ...],
        Items(1, MAX_SINKS, "map", "name"),
        "Destinations of records, 1 to 8. Default: one sink named out of type stdout. Every record goes to every sink.",
    ] = (Sink(name="out", type="stdout"),)
    shards: Annotated[
        int,
        integer(1, MAX_SHARDS, INSTEAD_OF_NONE),
        "Number of pods that share the symbols (the scale subresource), 1 to 64, at most the number of symbols. "
        "Default 1. Raise it when one pod uses a whole core.",
    ] = 1
    replicas: Annotated[
        int,
        integer(1, 5, INSTEAD_OF_NONE),
        "Redundant copies of every shard, 1 to 5. Default 1. With 2, the loss of a node loses no data; "
        "records carry an identity that identifies duplicates.",
    ] = 1
    suspend: Annotated[
        bool,
        "Stop all collectors, and keep everything else as it is. Default false.",
    ] = False
    log_level: Annotated[
        str,
        OneOf(("debug", "info", "warning", "error")),
        "Lowest level that the collector logs. Default info. debug logs every control frame.",
    ] = "info"

    @property
    def all_symbols(self) -> tuple[str, ...]:
        """The symbols, sorted, from whichever of the two fields has them."""
        return tuple(sorted(self.symbols or ((self.symbol,) if self.symbol else ())))

    @property
    def streams_per_symbol(self) -> int:
        """Number of streams of one symbol: one per data type but quote, and one per candle interval."""
        intervals = len((self.candle or Candle()).intervals)
        streamed = (data_type for data_type in self.data_types if data_type not in (BALANCE, QUOTE))
        return sum(intervals if data_type == "candle" else 1 for data_type in streamed)

    @property
    def subjects(self) -> frozenset[str]:
        """Names in streams: the symbols, and the account when its balances are collected."""
        return frozenset((*self.all_symbols, ACCOUNT) if BALANCE in self.data_types else self.all_symbols)

    @property
    def stream_count(self) -> int:
        """Number of all streams; the account has one."""
        return len(self.all_symbols) * self.streams_per_symbol + (BALANCE in self.data_types)
