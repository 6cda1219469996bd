"""The MarketCollector resource: the one place where its fields, defaults, limits and descriptions are written.

`crd.py` turns these models into the CustomResourceDefinition; the operator reads resources with them. Fields are
camelCase in the resource (`data_types` is `dataTypes`). To add an exchange, add its line to CAPABILITIES.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError

from market_operator.errors import SpecError
from market_operator.resource.connection import Connection, Credentials
from market_operator.resource.document import Resource
from market_operator.resource.durations import Between
from market_operator.resource.exchanges import (
    ACCOUNT,
    BALANCE,
    CAPABILITIES,
    Capabilities,
    DataType,
    Exchange,
    Interval,
    Symbol,
)
from market_operator.resource.fields import Int32
from market_operator.resource.schema import Kube, Rule, Section
from market_operator.resource.sinks import Sink
from market_operator.resource.template import Template
from market_operator.resource.volumes import overlap


class OrderBook(Section):
    """How the order book is collected; only with the data type orderbook."""

    depth: Int32 = Field(
        default=400,
        ge=1,
        description="Levels per side of the order book. Default 400. Set it only where the exchange "
        "offers a choice; okx offers 400.",
    )


class Candle(Section):
    """Which candles are collected; only with the data type candle."""

    intervals: Annotated[tuple[Interval, ...], Kube(list_type="set")] = Field(
        default=("1m",),
        min_length=1,
        max_length=13,
        description="Lengths of the candles, from 1s to 1w. Default [1m]. Each interval is a stream of "
        "its own per symbol.",
    )


def _offer_rules() -> tuple[Rule, ...]:
    """An exchange that offers every data type needs no rule about them: the list of known ones says it."""
    partial = {name: offer for name, offer in CAPABILITIES.items() if set(offer.data_types) < set(get_args(DataType))}
    return (
        *(_types_rule(name, offer) for name, offer in partial.items()),
        *(_depth_rule(name, offer) for name, offer in CAPABILITIES.items()),
    )


def _types_rule(name: str, offer: Capabilities) -> Rule:
    return Rule(
        f"self.exchange != '{name}' || self.dataTypes.all(t, t in {list(offer.data_types)})",
        f"{name} offers {', '.join(offer.data_types)}",
        lambda self: self.exchange != name or set(self.data_types) <= set(offer.data_types),
        "dataTypes",
    )


def _depth_rule(name: str, offer: Capabilities) -> Rule:
    return Rule(
        f"self.exchange != '{name}' || !has(self.orderbook) || self.orderbook.depth in {list(offer.depths)}",
        f"{name} offers order books of depth {', '.join(map(str, offer.depths))}",
        lambda self: self.exchange != name or self.orderbook is None or self.orderbook.depth in offer.depths,
        "orderbook.depth",
    )


def _directories_differ(spec: "Spec") -> bool:
    directories = [sink.file.directory for sink in spec.sinks if sink.file]
    return len(directories) == len(set(directories))


def _claims_have_one_writer(spec: "Spec") -> bool:
    return spec.replicas == 1 or not any(sink.file and sink.file.claim_name for sink in spec.sinks)


def _mounts_are_apart_from_sinks(spec: "Spec") -> bool:
    directories = [sink.file.directory for sink in spec.sinks if sink.file]
    mounts = [mount.mount_path for mount in spec.template.volume_mounts or ()]
    return not any(overlap(mount, directory) for mount in mounts for directory in directories)


_SPEC_RULES = (
    Rule(
        "self.exchange == oldSelf.exchange",
        "spec.exchange is immutable; delete the resource and create another",
        None,
        "exchange",
    ),
    Rule(
        "has(self.symbol) != has(self.symbols)",
        "set exactly one of symbol (one) and symbols (a list)",
        lambda self: (self.symbol is None) != (self.symbols is None),
    ),
    *_offer_rules(),
    Rule(
        "!has(self.orderbook) || 'orderbook' in self.dataTypes",
        "orderbook is only for dataTypes with orderbook",
        lambda self: self.orderbook is None or "orderbook" in self.data_types,
        "orderbook",
    ),
    Rule(
        "!has(self.candle) || 'candle' in self.dataTypes",
        "candle is only for dataTypes with candle",
        lambda self: self.candle is None or "candle" in self.data_types,
        "candle",
    ),
    Rule(
        "has(self.credentials) == ('balance' in self.dataTypes)",
        "credentials are required for, and only for, dataTypes with balance",
        lambda self: (self.credentials is not None) == ("balance" in self.data_types),
        "credentials",
    ),
    Rule(
        "self.shards == 1 || self.dataTypes.exists(t, t != 'balance')",
        "shards must be 1 when balance is the only data type: there is one account",
        lambda self: self.shards == 1 or set(self.data_types) != {"balance"},
        "shards",
    ),
    Rule(
        "self.shards <= (has(self.symbols) ? size(self.symbols) : 1)",
        "shards must not exceed the number of symbols",
        lambda self: self.shards <= len(self.all_symbols),
        "shards",
    ),
    Rule(
        "self.sinks.all(a, !has(a.file) || "
        "self.sinks.exists_one(b, has(b.file) && b.file.directory == a.file.directory))",
        "two sinks must not share a directory",
        _directories_differ,
        "sinks",
    ),
    Rule(
        "self.replicas == 1 || !self.sinks.exists(s, has(s.file) && has(s.file.claimName))",
        "a sink with claimName needs replicas 1: two pods would write the same files",
        _claims_have_one_writer,
        "replicas",
    ),
    Rule(
        "!has(self.template.volumeMounts) || !self.template.volumeMounts.exists(m, self.sinks.exists(s, "
        "has(s.file) && ((m.mountPath + '/').startsWith(s.file.directory + '/') || "
        "s.file.directory.startsWith(m.mountPath + '/'))))",
        "a volumeMount and a sink's directory must not overlap",
        _mounts_are_apart_from_sinks,
        "template.volumeMounts",
    ),
)


class Spec(Section):
    """What to collect, from where, and where to put it."""

    rules = _SPEC_RULES
    exchange: Exchange = Field(
        description="Exchange to collect from; okx. Required, and immutable: delete the resource and "
        "create another to change it."
    )
    symbol: Symbol | None = Field(
        default=None,
        description="Symbol to collect, canonical BASE-QUOTE such as BTC-USDT. Default none; exactly "
        "one of symbol and symbols is required.",
    )
    symbols: Annotated[tuple[Symbol, ...], Kube(list_type="set")] | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="Symbols to collect, 1 to 500, canonical BASE-QUOTE such as BTC-USDT. Default none; "
        "exactly one of symbol and symbols is required.",
    )
    data_types: Annotated[tuple[DataType, ...], Kube(list_type="set")] = Field(
        min_length=1,
        max_length=5,
        description="What to collect: of each symbol trade, orderbook, ticker, candle; of the account balance (all "
        "currencies that it holds, whatever the symbols; needs credentials). As far as the exchange offers it. "
        "Required.",
    )
    orderbook: OrderBook | None = Field(
        default=None,
        description="How order books are collected; only with the data type orderbook. Default: the "
        "exchange's full offer.",
    )
    candle: Candle | None = Field(
        default=None,
        description="Which candles are collected; only with the data type candle. Default: one-minute candles.",
    )
    store_raw_data: bool = Field(
        default=False,
        description="Keep the exchange's own frames as records of type raw next to the normalised ones. Default false. "
        "Turn it on to be able to prove or re-read what was received; it about doubles the volume.",
    )
    auto_restart: bool = Field(
        default=True,
        description="What happens after connection.maxReconnectAttempts failed attempts: true starts "
        "over, false stays down and says so in "
        "the status. Default true.",
    )
    health_check_interval: Annotated[str, Between("1s", "10m")] = Field(
        default="30s",
        description="Longest time between two looks of the operator at a healthy collector, a duration "
        "from 1s to 10m. Default 30s. "
        "Collectors that are new or unhealthy are looked at sooner.",
    )
    stale_after: Annotated[str, Between("1s", "1h")] = Field(
        default="60s",
        description="A stream without data for longer is stale, and the resource is not Ready; a "
        "duration from 1s to 1h. Default 60s. "
        "Raise it for symbols that trade rarely.",
    )
    connection: Connection = Field(
        default=Connection(),
        description="How connections to the exchange are kept alive and made again. Default: as its fields say.",
    )
    credentials: Credentials | None = Field(
        default=None,
        description="API key of the account; required with the data type balance, and allowed only then. Default none: "
        "everything else is public.",
    )
    sinks: Annotated[tuple[Sink, ...], Kube(list_type="map", list_map_keys=["name"])] = Field(
        default=(Sink(name="out", type="stdout"),),
        min_length=1,
        max_length=8,
        description="Where records go, 1 to 8. Default: one sink named out of type stdout. Every record "
        "goes to every sink.",
    )
    shards: Int32 = Field(
        default=1,
        ge=1,
        le=64,
        description="Number of pods that the symbols are spread over (the scale subresource), 1 to 64, "
        "at most the number of symbols. "
        "Default 1. Raise it when one pod uses a whole core.",
    )
    replicas: Int32 = Field(
        default=1,
        ge=1,
        le=5,
        description="Redundant copies of every shard, 1 to 5. Default 1. With 2, the loss of a node loses no data; "
        "records carry an identity by which duplicates are dropped. To stop the collectors use suspend.",
    )
    suspend: bool = Field(
        default=False,
        description="Stop all collectors, and keep everything else as it is. Default false. Use it for maintenance.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="How much the collector logs. Default info. debug logs every control frame."
    )
    template: Template = Field(
        default=Template(),
        description="More about the pods: labels, resources, placement, image, volumes. Default: nothing more.",
    )

    @property
    def all_symbols(self) -> tuple[str, ...]:
        """The symbols, sorted, whichever of the two fields they stand in."""
        return tuple(sorted(self.symbols or ((self.symbol,) if self.symbol else ())))

    @property
    def streams_per_symbol(self) -> int:
        """Number of streams of one symbol: one per data type, and one per candle interval."""
        intervals = len((self.candle or Candle()).intervals)
        return sum(intervals if data_type == "candle" else 1 for data_type in self.data_types if data_type != BALANCE)

    @property
    def subjects(self) -> frozenset[str]:
        """What streams are named after: the symbols, and the account when its balances are collected."""
        return frozenset((*self.all_symbols, ACCOUNT) if BALANCE in self.data_types else self.all_symbols)

    @property
    def stream_count(self) -> int:
        """Number of streams in all; the account has one."""
        return len(self.all_symbols) * self.streams_per_symbol + (BALANCE in self.data_types)


def read_spec(resource: Resource) -> Spec:
    """The spec with all defaults.

    Raises:
        SpecError: when it breaks a rule, as an object may that was stored before the rule existed.
    """
    try:
        return Spec.model_validate(resource.spec)
    except ValidationError as error:
        raise SpecError("; ".join(_sentence(found) for found in error.errors()[:5])) from error


def _sentence(found: Any) -> str:
    path = ".".join(["spec", *map(str, found["loc"])])
    return f"{path}: {found['msg'].removeprefix('Value error, ')}"
