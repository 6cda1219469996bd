"""Reads a collector's status document (contract 1). Missing fields become empty, and new ones are ignored.

It comes from a pod, so it is not trusted: strings are cut, lists are bounded, types are checked. Example:

    {"contract": 1, "epoch": "0b1c/2026-11-22T10:00:00Z", "shard": 0, "health": "Healthy", "counters": {"messages": 12},
     "connections": [{"name": "public", "state": "connected", "since": "2026-11-22T10:00:01Z"}],
     "streams": [{"stream": "BTC-USDT/trade", "state": "live", "since": "2026-11-22T10:00:02Z", "reason": ""}],
     "gaps": [], "sinks": [{"name": "out", "type": "stdout", "healthy": true, "error": ""}]}
"""

import json
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from market_operator.errors import ReportError
from market_operator.observed.counters import LARGEST, Counters, read_counters
from market_operator.observed.reported_streams import STREAMS_LIMIT, Stream, Streams, pack
from market_spec.collection import MAX_SINKS

CONTRACT = 1
TEXT_LIMIT = 300
NAME_LIMIT = 128
CONNECTIONS_LIMIT = 32
OPEN_GAPS_LIMIT = 1_000
"""A collector reports at most 100 gaps, the open ones first."""
SMALL = 4096
"""Bytes of a report that take no share of the memory, like the record of its pod."""
YEARS = range(2000, 2101)
"""Times outside of these years are not believed."""
VALUES_LIMIT = 300_000
"""Most values in a document. 8,000 streams with eight sinks, as 500 symbols with all data types have, are 160,000."""
POSITION_BYTES = 4_000
POSITIONS_BYTES = 900_000
"""Longest positions of a report. Those of 8,000 streams have 400 kB. Longer ones would not fit into a ConfigMap."""
POSITION_NUMBERS = ("last", "head", "time_ns")
_WORDS = {
    word: word for word in ("live", "quiet", "pending", "stale", "connected", "public", "business", "Healthy", "")
}


@dataclass(frozen=True, slots=True)
class Connection:
    """state: connecting, connected, draining, backoff, stopped. `reason` says why it is not connected.

    `problem` is RegionRestricted if the exchange excludes the region of the pod, else empty.
    """

    name: str
    state: str
    since: str
    reason: str
    problem: str


@dataclass(frozen=True, slots=True)
class Sink:
    """`error` is the sink's last error."""

    name: str
    healthy: bool
    error: str


@dataclass(frozen=True, slots=True)
class Report:
    """The parts of a status document that the operator reads. Times are RFC 3339 strings, empty if absent.

    `open_gaps` has the stream of each open gap.
    """

    epoch: str
    shard: int
    health: str
    reason: str
    counters: Counters
    connections: tuple[Connection, ...]
    streams: Streams
    open_gaps: tuple[str, ...]
    sinks: tuple[Sink, ...]
    last_message_time: str
    last_reconnect_time: str
    last_reconnect_reason: str
    positions: str = ""
    """Where each stream ended, by its name, as JSON: null for one without a position; empty if it was not reported."""

    @property
    def condition_inputs(self) -> tuple[object, ...]:
        """The fields that conditions depend on: no counters, and no times that change with every message."""
        return self.epoch, self.health, self.reason, self.connections, self.streams, self.open_gaps, self.sinks

    @property
    def size(self) -> int:
        """Estimate of the memory in bytes, beside what a small report takes."""
        texts = (text for part in (self.connections, self.sinks) for each in part for text in astuple(each))
        own = sum(len(text) for text in (*texts, *self.open_gaps) if isinstance(text, str))
        return max(0, own + self.streams.size + len(self.positions) - SMALL)


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
        connections=tuple(map(_connection, _items(document, "connections", CONNECTIONS_LIMIT))),
        streams=pack(map(_stream, _items(document, "streams", STREAMS_LIMIT))),
        open_gaps=tuple(_open_gaps(document)),
        sinks=tuple(map(_sink, _items(document, "sinks", MAX_SINKS))),
        last_message_time=_time(document, "lastMessageTime"),
        last_reconnect_time=_time(reconnect, "time"),
        last_reconnect_reason=_text(reconnect, "reason"),
        positions=_positions(document),
    )


def _positions(document: dict[str, Any]) -> str:
    items = document.get("positions")
    if not isinstance(items, dict):
        return ""
    found = {_word(name)[:NAME_LIMIT]: _position(item) for name, item in islice(items.items(), STREAMS_LIMIT)}
    text = _dump(found)
    if len(text) > POSITIONS_BYTES:
        text = _dump({name: item and {"line": _before_missing(item["line"])} for name, item in found.items()})
    return text if len(text) <= POSITIONS_BYTES else ""


def _dump(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def _position(item: Any) -> dict[str, Any] | None:
    """A position with valid numbers, else null. If it is too long, an earlier one that says the same in fewer words."""
    line = item.get("line") if isinstance(item, dict) else None
    if not isinstance(line, dict) or not all(map(_is_number, (line.get(name, 0) for name in POSITION_NUMBERS))):
        return None
    try:
        return item if len(_dump(item)) <= POSITION_BYTES else {"line": _before_missing(line)}
    except ValueError:  # NaN or Infinity, which other parsers refuse with the whole document
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and abs(value) <= LARGEST


def _before_missing(line: dict[str, Any]) -> dict[str, Any]:
    """The position before everything that is missing: the next pod's backfill then includes that."""
    kept = {name: line[name] for name in POSITION_NUMBERS if name in line}
    starts = [each[0] for each in line.get("holes", ()) if isinstance(each, list) and each and _is_number(each[0])]
    return {**kept, "last": min(starts) - 1} if starts else kept


def _connection(item: dict[str, Any]) -> Connection:
    reason = _text(item, "reason") or _text(item, "error")
    problem = _text(item, "problem")[:NAME_LIMIT]
    return Connection(_text(item, "name"), _text(item, "state"), _time(item, "since"), reason, problem)


def _stream(item: dict[str, Any]) -> Stream:
    name, state = _text(item, "stream")[:NAME_LIMIT], _text(item, "state")[:NAME_LIMIT]
    return Stream(name, state, _time(item, "since"), _text(item, "reason"), _text(item, "message"))


def _open_gaps(document: dict[str, Any]) -> Iterator[str]:
    """The stream of each gap that is open."""
    items = document.get("gaps")
    found = items if isinstance(items, list) else []
    gaps = (each for each in found if isinstance(each, dict) and each.get("state") == "open")
    return (_text(gap, "stream")[:NAME_LIMIT] for gap in islice(gaps, OPEN_GAPS_LIMIT))


def _sink(item: dict[str, Any]) -> Sink:
    return Sink(_text(item, "name"), item.get("healthy") is True, _text(item, "error"))


def _items(document: dict[str, Any], name: str, limit: int) -> Iterator[dict[str, Any]]:
    """The first objects in a list."""
    items = document.get(name)
    return islice((item for item in items if isinstance(item, dict)), limit) if isinstance(items, list) else iter(())


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    return _word(value) if isinstance(value, str) else ""


def _word(value: str) -> str:
    """A string without control characters, since they must reach no status, log or terminal. States exist only once."""
    value = value[:TEXT_LIMIT]
    if not value.isprintable():
        value = "".join(each if each.isprintable() else "\ufffd" for each in value)
    return _WORDS.get(value, value)


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
