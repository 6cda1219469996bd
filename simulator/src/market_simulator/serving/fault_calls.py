"""The calls that inject faults: each reads the fields of its body and activates a fault."""

import asyncio
from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Final, TypeAlias

from market_simulator.engine.faults import Fault, described
from market_simulator.engine.faults.calls import ErrorCode, How, NoHistory, Page, Rest, Stale, Status, Timeout
from market_simulator.engine.faults.connections import (
    Ban,
    HalfOpen,
    LoginError,
    Notice,
    Refuse,
    SlowRead,
    SlowWrite,
    Stage,
    StuckSubscribe,
    SubscribeError,
)
from market_simulator.engine.faults.market import Crossed
from market_simulator.engine.faults.messages import (
    Corrupt,
    Cut,
    Damage,
    Delist,
    Duplicate,
    Latency,
    Lose,
    Reorder,
    Silence,
    Skew,
    Truncate,
    WrongChecksum,
)
from market_simulator.engine.faults.turns import Stream, Turns
from market_simulator.serving.body import BadCallError, Body
from market_simulator.serving.connection import Connection
from market_simulator.serving.exchange import Exchange

Answer: TypeAlias = dict[str, Any]
_Call: TypeAlias = Callable[[Exchange, Body, float], Answer]
_GOING_AWAY: Final = 1001


def call(name: str, exchange: Exchange, body: Body, now: float) -> Answer:
    """Carry out `POST /faults/NAME`; `now` is the loop's clock.

    Raises:
        BadCallError: The fault is unknown, or a field of its body is invalid.
    """
    _check(name)
    return CALLS[name](exchange, body, now)


def end(exchange: Exchange, kind: str | None, now: float) -> int:
    """End all faults (or those of a kind), and send the messages that they hold back. Returns their number.

    Raises:
        BadCallError: The fault is unknown.
    """
    if kind is not None:
        _check(kind)
    ended = exchange.faults.end(kind)
    for fault in ended:
        match fault:
            case Reorder(held=held):
                exchange.hub.release(held, now)
            case HalfOpen(connections=names):
                _abort(_these(exchange, names))
            case Notice():
                fault.is_withdrawn = True
    return len(ended)


def _check(name: str) -> None:
    if name not in CALLS:
        raise BadCallError(f"no fault is called {name!r}; there are {', '.join(sorted(CALLS))}")


# -- at once -------------------------------------------------------------------------------------------------------


def _drop(exchange: Exchange, body: Body, now: float) -> Answer:
    """Close the open connections with `code`, or cut them without one."""
    code, chosen = body.whole("code", 1000, 4999), _chosen(exchange, body)
    body.done()
    if code is None:
        _abort(chosen)
    else:
        for connection in chosen:
            exchange.hub.close(connection, code, "")
    return {"dropped": len(chosen)}


def _reset(exchange: Exchange, body: Body, now: float) -> Answer:
    chosen = _chosen(exchange, body)
    body.done()
    for connection in chosen:
        connection.reset()
    return {"dropped": len(chosen)}


def _raw(exchange: Exchange, body: Body, now: float) -> Answer:
    text, chosen = body.required("frame", body.text("frame")), _chosen(exchange, body)
    body.done()
    for connection in chosen:
        exchange.hub.send_raw(connection, text, now)
    return {"sent": len(chosen)}


def _resend(exchange: Exchange, body: Body, now: float) -> Answer:
    """Send the first messages of the selected streams, such as the snapshots of books, to all their subscribers."""
    stream = _stream(exchange, body)
    body.done()
    return {"sent": exchange.resend(stream, now)}


# -- on messages ---------------------------------------------------------------------------------------------------


def _lose(exchange: Exchange, body: Body, now: float) -> Answer:
    return _in_force(exchange, body, now, Lose(_stream(exchange, body), _turns(body, now), body.text("connection")))


def _duplicate(exchange: Exchange, body: Body, now: float) -> Answer:
    return _in_force(exchange, body, now, Duplicate(_stream(exchange, body), _turns(body, now)))


def _reorder(exchange: Exchange, body: Body, now: float) -> Answer:
    turns = _turns(body, now)
    if turns.left == 1:
        raise BadCallError("count must be 2 or more: one message has no order")
    return _in_force(exchange, body, now, Reorder(_stream(exchange, body), turns))


def _corrupt(exchange: Exchange, body: Body, now: float) -> Answer:
    damage = Damage(body.text("damage", [damage.value for damage in Damage]) or "json")
    return _in_force(
        exchange, body, now, Corrupt(_stream(exchange, body), _turns(body, now), damage, exchange.dialect.words)
    )


def _truncate(exchange: Exchange, body: Body, now: float) -> Answer:
    cut = Cut(body.text("cut", [cut.value for cut in Cut]) or "text")
    return _in_force(exchange, body, now, Truncate(_stream(exchange, body), _turns(body, now), cut))


def _wrong_checksum(exchange: Exchange, body: Body, now: float) -> Answer:
    return _in_force(
        exchange, body, now, WrongChecksum(_stream(exchange, body), _turns(body, now), exchange.dialect.words)
    )


def _silence(exchange: Exchange, body: Body, now: float) -> Answer:
    return _in_force(exchange, body, now, Silence(_stream(exchange, body), _seconds(body, now)))


def _delist(exchange: Exchange, body: Body, now: float) -> Answer:
    symbol = body.required("symbol", body.text("symbol", exchange.names))
    return _in_force(exchange, body, now, Delist(Stream(symbol=symbol), _seconds(body, now)))


def _latency(exchange: Exchange, body: Body, now: float) -> Answer:
    seconds = body.required("milliseconds", body.number("milliseconds", 1, 600_000)) / 1000
    return _in_force(exchange, body, now, Latency(_stream(exchange, body), _seconds(body, now), seconds))


def _skew(exchange: Exchange, body: Body, now: float) -> Answer:
    seconds = body.required("milliseconds", body.number("milliseconds", -86_400_000, 86_400_000)) / 1000
    return _in_force(exchange, body, now, Skew(_seconds(body, now), seconds, exchange.dialect.words))


# -- on connections ------------------------------------------------------------------------------------------------


def _refuse(exchange: Exchange, body: Body, now: float) -> Answer:
    status = body.whole("status", 400, 599) or 503
    return _in_force(exchange, body, now, Refuse(_path(exchange, body), _turns(body, now), status))


def _ban(exchange: Exchange, body: Body, now: float) -> Answer:
    """Refuse handshakes and REST calls; open connections stay."""
    region, dialect = body.flag("region"), exchange.dialect
    usual = dialect.exclusion.status if region else dialect.ban_status
    return _in_force(exchange, body, now, Ban(_seconds(body, now), body.whole("status", 400, 599) or usual, region))


def _half_open(exchange: Exchange, body: Body, now: float) -> Answer:
    """Affect new connections (`stage` tcp or handshake) or the open ones (established)."""
    stage = Stage(body.text("stage", [stage.value for stage in Stage]) or "established")
    if stage is not Stage.ESTABLISHED:
        path = None if stage is Stage.TCP else _path(exchange, body)  # the path is unknown before the handshake
        return _in_force(exchange, body, now, HalfOpen(stage, path, _turns(body, now)))
    path, turns, chosen = _path(exchange, body), _seconds(body, now), _chosen(exchange, body)
    answer = _in_force(exchange, body, now, HalfOpen(stage, path, turns, _names(chosen)))
    for connection in chosen:
        connection.is_dead = True
    _at(turns.until, lambda: _abort(chosen))
    return answer


def _slow_write(exchange: Exchange, body: Body, now: float) -> Answer:
    pace = body.required("bytesPerSecond", body.number("bytesPerSecond", 1, inf))
    return _in_force(exchange, body, now, SlowWrite(_path(exchange, body), _seconds(body, now), pace))


def _slow_read(exchange: Exchange, body: Body, now: float) -> Answer:
    pace = body.required("bytesPerSecond", body.number("bytesPerSecond", 1, inf))
    return _in_force(exchange, body, now, SlowRead(_path(exchange, body), _seconds(body, now), pace))


def _notice(exchange: Exchange, body: Body, now: float) -> Answer:
    """Send a notice to the open connections, and close them after `seconds`."""
    code = body.whole("code", 1000, 4999) or _GOING_AWAY
    fault = Notice(_names(chosen := _chosen(exchange, body)), _seconds(body, now), code)
    answer = _in_force(exchange, body, now, fault)
    for connection in chosen:
        if text := connection.session.notice(exchange.now_us(now) // 1000):
            exchange.hub.send_raw(connection, text, now)
    _at(fault.turns.until, lambda: _close_notified(exchange, fault))
    return answer


def _close_notified(exchange: Exchange, fault: Notice) -> None:
    if not fault.is_withdrawn:
        for connection in _these(exchange, fault.connections):
            exchange.hub.close(connection, fault.code, "")


def _subscribe_error(exchange: Exchange, body: Body, now: float) -> Answer:
    code = body.required("code", body.text("code"))
    message = _message(exchange, body, code)
    stream, turns, has_arg = _stream(exchange, body), _turns(body, now), body.flag("arg")
    return _in_force(exchange, body, now, SubscribeError(stream, turns, code, message, has_arg))


def _login_error(exchange: Exchange, body: Body, now: float) -> Answer:
    code = body.required("code", body.text("code"))
    return _in_force(exchange, body, now, LoginError(_turns(body, now), code, _message(exchange, body, code)))


def _stuck_subscribe(exchange: Exchange, body: Body, now: float) -> Answer:
    return _in_force(exchange, body, now, StuckSubscribe(_stream(exchange, body), _turns(body, now)))


# -- on REST -------------------------------------------------------------------------------------------------------


def _rest(exchange: Exchange, body: Body, now: float) -> Answer:
    endpoints = exchange.dialect.endpoints
    path, symbol = body.text("path", endpoints), body.text("symbol", exchange.names)
    how = _how(exchange, body)
    return _in_force(exchange, body, now, Rest(path and endpoints[path], symbol, _turns(body, now), how))


def _how(exchange: Exchange, body: Body) -> How:
    status, timeout, stale = body.whole("status", 400, 599), body.number("timeout", 0.001), body.whole("stale")
    first, every = body.whole("first", 0), body.whole("every")
    page = None if first is None and every is None else Page(first, every)
    given = (
        status and Status(status),
        _error_code(exchange, body),
        timeout and Timeout(timeout),
        stale and Stale(stale),
        page,
    )
    match [how for how in given if how]:
        case [how]:
            return how
        case _:
            raise BadCallError(
                "the kind of wrong answer is missing; give one of status, code, timeout, stale, or first and every"
            )


def _error_code(exchange: Exchange, body: Body) -> ErrorCode | None:
    code = body.text("code")
    return None if code is None else ErrorCode(code, _message(exchange, body, code))


def _message(exchange: Exchange, body: Body, code: str) -> str:
    """The message of an error, or the usual one of its code."""
    return body.text("message") or exchange.dialect.error_messages.get(code, "Simulated error")


def _no_history(exchange: Exchange, body: Body, now: float) -> Answer:
    """Leave out trades: older than the id `before`, with ids in `from` to `to`, or `swallowed` by faults."""
    symbol = body.required("symbol", body.text("symbol", exchange.names))
    before, swallowed = body.whole("before"), body.flag("swallowed")
    first, last = body.whole("from", 0), body.whole("to", 0)
    if [before is not None, first is not None and last is not None, swallowed].count(True) != 1:
        raise BadCallError("the missing trades are not given; give one of before, from and to, or swallowed")
    ids = (0, before - 1) if before is not None else (0, -1) if first is None or last is None else (first, last)
    return _in_force(exchange, body, now, NoHistory(symbol, Turns(), *ids, swallowed))


# -- in the market -------------------------------------------------------------------------------------------------


def _crossed(exchange: Exchange, body: Body, now: float) -> Answer:
    symbol = body.required("symbol", body.text("symbol", exchange.names))
    return _in_force(exchange, body, now, Crossed(symbol, _seconds(body, now), body.flag("preopen")))


def _sequence_reset(exchange: Exchange, body: Body, now: float) -> Answer:
    symbol, trades = body.required("symbol", body.text("symbol", exchange.names)), body.flag("trades")
    body.done()
    exchange.numbering[symbol].restart(trades)
    return {"symbol": symbol, "trades": trades}


def _sequence_jump(exchange: Exchange, body: Body, now: float) -> Answer:
    symbol = body.required("symbol", body.text("symbol", exchange.names))
    by = body.whole("by", 1, 1_000_000) or 1000
    body.done()
    exchange.numbering[symbol].jump(by)
    return {"symbol": symbol, "by": by}


CALLS: Final[dict[str, _Call]] = {
    "ban": _ban,
    "corrupt": _corrupt,
    "crossed": _crossed,
    "delist": _delist,
    "drop": _drop,
    "duplicate": _duplicate,
    "half-open": _half_open,
    "latency": _latency,
    "login-error": _login_error,
    "lose": _lose,
    "no-history": _no_history,
    "notice": _notice,
    "raw": _raw,
    "refuse": _refuse,
    "reorder": _reorder,
    "reset": _reset,
    "resend": _resend,
    "rest": _rest,
    "sequence-jump": _sequence_jump,
    "sequence-reset": _sequence_reset,
    "silence": _silence,
    "skew": _skew,
    "slow-read": _slow_read,
    "slow-write": _slow_write,
    "stuck-subscribe": _stuck_subscribe,
    "subscribe-error": _subscribe_error,
    "truncate": _truncate,
    "wrong-checksum": _wrong_checksum,
}


# -- shared --------------------------------------------------------------------------------------------------------


def _in_force(exchange: Exchange, body: Body, now: float, fault: Fault) -> Answer:
    body.done()
    exchange.faults.add(fault)
    return described(fault, now)


def _turns(body: Body, now: float) -> Turns:
    """Read the fields `count`, `seconds` (or both), `after`, `chance` and `seed`."""
    count, seconds = body.whole("count"), body.number("seconds", 0.001)
    if count is None and seconds is None:
        raise BadCallError("count (how often) or seconds (how long) is missing; both may be given")
    after, chance = body.whole("after", 0) or 0, body.number("chance", 0.000_001, 1.0) or 1.0
    until = inf if seconds is None else now + seconds
    return Turns(count, until, after, chance, str(body.whole("seed", 0) or 0))


def _seconds(body: Body, now: float) -> Turns:
    """Read `seconds`, the duration of a fault without a count."""
    return Turns(until=now + body.required("seconds", body.number("seconds", 0.001)))


def _stream(exchange: Exchange, body: Body) -> Stream:
    return exchange.stream(body.text("channel", exchange.dialect.channels), body.text("symbol", exchange.names))


def _path(exchange: Exchange, body: Body) -> str | None:
    paths = exchange.dialect.paths
    name = body.text("path", paths)
    return None if name is None else paths[name]


def _chosen(exchange: Exchange, body: Body) -> list[Connection]:
    return exchange.hub.open_ones(_path(exchange, body), body.text("connection"))


def _names(connections: Iterable[Connection]) -> frozenset[str]:
    return frozenset(connection.session.id for connection in connections)


def _these(exchange: Exchange, names: frozenset[str]) -> list[Connection]:
    return [connection for connection in exchange.hub.open_ones() if connection.session.id in names]


def _abort(connections: Iterable[Connection]) -> None:
    for connection in connections:
        connection.transport.abort()


def _at(moment: float, then: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_at(moment, then)
