"""Binance's REST calls that a collector needs: paging, weights and errors."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from market_simulator.dialects.binance import account, frames
from market_simulator.dialects.binance.publications import Publisher
from market_simulator.engine.account import Account
from market_simulator.engine.candles import Bar, Candle
from market_simulator.engine.dialect import Reply, RestRequest
from market_simulator.engine.faults.calls import ErrorCode, How, Page, Status
from market_simulator.engine.publications import Publications
from market_simulator.engine.truth import Fill, Truth
from market_simulator.engine.venue import Board, Venue

WEIGHT_A_MINUTE: Final = 6_000
_WINDOW_S: Final = 60
_PATIENCE: Final = 10  # calls beyond the limit until a ban
_BAN_S: Final = 120
_TOO_MANY: Final = (
    "Too many requests; current limit is {limit} request weight per 1 MINUTE. "
    "Please use WebSocket Streams for live updates to avoid polling the API."
)
_BANNED: Final = "Way too much request weight used; IP banned until {until}. Please use WebSocket Streams instead."
EXCLUSION: Final = Reply(
    451,
    frames.compact(
        {
            "code": 0,
            "msg": "Service unavailable from a restricted location according to 'b. Eligibility' in "
            "https://www.binance.com/en/terms. Please contact customer service if you believe you received this "
            "message in error.",
        }
    ),
)
"""The answer to clients in the USA, among other countries."""
LIMITS: Final = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_A_MINUTE},
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 300_000},
]


class RefusedError(Exception):
    """The call is answered with an error."""

    def __init__(self, code: int, message: str, status: int = 400, retry_after: int = 0) -> None:
        super().__init__(message)
        headers = {"Retry-After": str(retry_after)} if retry_after else {}
        self.reply = Reply(status, frames.compact({"code": code, "msg": message}), headers)


@dataclass(frozen=True, slots=True)
class Call:
    """One GET call and the data that it reads. `symbols` has the symbols by their native names."""

    request: RestRequest
    venue: Venue
    publications: Publications[Publisher]
    truth: Truth
    account: Account
    symbols: Mapping[str, str]

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters."""
        return self.request.query

    def required(self, name: str) -> str:
        """A parameter that must not be empty."""
        if not (value := self.query.get(name, "")):
            raise RefusedError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return value

    def number(self, name: str, default: int) -> int:
        """An integer parameter, 0 or larger."""
        text = self.query.get(name, "")
        if text and not (text.isascii() and text.isdigit()):
            raise RefusedError(
                -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
            )
        return int(text) if text else default

    def limit(self, default: int, largest: int) -> int:
        """Number of rows, at most `largest`."""
        return max(1, min(self.number("limit", default), largest))

    def board(self) -> Board:
        """The board of `symbol`."""
        return self.named(self.required("symbol"))

    def named(self, name: str) -> Board:
        """The board with this native name."""
        symbol = self.symbols.get(name)
        if symbol is None or symbol in self.request.view.delisted:
            raise RefusedError(-1121, "Invalid symbol.")
        return self.venue.boards[symbol]

    def boards(self) -> list[Board]:
        """All boards, or that of `symbol`."""
        if self.query.get("symbol"):
            return [self.board()]
        listed = [name for name in self.symbols.values() if name not in self.request.view.delisted]
        return [self.venue.boards[name] for name in listed]

    def rows(self, rows: list[str]) -> str:
        """A list as JSON, without the rows that a fault removes."""
        how = self.request.how
        return f"[{','.join(how.rows(rows) if isinstance(how, Page) else rows)}]"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A call's answer as JSON, and its weight."""

    answer: Callable[[Call], str]
    weight: Callable[[Call], int]


@dataclass(slots=True)
class _Caller:
    window: int = -1
    weight: int = 0
    refused: int = 0
    banned_until: float = 0.0


class Weights:
    """The weight of the calls of each IP in a minute. If it is not limited, every call is answered."""

    def __init__(self, limit: int, is_limited: bool) -> None:
        self.limit = limit
        self._is_limited = is_limited
        self._callers: defaultdict[str, _Caller] = defaultdict(_Caller)

    def add(self, weight: int, request: RestRequest) -> int:
        """Count a call. Returns the used weight of this minute.

        Raises:
            RefusedError: The limit is exceeded (429), or so often that the IP is banned (418).
        """
        caller, now = self._callers[request.ip], request.now
        if caller.window != (window := int(now // _WINDOW_S)):
            caller.window, caller.weight, caller.refused = window, 0, 0
        caller.weight += weight
        if self._is_limited and now < caller.banned_until:
            self._ban(caller, request)
        if self._is_limited and caller.weight > self.limit:
            caller.refused += 1
            if caller.refused > _PATIENCE:
                caller.banned_until = now + _BAN_S
                self._ban(caller, request)
            raise RefusedError(-1003, _TOO_MANY.format(limit=self.limit), 429, _WINDOW_S - int(now % _WINDOW_S))
        return caller.weight

    def _ban(self, caller: _Caller, request: RestRequest) -> None:
        left = caller.banned_until - request.now
        raise RefusedError(-1003, _BANNED.format(until=request.now_ms + round(left * 1000)), 418, int(left) + 1)


def answer(call: Call, weights: Weights, endpoints: Mapping[str, Endpoint]) -> Reply:
    """Answer one GET."""
    endpoint, how = endpoints.get(call.request.path), call.request.how
    if endpoint is None:
        return Reply(404, "<html><body><h2>404 Not found</h2></body></html>")
    try:
        used = weights.add(endpoint.weight(call), call.request)
        _check(how, weights.limit)
        return Reply(200, endpoint.answer(call), {"X-MBX-USED-WEIGHT-1M": str(used)})
    except RefusedError as refused:
        return refused.reply


def _check(how: How | None, limit: int) -> None:
    """Raise the error of a fault."""
    match how:
        case Status():
            raise _failed(how.status, limit)
        case ErrorCode():
            raise RefusedError(int(how.code), how.message)


def _failed(status: int, limit: int) -> RefusedError:
    if status in (418, 429):
        return RefusedError(-1003, _TOO_MANY.format(limit=limit), status, 1)
    if status >= 500:
        return RefusedError(-1001, "Internal error; unable to process your request. Please try again.", status)
    return RefusedError(-1000, "An unknown error occurred while processing the request.", status)


# -- the calls -----------------------------------------------------------------------------------------------------


def ping(call: Call) -> str:
    return "{}"


def time(call: Call) -> str:
    return frames.compact({"serverTime": call.request.now_ms})


def _exchange_info(call: Call) -> str:
    rows = [row(call, board) for board in listed(call)]
    if status := call.query.get("symbolStatus"):
        rows = [row for row in rows if row["status"] == status]
    if call.query.get("showPermissionSets") == "false":
        rows = [{name: value for name, value in row.items() if name != "permissionSets"} for row in rows]
    head = {"timezone": "UTC", "serverTime": call.request.now_ms, "rateLimits": LIMITS, "exchangeFilters": []}
    return frames.compact({**head, "symbols": rows})


def listed(call: Call) -> list[Board]:
    """The boards of `symbols`, a JSON list in which one unknown name fails the call, or of `symbol`, or all."""
    given = call.query.get("symbols", "")
    if not given:
        return call.boards()
    if not (given.startswith("[") and given.endswith("]")):
        raise RefusedError(-1100, "Illegal characters found in parameter 'symbols'.")
    return [call.named(name.strip().strip('"')) for name in given[1:-1].split(",")]


def row(call: Call, board: Board) -> dict[str, Any]:
    is_paused = board.instrument.id in call.request.view.preopen
    return {**board.instrument.row, **({"status": "BREAK"} if is_paused else {})}


def _depth(call: Call) -> str:
    board, limit = call.board(), call.limit(100, 5000)
    old = call.truth.books[board.instrument.id].before(call.request.lag) if call.request.lag else None
    if old is not None:
        last, bids, asks = old.sequence, old.bids[:limit], old.asks[:limit]
    else:
        last = board.state.sequence if board.state else 0
        bids, asks = board.book.bids.best(limit), board.book.asks.best(limit)
    return f'{{"lastUpdateId":{last},"bids":{frames.levels(bids)},"asks":{frames.levels(asks)}}}'


def depth_weight(call: Call) -> int:
    limit = call.limit(100, 5000)
    return next(weight for most, weight in ((100, 5), (500, 25), (1000, 50), (5000, 250)) if limit <= most)


def _trades(call: Call) -> str:
    name, limit = call.board().instrument.id, call.limit(500, 1000)
    return call.rows([fill_row(name, fill) for fill in newest(call, name, limit)])


def _historical_trades(call: Call) -> str:
    """The fills from `fromId` on, or the newest ones."""
    name, limit = call.board().instrument.id, call.limit(500, 1000)
    if not call.query.get("fromId"):
        return _trades(call)
    history = call.truth.trades[name]
    found = history.fills(call.number("fromId", 0), history.last_id - call.request.lag)
    return call.rows([fill_row(name, fill) for fill in islice(offered(call, found), limit)])


def newest(call: Call, name: str, limit: int) -> list[Fill]:
    history = call.truth.trades[name]
    found = history.backwards(history.last_id + 1 - call.request.lag, 0)
    return list(islice(offered(call, found), limit))[::-1]


def offered(call: Call, fills: Iterator[Fill]) -> Iterator[Fill]:
    gaps = call.request.view.gaps
    return (fill for fill in fills if not any(first <= fill.id <= last for first, last in gaps))


def fill_row(symbol: str, fill: Fill) -> str:
    """The row of a fill."""
    price, size, is_sell = fill.row.price, fill.size, fill.row.side == "sell"
    quote = frames.rounded(frames.number(price) * frames.number(size))
    return (
        f'{{"id":{fill.id},"price":"{frames.eight(price)}","qty":"{frames.eight(size)}","quoteQty":"{quote}",'
        f'"time":{fill.row.ts_ms},"isBuyerMaker":{"true" if is_sell else "false"},"isBestMatch":true}}'
    )


def _klines(call: Call) -> str:
    return call.rows([frames.kline_row(bar, candle) for bar, candle in candles(call)])


def candles(call: Call) -> list[tuple[Bar, Candle]]:
    """The candles that open from `startTime` to `endTime`, oldest first, or the newest ones."""
    board, limit, bar = call.board(), call.limit(500, 1000), frames.BARS.get(call.required("interval"))
    if bar is None:
        raise RefusedError(-1120, "Invalid interval.")
    newest = min(call.number("endTime", call.request.now_ms), call.request.now_ms - call.request.lag * bar.length_ms)
    oldest = bar.open_ms(newest) - (limit - 1) * bar.length_ms
    if call.query.get("startTime"):
        oldest = bar.open_ms(call.number("startTime", 0) + bar.length_ms - 1)
        newest = min(newest, oldest + (limit - 1) * bar.length_ms)
    found = board.candles.history(bar, oldest, newest) if newest >= oldest else []
    return [(bar, candle) for candle in found[::-1]]


_LONG_NAMES: Final = {
    "s": "symbol", "p": "priceChange", "P": "priceChangePercent", "w": "weightedAvgPrice", "x": "prevClosePrice",
    "c": "lastPrice", "Q": "lastQty", "b": "bidPrice", "B": "bidQty", "a": "askPrice", "A": "askQty", "o": "openPrice",
    "h": "highPrice", "l": "lowPrice", "v": "volume", "q": "quoteVolume", "O": "openTime", "C": "closeTime",
    "F": "firstId", "L": "lastId", "n": "count",
}  # fmt: skip
_BOOK_TICKER: Final = ("s", "b", "B", "a", "A")


def day_ticker(call: Call) -> str:
    return _ticker(call, tuple(_LONG_NAMES))


def _book_ticker(call: Call) -> str:
    return _ticker(call, _BOOK_TICKER)


def _ticker(call: Call, columns: tuple[str, ...]) -> str:
    """The columns that the events have, for `symbol`, or a list for all symbols."""
    found = [call.publications.of[board.instrument.id].ticker(call.request.now_ms) for board in call.boards()]
    named = ({_LONG_NAMES[name]: row[name] for name in columns if name in row} for row in found if row is not None)
    rows = [frames.compact(each) for each in named]
    return rows[0] if call.query.get("symbol") and rows else call.rows(rows)


def _account(call: Call) -> str:
    """The signed call. The signature is the last parameter, and belongs to the text before it."""
    signed, _, _ = call.request.query_string.partition("&signature=")
    api_key = call.request.headers.get("X-MBX-APIKEY", "")
    now_ms = call.request.now_ms + call.request.skew_ms
    if refused := account.checked(call.account.key, api_key, signed, call.query, now_ms):
        raise RefusedError(int(refused[0]), refused[1], 401 if refused[0] in account.UNAUTHORIZED else 400)
    return frames.compact(account.status(call.account, call.query.get("omitZeroBalances") == "true"))


def fixed(weight: int) -> Callable[[Call], int]:
    return lambda call: weight


def by_symbol(one: int, every: int) -> Callable[[Call], int]:
    return lambda call: one if call.query.get("symbol") else every


API: Final = "/api/v3/"
ENDPOINTS: Final[dict[str, Endpoint]] = {
    API + "ping": Endpoint(ping, fixed(1)),
    API + "time": Endpoint(time, fixed(1)),
    API + "exchangeInfo": Endpoint(_exchange_info, fixed(20)),
    API + "depth": Endpoint(_depth, depth_weight),
    API + "trades": Endpoint(_trades, fixed(25)),
    API + "historicalTrades": Endpoint(_historical_trades, fixed(25)),
    API + "klines": Endpoint(_klines, fixed(2)),
    API + "ticker/24hr": Endpoint(day_ticker, by_symbol(2, 80)),
    API + "ticker/bookTicker": Endpoint(_book_ticker, by_symbol(2, 4)),
    API + "account": Endpoint(_account, fixed(20)),
}
