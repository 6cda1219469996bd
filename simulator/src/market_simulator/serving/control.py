"""The control address: it returns the truth and the connections, and injects faults. Not part of the exchange."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, TypeVar

from aiohttp import web

from market_simulator.engine.account import ApiKey
from market_simulator.engine.contracts import History
from market_simulator.engine.events import Level
from market_simulator.engine.faults import described
from market_simulator.engine.packed import PackedChange
from market_simulator.engine.truth import NotKeptError
from market_simulator.serving import fault_calls
from market_simulator.serving.body import BadCallError, Body
from market_simulator.serving.connection import Connection
from market_simulator.serving.exchange import Exchange
from market_simulator.serving.server import EXCHANGE, Handler, client_may_leave

_EVER = 1 << 62
_LINES_A_WRITE = 1000
_Value = TypeVar("_Value")


def application(exchange: Exchange) -> web.Application:
    """All calls of the control address."""
    app = web.Application(middlewares=[client_may_leave, _errors_as_json])
    app[EXCHANGE] = exchange
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/state", _state)
    app.router.add_get("/truth/summary", _summary)
    app.router.add_get("/truth/trades", _trades)
    app.router.add_get("/truth/trades/merged", _merged)
    app.router.add_get("/truth/book", _book)
    app.router.add_get("/truth/sequences", _sequences)
    app.router.add_get("/truth/changes", _changes)
    app.router.add_get("/truth/contract", _contract)
    app.router.add_get("/truth/lost", _lost)
    app.router.add_get("/truth/account", _account)
    app.router.add_post("/account/holding", _change_holding)
    app.router.add_post("/account/key", _change_key)
    app.router.add_post("/faults/{name}", _fault)
    app.router.add_delete("/faults/{name}", _clear)
    app.router.add_get("/faults", _faults)
    app.router.add_delete("/faults", _clear)
    return app


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except NotKeptError as error:
        return web.json_response({"error": str(error)}, status=404)
    except BadCallError as error:
        return web.json_response({"error": str(error)}, status=400)


# -- state and truth -----------------------------------------------------------------------------------------------


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
        "path": session.path,
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
    exchange = request.app[EXCHANGE]
    symbol, history = _of_symbol(request, exchange.truth.trades)
    first, last = _number(request, "from", 0), _number(request, "to", _EVER)
    if first and len(history) and first < history.first_id:
        raise NotKeptError(f"fill {first} is not kept; kept are {history.first_id} to {history.last_id}")
    return await _lines(request, (exchange.dialect.fill_row(symbol, fill) for fill in list(history.fills(first, last))))


async def _merged(request: web.Request) -> web.StreamResponse:
    exchange = request.app[EXCHANGE]
    symbol, history = _of_symbol(request, exchange.truth.trades)
    rows = list(history.merged(_number(request, "from", 0), _number(request, "to", _EVER)))
    return await _lines(request, (exchange.dialect.trade_row(symbol, row) for row in rows))


async def _book(request: web.Request) -> web.Response:
    symbol, history = _of_symbol(request, request.app[EXCHANGE].truth.books)
    state = history.at(_number(request, "sequence", history.last_sequence))
    levels = {"bids": _levels(state.bids), "asks": _levels(state.asks)}
    numbers = {"sequence": state.sequence, "previous": state.previous, "ts": str(state.ts_ms)}
    return web.json_response({"symbol": symbol, **numbers, "checksum": state.checksum, **levels})


async def _sequences(request: web.Request) -> web.StreamResponse:
    _, history = _of_symbol(request, request.app[EXCHANGE].truth.books)
    return await _lines(request, [json.dumps(_numbers(change)) for change in history.changes()])


async def _changes(request: web.Request) -> web.StreamResponse:
    """The changes with their levels, so that a test can rebuild a book from any state."""
    _, history = _of_symbol(request, request.app[EXCHANGE].truth.books)
    lines = (json.dumps({**_numbers(c), "bids": _levels(c.bids), "asks": _levels(c.asks)}) for c in history.changes())
    return await _lines(request, list(lines))


async def _contract(request: web.Request) -> web.StreamResponse:
    """The facts of a derivative, oldest first. `type` is markprice, openinterest, funding or liquidation."""
    symbol, board = _of_symbol(request, request.app[EXCHANGE].venue.boards)
    contract = board.contract
    if contract is None:
        raise NotKeptError(f"{symbol} is no derivative")
    histories: dict[str, History[Any]] = {
        "markprice": contract.marks,
        "openinterest": contract.interests,
        "funding": contract.rates,
        "liquidation": contract.liquidations,
    }
    name = request.query.get("type", "")
    if name not in histories:
        raise BadCallError(f"type {name!r} is not one of {', '.join(histories)}")
    return await _lines(request, [json.dumps(asdict(row), default=str) for row in list(histories[name].rows)])


def _levels(rows: Iterable[Level]) -> list[tuple[str, str]]:
    return [(row.price, row.size) for row in rows]


def _numbers(change: PackedChange) -> dict[str, Any]:
    return {"sequence": change.sequence, "previous": change.previous, "ts": str(change.ts_ms)}


async def _lines(request: web.Request, lines: Iterable[str]) -> web.StreamResponse:
    """Stream JSON lines, a thousand per write."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    rest = iter(lines)
    while chunk := list(islice(rest, _LINES_A_WRITE)):
        await response.write(("\n".join(chunk) + "\n").encode())
    await response.write_eof()
    return response


# -- the account ---------------------------------------------------------------------------------------------------


async def _account(request: web.Request) -> web.Response:
    exchange = request.app[EXCHANGE]
    rows = {name: exchange.dialect.holding_row(name, holding) for name, holding in exchange.account.holdings.items()}
    return web.json_response(rows)


async def _change_holding(request: web.Request) -> web.Response:
    """Fields: `asset`, and the decimal strings `total` and `frozen` (a part of the total)."""
    body, exchange = Body(await request.text()), request.app[EXCHANGE]
    currency = body.required("asset", body.text("asset"))
    total, frozen = _amount(body, "total"), _amount(body, "frozen", "0")
    body.done()
    if frozen > total:
        raise BadCallError(f"frozen {frozen} is more than total {total}")
    exchange.change_holding(currency, total, frozen, _now())
    return web.json_response(exchange.dialect.holding_row(currency, exchange.account.holdings[currency]))


def _amount(body: Body, name: str, default: str | None = None) -> Decimal:
    text = body.required(name, body.text(name) or default)
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise BadCallError(f"{name} {text!r} is not a decimal number") from error
    if not amount.is_finite() or amount < 0:
        raise BadCallError(f"{name} {text!r} must be 0 or more")
    return amount


async def _change_key(request: web.Request) -> web.Response:
    """Fields that are left out keep their values."""
    body, exchange = Body(await request.text()), request.app[EXCHANGE]
    old = exchange.account.key
    key = ApiKey(
        body.text("apiKey") or old.api_key,
        body.text("secretKey") or old.secret_key,
        body.text("passphrase") or old.passphrase,
    )
    body.done()
    return web.json_response({"closed": exchange.change_key(key, _now())})


def _of_symbol(request: web.Request, by_symbol: dict[str, _Value]) -> tuple[str, _Value]:
    symbol = request.app[EXCHANGE].dialect.market_name(request.query.get("symbol", ""))
    if symbol not in by_symbol:
        raise NotKeptError(f"symbol {symbol!r} is not in this market; it has {', '.join(sorted(by_symbol))}")
    return symbol, by_symbol[symbol]


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    try:
        return int(text) if text else default
    except ValueError as error:
        raise BadCallError(f"{name}={text!r} is not an integer") from error


# -- faults --------------------------------------------------------------------------------------------------------


async def _lost(request: web.Request) -> web.StreamResponse:
    """The messages that faults have swallowed, as JSON lines."""
    exchange = request.app[EXCHANGE]
    rows = exchange.faults.swallowed.rows(exchange.stream(request.query.get("channel"), request.query.get("symbol")))
    return await _lines(request, [json.dumps(row) for row in rows])


async def _faults(request: web.Request) -> web.Response:
    now = _now()
    return web.json_response([described(fault, now) for fault in request.app[EXCHANGE].faults.in_force(now)])


async def _fault(request: web.Request) -> web.Response:
    exchange = request.app[EXCHANGE]
    body = Body(await request.text(), exchange.dialect.market_name)
    return web.json_response(fault_calls.call(request.match_info["name"], exchange, body, _now()))


async def _clear(request: web.Request) -> web.Response:
    """End all faults, or those of the kind in the path."""
    return web.json_response({"ended": fault_calls.end(request.app[EXCHANGE], request.match_info.get("name"), _now())})


def _now() -> float:
    return asyncio.get_running_loop().time()
