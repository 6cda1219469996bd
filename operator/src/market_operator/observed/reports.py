"""Reads a collector's status document (contract 1). Missing fields become empty, and new ones are ignored.

It comes from a pod, so it is not trusted: strings are cut, lists are bounded, types are checked. Example:

    {"contract": 1, "epoch": "0b1c/2026-11-22T10:00:00Z", "shard": 0, "health": "Healthy", "counters": {"messages": 12},
     "connections": [{"name": "public", "state": "connected", "since": "2026-11-22T10:00:01Z"}],
     "streams": [{"stream": "BTC-USDT/trade", "state": "live", "since": "2026-11-22T10:00:02Z", "reason": ""}],
     "gaps": [], "sinks": [{"name": "out", "type": "stdout", "healthy": true, "error": ""}]}
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from market_operator.errors import ReportError
from market_operator.observed.counters import Counters, read_counters

CONTRACT = 1
LIST_LIMIT = 10_000
TEXT_LIMIT = 300
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Connection:
    """state: connecting, connected, draining, backoff, stopped. `reason` says why it is not connected."""

    name: str
    state: str
    since: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stream:
    """state: pending, live, quiet, stale, refused.

    `name` is SYMBOL/type, such as BTC-USDT/trade, or account/balance. `message` explains the reason.
    """

    name: str
    state: str
    since: str
    reason: str
    message: str = ""

    @property
    def symbol(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Gap:
    """An open or closed gap. The states are those of /status."""

    id: str
    stream: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sink:
    """`error` is the sink's last error."""

    name: str
    healthy: bool
    dropped: int
    error: str


@dataclass(frozen=True, slots=True)
class Report:
    """One status document. Times are RFC 3339 strings, empty if absent."""

    epoch: str
    shard: int
    health: str
    reason: str
    counters: Counters
    connections: tuple[Connection, ...]
    streams: tuple[Stream, ...]
    gaps: tuple[Gap, ...]
    sinks: tuple[Sink, ...]
    last_message_time: str
    last_reconnect_time: str
    last_reconnect_reason: str

    @property
    def condition_inputs(self) -> tuple[object, ...]:
        """The fields that conditions depend on: no counters, and no times that change with every message."""
        return self.epoch, self.health, self.reason, self.connections, self.streams, self.gaps, self.sinks


def read_report(text: str | bytes) -> Report:
    """The report in `text`.

    Raises:
        ReportError: it is not a JSON object, or it has an unknown contract.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ReportError("it is no JSON") from error
    if not isinstance(document, dict):
        raise ReportError("it is no JSON object")
    if document.get("contract") != CONTRACT:
        raise ReportError(f"it speaks contract {str(document.get('contract'))[:20]}, this operator contract {CONTRACT}")
    if not _text(document, "epoch"):
        raise ReportError("it names no epoch")
    return _report(document)


def _report(document: dict[str, Any]) -> Report:
    reconnect = document.get("lastReconnect")
    reconnect = reconnect if isinstance(reconnect, dict) else {}
    counters = document.get("counters")
    return Report(
        epoch=_text(document, "epoch")[:253],
        shard=_whole(document, "shard"),
        health=_text(document, "health"),
        reason=_text(document, "reason"),
        counters=read_counters(counters if isinstance(counters, dict) else {}),
        connections=_all(document, "connections", _connection),
        streams=_all(document, "streams", _stream),
        gaps=_all(document, "gaps", _gap),
        sinks=_all(document, "sinks", _sink),
        last_message_time=_time(document, "lastMessageTime"),
        last_reconnect_time=_time(reconnect, "time"),
        last_reconnect_reason=_text(reconnect, "reason"),
    )


def _connection(item: dict[str, Any]) -> Connection:
    reason = _text(item, "reason") or _text(item, "error")
    return Connection(_text(item, "name"), _text(item, "state"), _time(item, "since"), reason)


def _stream(item: dict[str, Any]) -> Stream:
    name, state = _text(item, "stream")[:128], _text(item, "state")
    return Stream(name, state, _time(item, "since"), _text(item, "reason"), _text(item, "message"))


def _gap(item: dict[str, Any]) -> Gap:
    return Gap(_text(item, "id"), _text(item, "stream"), _text(item, "state"), _text(item, "reason"))


def _sink(item: dict[str, Any]) -> Sink:
    return Sink(_text(item, "name"), item.get("healthy") is True, _whole(item, "dropped"), _text(item, "error"))


def _all(document: dict[str, Any], name: str, read: Callable[[dict[str, Any]], T]) -> tuple[T, ...]:
    items = document.get(name)
    return tuple(read(item) for item in items[:LIST_LIMIT] if isinstance(item, dict)) if isinstance(items, list) else ()


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    # Most strings are equal in thousands of reports, so they are interned.
    return sys.intern(value[:TEXT_LIMIT]) if isinstance(value, str) else ""


def _whole(document: dict[str, Any], name: str) -> int:
    value = document.get(name)
    return value if isinstance(value, int) and value >= 0 else 0


def _time(document: dict[str, Any], name: str) -> str:
    """A time in UTC to the second; empty if it is not a time, since the API server would refuse it."""
    try:
        moment = datetime.fromisoformat(_text(document, name))
    except ValueError:
        return ""
    return _utc(moment) if moment.tzinfo else ""


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
