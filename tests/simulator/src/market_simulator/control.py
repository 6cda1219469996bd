"""The control address: look at the truth and the connections, make things go wrong. Not part of the exchange."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from itertools import islice
from typing import Any, TypeVar

from aiohttp import web

from market_simulator.events import Trades
from market_simulator.faults import Lose, Refuse, Silence
from market_simulator.hub import Connection
from market_simulator.okx import Path, merged_trades
from market_simulator.rest import fill_row
from market_simulator.server import EXCHANGE, Exchange
from market_simulator.truth import NotKeptError

_EVER = 1 << 62
_LINES_A_WRITE = 1000
_Value = TypeVar("_Value")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BadCallError(ValueError):
    """The caller asked for something that is not there or makes no sense; the text says what is allowed."""


def application(exchange: Exchange) -> web.Application:
    """All calls of the control address."""
    app = web.Application(middlewares=[_errors_as_json])
    app[EXCHANGE] = exchange
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/state", _state)
    app.router.add_get("/truth/summary", _summary)
    app.router.add_get("/truth/trades", _trades)
    app.router.add_get("/truth/trades/merged", _merged)
    app.router.add_get("/truth/book", _book)
    app.router.add_get("/truth/sequences", _sequences)
    app.router.add_post("/faults/drop", _drop)
    app.router.add_post("/faults/lose", _lose)
    app.router.add_post("/faults/silence", _silence)
    app.router.add_post("/faults/refuse", _refuse)
    app.router.add_post("/faults/raw", _raw)
    app.router.add_get("/faults", _faults)
    app.router.add_delete("/faults", _clear)
    return app


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except NotKeptError as error:
        return web.json_response({"error": str(error)}, status=404)
    except BadCallError as error:
        return web.json_response({"error": str(error)}, status=400)


# -- looking -------------------------------------------------------------------------------------------------------


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _state(request: web.Request) -> web.Response:
    hub = request.app[EXCHANGE].hub
    connections = [_described(connection) for connection in hub.connections.values()]
    counters = {_camel(name): value for name, value in asdict(hub.counters).items()}
    return web.json_response({"connections": connections, "counters": counters})


def _described(connection: Connection) -> dict[str, Any]:
    session = connection.session
    return {
        "id": session.id,
        "path": session.path.value,
        "peer": connection.peer,
        "subscriptions": [{"channel": key.channel, "instId": key.instrument} for key in session.subscriptions],
        "framesSent": connection.frames,
        "requests": session.requests,
    }


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


async def _summary(request: web.Request) -> web.Response:
    return web.json_response(request.app[EXCHANGE].truth.summary())


async def _trades(request: web.Request) -> web.StreamResponse:
    symbol, history = _of_symbol(request, request.app[EXCHANGE].truth.trades)
    first, last = _number(request, "from", history.first_id), _number(request, "to", history.last_id)
    if history.rows and first < history.first_id:
        raise NotKeptError(f"fill {first} is not kept; kept are {history.first_id} to {history.last_id}")
    return await _lines(request, (fill_row(symbol, fill) for fill in list(history.fills(first, last))))


async def _merged(request: web.Request) -> web.StreamResponse:
    symbol, history = _of_symbol(request, request.app[EXCHANGE].truth.trades)
    rows = list(history.merged(_number(request, "from", 0), _number(request, "to", _EVER)))
    return await _lines(request, (merged_trades(Trades(0, symbol, (row,))) for row in rows))


async def _book(request: web.Request) -> web.Response:
    symbol, history = _of_symbol(request, request.app[EXCHANGE].truth.books)
    state = history.at(_number(request, "sequence", history.last_sequence))
    sides = {"bids": state.bids, "asks": state.asks}
    levels = {name: [[row.price, row.size] for row in rows] for name, rows in sides.items()}
    numbers = {"sequence": state.sequence, "previous": state.previous, "ts": str(state.ts_ms)}
    return web.json_response({"symbol": symbol, **numbers, "checksum": state.checksum, **levels})


async def _sequences(request: web.Request) -> web.StreamResponse:
    _, history = _of_symbol(request, request.app[EXCHANGE].truth.books)
    rows = list(history.sequences())
    texts = (json.dumps({"sequence": s, "previous": p, "ts": str(ts)}) for s, p, ts in rows)
    return await _lines(request, texts)


async def _lines(request: web.Request, lines: Iterable[str]) -> web.StreamResponse:
    """JSON lines, as many as there are, a thousand per write."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    rest = iter(lines)
    while chunk := list(islice(rest, _LINES_A_WRITE)):
        await response.write(("\n".join(chunk) + "\n").encode())
    await response.write_eof()
    return response


def _of_symbol(request: web.Request, by_symbol: dict[str, _Value]) -> tuple[str, _Value]:
    symbol = request.query.get("symbol", "")
    if symbol not in by_symbol:
        raise NotKeptError(f"symbol {symbol!r} is not in this market; it has {', '.join(sorted(by_symbol))}")
    return symbol, by_symbol[symbol]


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    try:
        return int(text) if text else default
    except ValueError as error:
        raise BadCallError(f"{name}={text!r} is not a whole number") from error


# -- faults --------------------------------------------------------------------------------------------------------


async def _faults(request: web.Request) -> web.Response:
    active = request.app[EXCHANGE].faults.active
    return web.json_response([{"fault": type(fault).__name__.lower(), **asdict(fault)} for fault in active])


async def _clear(request: web.Request) -> web.Response:
    return web.json_response({"ended": request.app[EXCHANGE].faults.clear()})


async def _drop(request: web.Request) -> web.Response:
    """Close (with `code`) or abort (without) the connections that are open now."""
    body, hub = await _body(request), request.app[EXCHANGE].hub
    code, chosen = _optional(body, "code", int), hub.on_path(_path(body))
    for connection in chosen:
        if code is None:
            connection.transport.abort()
        else:
            hub.close(connection, code, "")
    return web.json_response({"dropped": len(chosen)})


async def _lose(request: web.Request) -> web.Response:
    body = await _body(request)
    channel, count = _optional(body, "channel", str), _optional(body, "count", int)
    if not channel or not count or count < 1:
        raise BadCallError('lose needs {"channel": name, "count": 1 or more} and takes "symbol"')
    fault = Lose(channel, _optional(body, "symbol", str), count)
    request.app[EXCHANGE].faults.active.append(fault)
    return web.json_response({"losing": count})


async def _silence(request: web.Request) -> web.Response:
    body = await _body(request)
    until = asyncio.get_running_loop().time() + _seconds(body)
    fault = Silence(until, _optional(body, "channel", str), _optional(body, "symbol", str))
    request.app[EXCHANGE].faults.active.append(fault)
    return web.json_response({"seconds": body["seconds"]})


async def _refuse(request: web.Request) -> web.Response:
    body = await _body(request)
    status = _optional(body, "status", int) or 503
    if not 400 <= status <= 599:
        raise BadCallError(f"status {status} refuses nothing; 400 to 599 do")
    request.app[EXCHANGE].faults.active.append(Refuse(asyncio.get_running_loop().time() + _seconds(body), status))
    return web.json_response({"seconds": body["seconds"], "status": status})


async def _raw(request: web.Request) -> web.Response:
    """Send exactly this text in a text frame."""
    body, hub = await _body(request), request.app[EXCHANGE].hub
    text = _optional(body, "frame", str)
    if text is None:
        raise BadCallError('raw needs {"frame": text} and takes "path"')
    return web.json_response({"sent": hub.send_raw(_path(body), text, asyncio.get_running_loop().time())})


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.text() or "{}")
    except ValueError as error:
        raise BadCallError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadCallError("the body must be a JSON object")
    return body


def _optional(body: dict[str, Any], name: str, kind: type[_Value]) -> _Value | None:
    value = body.get(name)
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise BadCallError(f"{name} must be of type {kind.__name__}, not {value!r}")
    return value


def _seconds(body: dict[str, Any]) -> float:
    seconds = body.get("seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < 86_400:
        raise BadCallError("seconds must be a number above 0 and below 86400")
    return float(seconds)


def _path(body: dict[str, Any]) -> Path | None:
    name = _optional(body, "path", str)
    try:
        return None if name is None else Path.named(name)
    except ValueError as error:
        raise BadCallError(f"path {name!r} is not one of public, business, private, null") from error
