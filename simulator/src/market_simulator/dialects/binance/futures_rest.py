"""The REST calls of USD-M perpetuals that a collector needs."""

import json
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from market_simulator.dialects.binance import frames, futures, rest
from market_simulator.dialects.binance.rest import Call, Endpoint
from market_simulator.engine.candles import Bar, Candle
from market_simulator.engine.contracts import FUNDING_MS, Contract, Mark
from market_simulator.engine.quantities import plain
from market_simulator.engine.truth import Fill
from market_simulator.engine.venue import Board

WEIGHT_A_MINUTE: Final = 2_400
LIMITS: Final = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_A_MINUTE},
]


def _exchange_info(call: Call) -> str:
    head = {"timezone": "UTC", "serverTime": call.request.now_ms, "futuresType": "U_MARGINED"}
    rows = [rest.row(call, board) for board in rest.listed(call)]
    return frames.compact({**head, "rateLimits": LIMITS, "exchangeFilters": [], "assets": [], "symbols": rows})


def _depth(call: Call) -> str:
    """The book with its times. `stale` leaves out the newest changes."""
    board, limit = call.board(), call.limit(500, 1000)
    old = call.truth.books[board.instrument.id].before(call.request.lag) if call.request.lag else None
    if old is not None:
        last, ts_ms, bids, asks = old.sequence, old.ts_ms, old.bids[:limit], old.asks[:limit]
    else:
        last, ts_ms = (board.state.sequence, board.state.ts_ms) if board.state else (0, 0)
        bids, asks = board.book.bids.best(limit), board.book.asks.best(limit)
    sides = f'"bids":{futures.levels(bids)},"asks":{futures.levels(asks)}'
    return f'{{"lastUpdateId":{last},"E":{call.request.now_ms},"T":{ts_ms},{sides}}}'


def _aggregates(call: Call) -> str:
    """The fills from `fromId` on, or the newest ones. Each fill is an aggregate trade."""
    name, limit = call.board().instrument.id, call.limit(500, 1000)
    history = call.truth.trades[name]
    if call.query.get("fromId"):
        found = history.fills(call.number("fromId", 0), history.last_id - call.request.lag)
        return call.rows([_aggregate(fill) for fill in islice(rest.offered(call, found), limit)])
    return call.rows([_aggregate(fill) for fill in rest.newest(call, name, limit)])


def _aggregate(fill: Fill) -> str:
    numbers = {"a": fill.id, "p": fill.row.price, "q": fill.size, "f": fill.id, "l": fill.id}
    return frames.compact({**numbers, "T": fill.row.ts_ms, "m": fill.row.side == "sell"})


def _klines(call: Call) -> str:
    """The candles with the decimals of the instrument, as in events."""
    return call.rows([_kline(bar, candle) for bar, candle in rest.candles(call)])


def _kline(bar: Bar, candle: Candle) -> str:
    row = json.loads(frames.kline_row(bar, candle))
    row[1:6] = candle.open, candle.high, candle.low, candle.close, f"{candle.volume:f}"
    return frames.compact(row)


def _of_contract(write: Callable[[Call, Board, Contract], dict[str, Any] | None]) -> Callable[[Call], str]:
    """A call about `symbol`, or about all of them."""

    def answer(call: Call) -> str:
        boards = [(board, board.contract) for board in call.boards()]
        rows = [row for board, contract in boards if contract and (row := write(call, board, contract))]
        texts = [frames.compact(row) for row in rows]
        return texts[0] if call.query.get("symbol") and texts else call.rows(texts)

    return answer


def _premium(call: Call, board: Board, contract: Contract) -> dict[str, Any] | None:
    mark, rate = contract.marks.newest(call.request.lag), contract.rates.newest()
    if mark is None or rate is None:
        return None
    price, index = (frames.eight(text) for text in (mark.price, mark.index))
    return {
        "symbol": frames.native(board.instrument.id), "markPrice": price, "indexPrice": index,
        "estimatedSettlePrice": index, "lastFundingRate": frames.rounded(frames.number(rate.rate)),
        "interestRate": "0.00010000", "nextFundingTime": rate.due_ms, "time": mark.ts_ms,
    }  # fmt: skip


def _interest(call: Call, board: Board, contract: Contract) -> dict[str, Any] | None:
    interest = contract.interests.newest(call.request.lag)
    if interest is None:
        return None
    name = frames.native(board.instrument.id)
    return {"openInterest": plain(interest.contracts), "symbol": name, "time": interest.ts_ms}


def _funding_rates(call: Call) -> str:
    """The rates that were paid, oldest first. `startTime` and `endTime` are not read."""
    board, limit = call.board(), call.limit(100, 1000)
    contract = board.contract
    assert contract is not None  # it is a perpetual
    rates = list(contract.rates.rows)
    paid = {rate.due_ms - FUNDING_MS: rate.settled for rate in rates[: len(rates) - call.request.lag]}
    name, marks = frames.native(board.instrument.id), list(contract.marks.rows)
    rows = [_funding_rate(name, rate, time_ms, marks) for time_ms, rate in paid.items()]
    return call.rows(rows[-limit:])


def _funding_rate(name: str, rate: str, time_ms: int, marks: list[Mark]) -> str:
    mark = next((frames.eight(each.price) for each in reversed(marks) if each.ts_ms <= time_ms), "")
    numbers = {"fundingRate": frames.rounded(frames.number(rate)), "fundingTime": time_ms, "markPrice": mark}
    return frames.compact({"symbol": name, **numbers})


def _by_limit(*weights: tuple[int, int]) -> Callable[[Call], int]:
    """The weight of a number of rows; each is given with the most rows that have it."""
    return lambda call: next(weight for most, weight in weights if call.limit(500, 1000) <= most)


API: Final = "/fapi/v1/"
ENDPOINTS: Final[dict[str, Endpoint]] = {
    API + "ping": Endpoint(rest.ping, rest.fixed(1)),
    API + "time": Endpoint(rest.time, rest.fixed(1)),
    API + "exchangeInfo": Endpoint(_exchange_info, rest.fixed(1)),
    API + "depth": Endpoint(_depth, _by_limit((50, 2), (100, 5), (500, 10), (1000, 20))),
    API + "aggTrades": Endpoint(_aggregates, rest.fixed(20)),
    API + "klines": Endpoint(_klines, _by_limit((99, 1), (499, 2), (1000, 5))),
    API + "ticker/24hr": Endpoint(rest.day_ticker, rest.by_symbol(1, 40)),
    API + "premiumIndex": Endpoint(_of_contract(_premium), rest.fixed(1)),
    API + "fundingRate": Endpoint(_funding_rates, rest.fixed(0)),
    API + "openInterest": Endpoint(_of_contract(_interest), rest.fixed(1)),
}
