"""The results of `get_status` and `get_health_status`: plain dictionaries from the document of ``GET /status``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, TypedDict

import msgspec

from market_collector.api.callbacks import BLOCK_S, Subscription
from market_collector.model.streams import ConnectionState, GapState
from market_collector.net.clock import read_clock
from market_collector.telemetry.status import ConnectionStatus, Health, Status
from market_spec.messages import counted

RECENT_S = 60.0
"""Time for which the health names a callback that has held up the event loop."""
LATE_S = 2.0
"""A callback whose oldest queued record waits for longer is late."""


class State(StrEnum):
    """The state of a collector."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FAILED = "failed"


class WebsocketStats(TypedDict):
    """Summed over the collector's connections."""

    reconnections: int
    pings_sent: int
    pongs_received: int


class Gaps(TypedDict):
    """Counters of gaps."""

    detected: int
    repaired: int
    lost: int
    open: int
    missing_trades: int


class CallbackStatus(TypedDict):
    """The counters of one callback."""

    callback: str
    data_type: str
    """``event`` for a callback of stream events, ``stream`` for `ExchangeCollector.stream`."""
    calls: int
    """Records of a stream that its user took."""
    failures: int
    last_error: str
    """Of the last call; empty when it succeeded."""
    queued: int
    """Records in its queue."""
    running_seconds: float
    """Duration of the current call so far; 0 without one. For a stream, the time since its user took a record."""
    slowest_seconds: float
    blocks: int
    """Times that it held up the event loop for more than 0.05 s."""
    longest_block_seconds: float


class CollectorStatus(TypedDict):
    """The result of `ExchangeCollector.get_status`; counters start at zero with each start."""

    name: str
    exchange: str
    symbol: str
    """The only symbol; empty if there are several."""
    symbols: list[str]
    data_types: list[str]
    state: str
    """``stopped``, ``starting``, ``running``, ``stopping`` or ``failed``."""
    error: str
    """Why it failed."""
    health: str
    """``Healthy``, ``Degraded`` or ``Unhealthy``."""
    websocket_state: str
    """``connected``, ``draining``, ``connecting``, ``backoff`` or ``stopped``; of several connections the worst."""
    websocket_stats: WebsocketStats
    messages_processed: int
    """Frames received."""
    records: int
    """Records decoded from them."""
    dropped_records: int
    """Records dropped because callbacks or files were too slow."""
    last_message_time: str | None
    gaps: Gaps
    streams: list[dict[str, Any]]
    connections: list[dict[str, Any]]
    sinks: list[dict[str, Any]]
    callbacks: list[CallbackStatus]


class HealthStatus(TypedDict):
    """The result of `ExchangeCollector.get_health_status`."""

    name: str
    is_healthy: bool
    health: str
    """``Healthy``, ``Degraded`` (some data is missing or late, or a callback fails or is slow) or ``Unhealthy`` (no
    data)."""
    issues: list[str]
    """Every issue, one sentence each."""
    last_message_time: str | None


WORST_FIRST = (
    ConnectionState.STOPPED,
    ConnectionState.BACKOFF,
    ConnectionState.CONNECTING,
    ConnectionState.DRAINING,
    ConnectionState.CONNECTED,
)


def websocket_state(connections: Iterable[ConnectionStatus]) -> ConnectionState:
    """The worst of all connections: connected only when each is."""
    return min((each.state for each in connections), key=WORST_FIRST.index, default=ConnectionState.STOPPED)


def never_started(name: str) -> Status:
    """The document of a collector that has not been started."""
    return Status(
        name=name, namespace="", shard=0, version="", epoch="", started_at="", time="", health=Health.UNHEALTHY
    )


def at_rest(document: Status) -> Status:
    """The last document of a stopped collector: nothing is connected."""
    replace = msgspec.structs.replace
    connections = tuple(replace(each, state=ConnectionState.STOPPED) for each in document.connections)
    return replace(document, connections=connections, health=Health.UNHEALTHY)


def stats(document: Status) -> WebsocketStats:
    """Sums over the connections."""
    return {
        "reconnections": document.counters.reconnections,
        "pings_sent": sum(each.pings_sent for each in document.connections),
        "pongs_received": sum(each.pongs_received for each in document.connections),
    }


def gaps(document: Status) -> Gaps:
    """The counters, and the number of open gaps."""
    return {
        "detected": document.counters.gaps_detected,
        "repaired": document.counters.gaps_repaired,
        "lost": document.counters.gaps_lost,
        "open": sum(gap.state is GapState.OPEN for gap in document.gaps),
        "missing_trades": document.counters.missing_trades,
    }


def plain(parts: Iterable[msgspec.Struct]) -> list[dict[str, Any]]:
    """Parts of the document as dictionaries with snake_case names."""
    return [
        {name: value for name, value in msgspec.structs.asdict(part).items() if value is not None} for part in parts
    ]


def callback(subscription: Subscription) -> CallbackStatus:
    """The counters of a callback now."""
    since = subscription.running_since
    return {
        "callback": subscription.name,
        "data_type": "stream" if subscription.is_stream else str(subscription.data_type or "event"),
        "calls": subscription.calls,
        "failures": subscription.failures,
        "last_error": subscription.last_error,
        "queued": len(subscription.waiting),
        "running_seconds": 0.0 if since is None else time.monotonic() - since,
        "slowest_seconds": subscription.slowest_s,
        "blocks": subscription.blocks,
        "longest_block_seconds": subscription.longest_block_s,
    }


def issues(document: Status, state: State, error: str, subscriptions: Iterable[Subscription]) -> list[str]:
    """Every issue, one sentence each."""
    if state is State.FAILED:
        return [f"{state}: {error}"]
    if state is State.STOPPED:
        return [f"{state}: {error}" if error else str(state), *_failing(subscriptions)]
    now = read_clock()
    slow = [*_blocking(subscriptions, now.at), *_late(subscriptions, now.wall_ns)]
    return [*filter(None, [error, document.reason]), *_failing(subscriptions), *slow]


def health(document: Status, wrong: list[str]) -> Health:
    """The health of the document, lowered by failing and slow callbacks."""
    return Health.DEGRADED if wrong and document.health is Health.HEALTHY else document.health


def _failing(subscriptions: Iterable[Subscription]) -> Iterator[str]:
    for each in subscriptions:
        if each.last_error:
            yield f"callback {each.name} fails ({each.failures} of {each.calls} calls): {each.last_error}"


def _blocking(subscriptions: Iterable[Subscription], now: float) -> Iterator[str]:
    for each in subscriptions:
        if now - each.blocked_at < RECENT_S:
            counts = f"{each.blocks} times in {counted(each.calls, 'call')}"
            yield (
                f"callback {each.name} holds up the event loop: {counts} for more than {BLOCK_S:g} s, "
                f"{each.longest_block_s:.2f} s at most. Wait with await, or run slow work in asyncio.to_thread()"
            )


def _late(subscriptions: Iterable[Subscription], now_ns: int) -> Iterator[str]:
    for each in subscriptions:
        late_s = (now_ns - each.waiting[0].receive_time_ns) / 1e9 if each.waiting else 0.0
        if late_s > LATE_S:
            records = counted(len(each.waiting), "record")
            yield f"{each.title} is slower than the data: {records} wait, the oldest for {late_s:.0f} s"
