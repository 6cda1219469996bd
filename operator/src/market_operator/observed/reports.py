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
from market_operator.observed.counters import LARGEST, Counters, read_counters

CONTRACT = 1
LIST_LIMIT = 10_000
TEXT_LIMIT = 300
YEARS = range(2000, 2101)
"""Times outside of these years are not believed."""
VALUES_LIMIT = 300_000
"""Most values in a document. 8,000 streams with eight sinks, as 500 symbols with all data types have, are 160,000."""
POSITION_BYTES = 4_000
POSITION_NUMBERS = ("last", "head", "time_ns")
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
    """state: pending, live, quiet, unknown, stale, refused.

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
    positions: str = ""
    """Where each stream ended, by its name, as JSON: null for one without a position; empty if it was not reported."""

    @property
    def condition_inputs(self) -> tuple[object, ...]:
        """The fields that conditions depend on: no counters, and no times that change with every message."""
        return self.epoch, self.health, self.reason, self.connections, self.streams, self.gaps, self.sinks


def read_report(text: str | bytes | bytearray) -> Report:
    """The report in `text`.

    Raises:
        ReportError: it is not a JSON object, it has an unknown contract, or anything in it cannot be read.
    """
    try:
        if isinstance(text, bytes | bytearray):
            _check_size(text)
        return _checked(json.loads(text))
    except ReportError:
        raise
    except ValueError as error:
        raise ReportError("it is no JSON") from error
    except RecursionError as error:
        raise ReportError("it is nested too deeply") from error
    except Exception as error:  # whatever a pod sends must not end the task that reads all pods
        raise ReportError(f"it cannot be read: {error!r:.200}") from error


def _check_size(text: bytes | bytearray) -> None:
    """Refuses a document that would fill the memory when it is parsed: each value takes up to 200 bytes."""
    if sum(map(text.count, b",[{")) > VALUES_LIMIT:
        raise ReportError(f"it has more than {VALUES_LIMIT} values")


def _checked(document: Any) -> Report:
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
        positions=_positions(document),
    )


def _positions(document: dict[str, Any]) -> str:
    items = document.get("positions")
    if not isinstance(items, dict):
        return ""
    found = {name[:128]: _position(item) for name, item in [*items.items()][:LIST_LIMIT]}
    return json.dumps(found, separators=(",", ":"))


def _position(item: Any) -> dict[str, Any] | None:
    """A position with valid numbers, else null. If it is too long, an earlier one that says the same in fewer words."""
    line = item.get("line") if isinstance(item, dict) else None
    if not isinstance(line, dict) or not all(map(_is_number, (line.get(name, 0) for name in POSITION_NUMBERS))):
        return None
    return item if len(json.dumps(item)) <= POSITION_BYTES else {"line": _before_missing(line)}


def _is_number(value: object) -> bool:
    return isinstance(value, int) and abs(value) <= LARGEST


def _before_missing(line: dict[str, Any]) -> dict[str, Any]:
    """The position before everything that is missing: the next pod's backfill then includes that."""
    kept = {name: line[name] for name in POSITION_NUMBERS if name in line}
    starts = [each[0] for each in line.get("holes", ()) if isinstance(each, list) and each and _is_number(each[0])]
    return {**kept, "last": min(starts) - 1} if starts else kept


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
    if not isinstance(value, str):
        return ""
    if not value.isprintable():  # no control character reaches a status, a log or a terminal
        value = "".join(each if each.isprintable() else "\ufffd" for each in value[:TEXT_LIMIT])
    # Most strings are equal in thousands of reports, so they are interned.
    return sys.intern(value[:TEXT_LIMIT])


def _whole(document: dict[str, Any], name: str) -> int:
    value = document.get(name)
    return min(value, LARGEST) if isinstance(value, int) and value >= 0 else 0


def _time(document: dict[str, Any], name: str) -> str:
    """A time in UTC to the second; empty if it is not a time of this century, which also the API server reads."""
    try:
        moment = datetime.fromisoformat(_text(document, name))
        return _utc(moment) if moment.tzinfo and moment.year in YEARS else ""
    except (ValueError, OverflowError):  # of a first or last year, whose time in UTC does not exist
        return ""


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
