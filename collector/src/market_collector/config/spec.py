"""The resource's ``spec`` in the resource's own words: fields, limits and defaults, all in this one place.

The operator's CRD says the same in its language; ``tests/contract`` holds both together. What a type cannot say
(one field only with another, what an exchange offers) is in ``faults.py``.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

API_VERSION = "marketcollector.dev/v1alpha1"
KIND = "MarketCollector"
CONTRACT = 1
"""Version of the collector document that this reader understands (docs/contracts.md)."""

DURATION = r"^([0-9]+(ms|s|m|h))+$"
SYMBOL = r"^[A-Z0-9]+(-[A-Z0-9]+)+$"
SIZE = r"^[1-9][0-9]{0,8}(Ki|Mi|Gi)$"
NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
RESOURCE_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
DIRECTORY = r"^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$"
# A host (a name, an IPv4 address or an IPv6 address in brackets), and a port up to 65535 when it is not the usual one.
_PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_HOST_AND_PORT = rf"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:({_PORT}))?/?$"
WEBSOCKET = f"^wss?://{_HOST_AND_PORT}"
REST = f"^https?://{_HOST_AND_PORT}"
CREDENTIALS_DIRECTORY = "/etc/market-collector-credentials"
"""Where the operator mounts the Secret of ``spec.credentials``; ``--credentials-dir`` names another."""
SYSTEM_DIRECTORIES = (
    "/bin",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/opt/venv",
    "/proc",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/market-collector",
)
"""Where a pod's own files are: no sink may write there."""

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNIT_BYTES = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def duration_s(text: str) -> float:
    """Seconds of a duration such as ``30s`` or ``1m30s`` (text that matches ``DURATION``)."""
    return sum(int(number) * _UNIT_S[unit] for number, unit in re.findall(r"([0-9]+)(ms|s|m|h)", text))


def size_bytes(text: str) -> int:
    """Bytes of a size such as ``256Mi`` (text that matches ``SIZE``)."""
    return int(text[:-2]) * _UNIT_BYTES[text[-2:]]


def _text(what: str, allowed: str, **limits: Any) -> Meta:
    """Limits of a text, and the words that say them to a person: ``"x" is not WHAT; allowed: ALLOWED``."""
    return Meta(extra={"what": what, "allowed": allowed}, **limits)


def _duration(shortest: str, longest: str) -> Meta:
    allowed = f"{shortest} to {longest}, written like 500ms, 30s or 1m30s"
    extra = {"what": "a duration", "allowed": allowed, "bounds_s": (duration_s(shortest), duration_s(longest))}
    bounds = {"x-shortest": shortest, "x-longest": longest}
    return Meta(pattern=DURATION, max_length=16, extra=extra, extra_json_schema=bounds)


def _one_of(*choices: str) -> Meta:
    """A closed list. (A Literal would do, but msgspec sorts its values, and messages should not.)"""
    return Meta(extra={"choices": choices}, extra_json_schema={"enum": list(choices)})


def _set_of(what: str, longest: int) -> Meta:
    """Between one and ``longest`` items, none twice (``x-kubernetes-list-type: set``)."""
    extra = {"what": what, "unique": True}
    return Meta(min_length=1, max_length=longest, extra=extra, extra_json_schema={"uniqueItems": True})


Symbol = Annotated[
    str, _text("a symbol", "BASE-QUOTE in capitals, like BTC-USDT", pattern=SYMBOL, min_length=3, max_length=40)
]
DataTypeName = Annotated[str, Meta(extra_json_schema={"enum": ["trade", "orderbook", "ticker", "candle", "balance"]})]
Interval = Annotated[str, _one_of("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w")]
Size = Annotated[str, _text("a size", "a number with Ki, Mi or Gi, like 256Mi", pattern=SIZE, max_length=12)]
Directory = Annotated[str, _text("a directory", "an absolute path, like /data", pattern=DIRECTORY, max_length=255)]
Websocket = Annotated[str, _text("an address", "ws://HOST:PORT or wss://HOST:PORT", pattern=WEBSOCKET, max_length=255)]
Rest = Annotated[str, _text("an address", "http://HOST:PORT or https://HOST:PORT", pattern=REST, max_length=255)]
Label = Annotated[
    str, _text("a name", "1 to 63 small letters, digits and -", pattern=NAME, min_length=1, max_length=63)
]
ResourceName = Annotated[
    str,
    _text("a name", "1 to 253 small letters, digits, - and .", pattern=RESOURCE_NAME, min_length=1, max_length=253),
]


class Block(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A mapping of the spec: unknown fields are errors, so that a slip of the pen is never ignored."""


class OrderbookSpec(Block, frozen=True, kw_only=True):
    """Only with data type orderbook."""

    depth: Annotated[int, Meta(ge=1)] = 400
    """Levels a side."""


class CandleSpec(Block, frozen=True, kw_only=True):
    """Only with data type candle."""

    intervals: Annotated[tuple[Interval, ...], _set_of("intervals", 13)] = ("1m",)


class CredentialsSpec(Block, frozen=True, kw_only=True):
    """Only with data type balance: which Secret holds the API key. The key itself is never in a document."""

    secret_name: ResourceName
    """Its keys apiKey, secretKey and passphrase are files in the directory that ``--credentials-dir`` names."""


class BackoffSpec(Block, frozen=True, kw_only=True):
    """Wait before a reconnect: drawn between nothing and a bound that doubles from ``initial`` to ``max``."""

    initial: Annotated[str, _duration("10ms", "1m")] = "1s"
    max: Annotated[str, _duration("100ms", "10m")] = "60s"


class EndpointSpec(Block, frozen=True, kw_only=True):
    """Base addresses to use instead of the exchange's own; its paths are appended."""

    websocket: Websocket | None = None
    rest: Rest | None = None


class ConnectionSpec(Block, frozen=True, kw_only=True):
    """How a connection is kept alive and made again."""

    ping_interval: Annotated[str, _duration("1s", "25s")] = "20s"
    max_reconnect_attempts: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """0 = unlimited."""
    backoff: BackoffSpec = BackoffSpec()
    endpoint: EndpointSpec | None = None


class RotateSpec(Block, frozen=True, kw_only=True):
    """A new file is begun at this size or age, whichever comes first."""

    size: Size = "256Mi"
    interval: Annotated[str, _duration("1s", "24h")] = "1h"


class FileSpec(Block, frozen=True, kw_only=True):
    """The file sink's block."""

    directory: Directory
    claim_name: ResourceName | None = None
    """The PersistentVolumeClaim behind the directory; the operator mounts it."""
    rotate: RotateSpec = RotateSpec()
    compression: Annotated[str, _one_of("none", "gzip", "zstd")] = "none"
    fsync_interval: Annotated[str, _duration("0s", "1m")] = "1s"
    """Longest time that acknowledged data may be away from the disk; 0s = every batch."""


class SinkSpec(Block, frozen=True, kw_only=True):
    """Where records go: one block, named like the type."""

    name: Label
    type: Annotated[str, _one_of("stdout", "file")]
    file: FileSpec | None = None


class Spec(Block, frozen=True, kw_only=True):
    """What to collect, and how. Only ``exchange``, one of ``symbol``/``symbols`` and ``dataTypes`` must be given."""

    exchange: str
    symbol: Symbol | None = None
    symbols: Annotated[tuple[Symbol, ...], _set_of("symbols", 500)] | None = None
    data_types: Annotated[tuple[DataTypeName, ...], _set_of("data types", 5)]
    orderbook: OrderbookSpec | None = None
    candle: CandleSpec | None = None
    store_raw_data: bool = False
    auto_restart: bool = True
    health_check_interval: Annotated[str, _duration("1s", "10m")] = "30s"
    stale_after: Annotated[str, _duration("1s", "1h")] = "60s"
    connection: ConnectionSpec = ConnectionSpec()
    credentials: CredentialsSpec | None = None
    sinks: Annotated[tuple[SinkSpec, ...], Meta(min_length=1, max_length=8)] = (SinkSpec(name="out", type="stdout"),)
    shards: Annotated[int, Meta(ge=1, le=64)] = 1
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    suspend: bool = False
    log_level: Annotated[str, _one_of("debug", "info", "warning", "error")] = "info"
    template: dict[str, Any] | None = None
    """How pods look: the operator's matter, ignored here."""

    def all_symbols(self) -> tuple[str, ...]:
        """The symbols, whichever way they were given."""
        return self.symbols if self.symbols is not None else (self.symbol,) if self.symbol is not None else ()


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """Of a resource's metadata, what a collector needs; Kubernetes knows the rest."""

    name: ResourceName
    namespace: Label = "default"


class Resource(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A whole MarketCollector, as a user writes it."""

    api_version: Literal["marketcollector.dev/v1alpha1"]
    kind: Literal["MarketCollector"]
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = None
    """Ignored."""


class CollectorDocument(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What the operator mounts into a pod: one shard's part of a resource."""

    contract: Literal[1]
    name: ResourceName
    namespace: Label
    shard: Annotated[int, Meta(ge=0, le=63)]
    spec: Spec
