"""The MarketCollector resource: the one place where its fields, defaults, limits and descriptions are written.

`crd.py` turns these models into the CustomResourceDefinition; the operator reads resources with them. Fields are
camelCase in the resource (`data_types` is `dataTypes`). To add an exchange, add its line to OFFERS.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from market_operator.durations import Between, seconds
from market_operator.fields import (
    DIRECTORY_PATTERN,
    SYSTEM_DIRECTORIES,
    DnsLabel,
    DnsName,
    Int32,
    Quantity,
    Unchecked,
    is_below,
)
from market_operator.rules import Kube, Refused, Rule, Section, Words
from market_operator.volumes import Volume, VolumeMount, overlap

GROUP = "marketcollector.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "MarketCollector"
PLURAL = "marketcollectors"


@dataclass(frozen=True, slots=True)
class Offer:
    """What one exchange offers: data types, the book depths (levels per side) of its order book channel, and the TCP
    ports of its own WebSocket and REST addresses."""

    data_types: tuple[str, ...]
    depths: tuple[int, ...]
    websocket_port: int = 443
    rest_port: int = 443


OFFERS = {
    "okx": Offer(data_types=("trade", "orderbook", "ticker", "candle", "balance"), depths=(400,), websocket_port=8443),
}


def _known_exchange(name: str) -> str:
    if name not in OFFERS:
        raise ValueError(f"{name!r} is not supported; supported: {', '.join(OFFERS)}")
    return name


Exchange = Annotated[str, AfterValidator(_known_exchange), Words(enum=[*OFFERS])]
ACCOUNT, BALANCE = "account", "balance"
"""The stream of the account is called account/balance."""
DataType = Literal["trade", "orderbook", "ticker", "candle", "balance"]
Symbol = Annotated[str, Field(min_length=3, max_length=40, pattern="^[A-Z0-9]+(-[A-Z0-9]+)+$")]
Interval = Literal["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w"]


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


# A host (a name, an IPv4 address or an IPv6 address in brackets), and a port up to 65535 when it is not the usual one.
_PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_HOST_AND_PORT = rf"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:({_PORT}))?/?$"


class Backoff(Section):
    """Waiting times between attempts to connect: full jitter below a bound that doubles from initial to max."""

    rules = (
        Rule(
            "duration(self.initial) <= duration(self.max)",
            "initial must not be longer than max",
            lambda self: seconds(self.initial) <= seconds(self.max),
            "initial",
        ),
    )
    initial: Annotated[str, Between("10ms", "1m")] = Field(
        default="1s",
        description="Upper bound of the first wait, a duration from 10ms to 1m. Default 1s. Lower it "
        "only for an exchange of your own.",
    )
    max: Annotated[str, Between("100ms", "10m")] = Field(
        default="60s",
        description="Upper bound of every wait, a duration from 100ms to 10m. Default 60s. Lower it to "
        "be back sooner after a long outage, "
        "at the price of more attempts against the exchange's limit per address.",
    )


class Endpoint(Section):
    """Other base addresses than the exchange's public ones: proxies, regional hosts, test environments."""

    websocket: str | None = Field(
        default=None,
        max_length=255,
        pattern=f"^wss?://{_HOST_AND_PORT}",
        description="Base address for WebSocket, such as wss://wseea.okx.com:8443; the exchange's own "
        "paths are appended. "
        "Default: the exchange's public address. Set it for a proxy, a regional host or a test environment.",
    )
    rest: str | None = Field(
        default=None,
        max_length=255,
        pattern=f"^https?://{_HOST_AND_PORT}",
        description="Base address for REST, such as https://eea.okx.com; the exchange's own paths are appended. "
        "Default: the exchange's public address. Set it together with websocket.",
    )


class Connection(Section):
    """How connections to the exchange are kept alive and made again."""

    ping_interval: Annotated[str, Between("1s", "25s")] = Field(
        default="20s",
        description="Ping after this much silence, and reconnect when nothing came back within the same "
        "time; a duration from 1s to 25s. "
        "Default 20s. Lower it to notice dead connections sooner.",
    )
    max_reconnect_attempts: Int32 = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="Failed attempts in a row after which the collector gives the connection up. Default 0: never. "
        "What happens then is said by autoRestart.",
    )
    backoff: Backoff = Field(
        default=Backoff(), description="Waiting times between attempts to connect. Default 1s to 60s."
    )
    endpoint: Endpoint | None = Field(
        default=None, description="Other base addresses than the exchange's public ones. Default: the public ones."
    )


class Credentials(Section):
    """Which Secret holds the API key of the account. Only collector pods get it; the operator never reads a Secret."""

    secret_name: DnsName = Field(
        description="Secret of the same namespace with the keys apiKey, secretKey and passphrase; a read-only API key "
        "suffices. It is mounted read-only into the pods of the first shard, and never read by the operator. A changed "
        "key is used with the next connection. Required."
    )


class Rotate(Section):
    """When a file is finished and the next one is begun: at whichever comes first."""

    size: str = Field(
        default="256Mi",
        max_length=12,
        pattern="^[1-9][0-9]{0,8}(Ki|Mi|Gi)$",
        description="Begin a new file after this many bytes (before compression), with Ki, Mi or Gi. Default 256Mi.",
    )
    interval: Annotated[str, Between("1s", "24h")] = Field(
        default="1h", description="Begin a new file after this time, a duration from 1s to 24h. Default 1h."
    )


def _is_data_directory(sink: "FileSink") -> bool:
    return not any(is_below(sink.directory, taken) for taken in SYSTEM_DIRECTORIES)


class FileSink(Section):
    """Records as JSON lines in files."""

    rules = (
        Rule(
            f"!{[*SYSTEM_DIRECTORIES]}.exists(taken, self.directory == taken || "
            f"self.directory.startsWith(taken + '/'))",
            "directory must not be or be below a directory of the system; use one such as /data",
            _is_data_directory,
            "directory",
        ),
    )
    directory: str = Field(
        max_length=255,
        pattern=DIRECTORY_PATTERN,
        description="Absolute path of the directory to write to, such as /data. In a pod it is an "
        "emptyDir, gone with the pod, unless claimName is set. Required.",
    )
    claim_name: DnsName | None = Field(
        default=None,
        description="PersistentVolumeClaim of the same namespace to keep the files in; each shard writes "
        "below shard-N in it. "
        "Default: none (emptyDir). With a claim, a changed pod replaces the old one only "
        "after it has stopped, and the hole is repaired.",
    )
    rotate: Rotate = Field(
        default=Rotate(), description="When a file is finished and the next one is begun. Default: at 256Mi or 1h."
    )
    compression: Literal["none", "gzip", "zstd"] = Field(
        default="none",
        description="Compression of the files. Default none. zstd is the smallest and fastest; gzip is "
        "read by everything.",
    )
    fsync_interval: Annotated[str, Between("0s", "1m")] = Field(
        default="1s",
        description="Time after which written records are on disk at the latest, a duration from 0s "
        "(every record) to 1m. Default 1s. "
        "Records are acknowledged after this.",
    )


class Sink(Section):
    """Where records go: a name, a type, and one block named like the type."""

    rules = (
        Rule(
            "has(self.file) == (self.type == 'file')",
            "file is required for, and only for, a sink of type file",
            lambda self: (self.file is not None) == (self.type == "file"),
        ),
    )
    name: DnsLabel = Field(
        description="Name of the sink, unique in the resource; it stands in status and metrics. "
        "Lower-case letters, digits and hyphens. Required."
    )
    type: Literal["stdout", "file"] = Field(
        description="What the sink is. stdout: JSON lines in the pod's log; file: JSON lines in files "
        "(with the block file). Required."
    )
    file: FileSink | None = Field(
        default=None, description="Settings of a sink of type file, and only of such a one. Default none."
    )


class LocalReference(Section):
    """The name of an object in the same namespace."""

    name: DnsName = Field(description="Name of the object, in the resource's namespace. Required.")


class EnvVar(Section):
    """An environment variable with a plain value; never put a secret here."""

    name: str = Field(
        min_length=1,
        max_length=253,
        pattern="^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable. Required.",
    )
    value: str = Field(
        default="",
        max_length=4096,
        description="Its value, visible to everybody who can read the resource. Default: empty.",
    )


class Resources(Section):
    """Compute resources of the collector container."""

    limits: dict[str, Quantity] | None = Field(
        default=None,
        max_length=8,
        description="Most that the container may use. Default: memory 128Mi, no limit of CPU.",
    )
    requests: dict[str, Quantity] | None = Field(
        default=None, max_length=8, description="What the scheduler reserves. Default: cpu 20m, memory 48Mi."
    )


_OUR_LABELS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/component",
)


def _label_is_ours(key: str) -> bool:
    return key in _OUR_LABELS or key.startswith(f"{GROUP}/")


_RESTRICTED = "pods keep the restricted Pod Security Standard"
_ONE_CONTAINER = "a pod is one collector"


class Template(Section):
    """What may be said about the pods: nothing in it reaches the node, their privileges or another namespace."""

    rules = (
        Rule(
            f"!has(self.labels) || !self.labels.exists(key, key in {list(_OUR_LABELS)} || key.startsWith('{GROUP}/'))",
            f"the labels {', '.join(_OUR_LABELS)} and {GROUP}/* are the operator's own",
            lambda self: not any(_label_is_ours(key) for key in self.labels or {}),
            "labels",
        ),
        Rule(
            f"!has(self.annotations) || !self.annotations.exists(key, key.startsWith('{GROUP}/'))",
            f"annotations {GROUP}/* are the operator's own",
            lambda self: not any(key.startswith(f"{GROUP}/") for key in self.annotations or {}),
            "annotations",
        ),
        Rule(
            "!has(self.env) || !self.env.exists(e, e.name in ['POD_NAME', 'POD_UID'])",
            "POD_NAME and POD_UID are set by the operator",
            lambda self: not any(env.name in ("POD_NAME", "POD_UID") for env in self.env or ()),
            "env",
        ),
        Rule(
            "!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && "
            "self.volumes.exists(v, v.name == m.name))",
            "every volumeMount must name a volume of template.volumes",
            lambda self: {m.name for m in self.volume_mounts or ()} <= {v.name for v in self.volumes or ()},
            "volumeMounts",
        ),
    )
    refused = (
        Refused("hostNetwork", _RESTRICTED, "boolean"),
        Refused("hostPID", _RESTRICTED, "boolean"),
        Refused("hostIPC", _RESTRICTED, "boolean"),
        Refused("securityContext", _RESTRICTED),
        Refused("automountServiceAccountToken", "collectors get no token of the cluster", "boolean"),
        Refused("containers", _ONE_CONTAINER, "array"),
        Refused("initContainers", _ONE_CONTAINER, "array"),
    )
    labels: dict[str, Annotated[str, Field(max_length=63)]] | None = Field(
        default=None,
        max_length=32,
        description="More labels for the pods, for cost reports or network policies. Default none.",
    )
    annotations: dict[str, Annotated[str, Field(max_length=4096)]] | None = Field(
        default=None,
        max_length=32,
        description="More annotations for the pods, for example for a service mesh. Default none.",
    )
    resources: Resources | None = Field(
        default=None,
        description="Requests and limits of the container. Default: requests cpu 20m and memory 48Mi, "
        "limit memory 128Mi. "
        "Raise the memory for hundreds of order books.",
    )
    node_selector: dict[str, Annotated[str, Field(max_length=63)]] | None = Field(
        default=None, max_length=16, description="Labels that a node must have. Default none: any node."
    )
    tolerations: Annotated[tuple[Unchecked, ...], Kube(list_type="atomic")] | None = Field(
        default=None, max_length=16, description="Taints that the pods tolerate, as in a pod's spec. Default none."
    )
    affinity: Unchecked | None = Field(
        default=None, description="Preferred or required nodes and neighbours, as in a pod's spec. Default none."
    )
    topology_spread_constraints: Annotated[tuple[Unchecked, ...], Kube(list_type="atomic")] | None = Field(
        default=None,
        max_length=8,
        description="How the pods spread over zones or nodes, as in a pod's spec. Default: with several replicas, "
        "over nodes where that is possible. Set it to spread over zones, or to insist.",
    )
    priority_class_name: DnsName | None = Field(
        default=None, description="Priority class of the pods. Default none: the cluster's default priority."
    )
    service_account_name: DnsName | None = Field(
        default=None,
        description="Service account of the pods, for policies that look at it; its token is never "
        "mounted. Default: the namespace's default.",
    )
    image_pull_secrets: Annotated[tuple[LocalReference, ...], Kube(list_type="map", list_map_keys=["name"])] | None = (
        Field(
            default=None,
            max_length=8,
            description="Secrets with registry credentials, used by the node to pull the image. Default none.",
        )
    )
    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        pattern=r"^[^\s]+$",
        description="Collector image. Default: the operator's own setting, so that all collectors are "
        "upgraded together. Set it to pin one.",
    )
    env: Annotated[tuple[EnvVar, ...], Kube(list_type="map", list_map_keys=["name"])] | None = Field(
        default=None,
        max_length=32,
        description="Environment variables with plain values, for example for a proxy. Default none.",
    )
    volumes: Annotated[tuple[Volume, ...], Kube(list_type="map", list_map_keys=["name"])] | None = Field(
        default=None,
        max_length=16,
        description="More volumes of the pods, at most 16: ConfigMaps, Secrets, claims of the namespace and empty "
        "directories, as in a pod's spec. Default none. Records need none: a sink brings its own.",
    )
    volume_mounts: Annotated[tuple[VolumeMount, ...], Kube(list_type="map", list_map_keys=["mountPath"])] | None = (
        Field(
            default=None,
            max_length=16,
            description="Where the volumes stand in the collector's container, at most 16. Default none. For a CA "
            "bundle of your own mount it at /tls and set SSL_CERT_FILE in env.",
        )
    )


def _offer_rules() -> tuple[Rule, ...]:
    """An exchange that offers every data type needs no rule about them: the list of known ones says it."""
    partial = {name: offer for name, offer in OFFERS.items() if set(offer.data_types) < set(get_args(DataType))}
    return (
        *(_types_rule(name, offer) for name, offer in partial.items()),
        *(_depth_rule(name, offer) for name, offer in OFFERS.items()),
    )


def _types_rule(name: str, offer: Offer) -> Rule:
    return Rule(
        f"self.exchange != '{name}' || self.dataTypes.all(t, t in {list(offer.data_types)})",
        f"{name} offers {', '.join(offer.data_types)}",
        lambda self: self.exchange != name or set(self.data_types) <= set(offer.data_types),
        "dataTypes",
    )


def _depth_rule(name: str, offer: Offer) -> Rule:
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
