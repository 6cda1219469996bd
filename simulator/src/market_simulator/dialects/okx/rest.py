"""OKX's REST calls that a collector needs: paging, limits and errors (docs/exchanges/okx.md sections 7 and 8)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final

from market_simulator.dialects.okx import contracts
from market_simulator.dialects.okx import protocol as okx
from market_simulator.dialects.okx.candles import BARS, row
from market_simulator.dialects.okx.publications import Publications
from market_simulator.engine.dialect import Reply, RestRequest, View
from market_simulator.engine.events import Key
from market_simulator.engine.faults.calls import ErrorCode, How, Page, Status
from market_simulator.engine.limits import Limit, Limiter
from market_simulator.engine.truth import Fill, Truth
from market_simulator.engine.venue import Board, Venue

_EVER: Final = 1 << 62
_RECENT_BARS: Final = 1440


class RefusedError(Exception):
    """The call is answered with an error code; most of OKX's errors come with HTTP 200."""

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.reply = Reply(status, okx.compact({"code": code, "msg": message, "data": []}))


@dataclass(frozen=True, slots=True)
class Call:
    """One GET call and the data that it reads."""

    request: RestRequest
    venue: Venue
    publications: Publications
    truth: Truth

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters."""
        return self.request.query

    @property
    def view(self) -> View:
        """Differences from the truth."""
        return self.request.view

    @property
    def now_ms(self) -> int:
        """The exchange's time."""
        return self.request.now_ms

    def required(self, name: str) -> str:
        """A parameter that must not be empty."""
        if not (value := self.query.get(name, "")):
            raise RefusedError("50014", f"Parameter {name} can not be empty", 400)
        return value

    def number(self, name: str, default: int) -> int:
        """An integer parameter, 0 or larger."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit()):
            raise RefusedError("51000", f"Parameter {name} error")
        return int(text)

    def limit(self, default: int, largest: int) -> int:
        """Number of rows per page, at most `largest`."""
        return max(1, min(self.number("limit", default), largest))

    def board(self) -> Board:
        """The board of the instrument in `instId`."""
        name = self.required("instId")
        if name not in self.venue.boards or name in self.view.delisted:
            raise RefusedError("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
        return self.venue.boards[name]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A call's answer (its rows as JSON) and its limit, per IP and for some per value of a parameter."""

    answer: Callable[[Call], list[str]]
    limit: Limit
    limited_by: str = ""


class RateLimits:
    """The documented limits per IP. If they are off, every call is answered."""

    def __init__(self, is_on: bool) -> None:
        self._is_on = is_on
        self._limiter = Limiter()

    def check(self, endpoint: Endpoint, request: RestRequest) -> None:
        """Count the call.

        Raises:
            RefusedError: The limit is exceeded (50011 with HTTP 429).
        """
        caller = f"{request.path} {request.ip} {request.query.get(endpoint.limited_by, '')}"
        if self._is_on and not self._limiter.allows(endpoint.limit, caller, request.now):
            raise RefusedError("50011", "Too Many Requests", 429)


def answer(call: Call, limits: RateLimits) -> Reply:
    """Answer one GET."""
    endpoint, how = ENDPOINTS.get(call.request.path), call.request.how
    if endpoint is None:
        return Reply(404, okx.compact({"code": "404", "msg": "Not Found", "data": []}))
    try:
        limits.check(endpoint, call.request)
        _check(how)
        rows = endpoint.answer(call)
        page = how.rows(rows) if isinstance(how, Page) else rows
        return Reply(200, f'{{"code":"0","msg":"","data":[{",".join(page)}]}}')
    except RefusedError as refused:
        return refused.reply


def _check(how: How | None) -> None:
    """Raise the error of a fault."""
    match how:
        case Status():
            raise _failed(how.status)
        case ErrorCode():
            raise RefusedError(how.code, how.message)


def _failed(status: int) -> RefusedError:
    """OKX's error for an HTTP status (docs/exchanges/okx.md section 8)."""
    if status == 429:
        return RefusedError("50011", "Too Many Requests", status)
    return RefusedError("50001" if status == 503 else "50026", "System error. Try again later", status)


# -- the calls -----------------------------------------------------------------------------------------------------


def _time(call: Call) -> list[str]:
    return [f'{{"ts":"{call.now_ms}"}}']


def _instruments(call: Call) -> list[str]:
    kind, wanted = call.required("instType"), call.query.get("instId")
    if kind not in ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION"):
        raise RefusedError("51000", "Parameter instType error")
    listed = (i for i in call.venue.instruments.values() if i.id not in call.view.delisted)
    found = [i for i in listed if i.kind == kind and wanted in (None, "", i.id)]
    if wanted and not found:
        raise RefusedError("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
    preopen = {"state": "preopen"}
    return [okx.compact({**i.row, **preopen} if i.id in call.view.preopen else i.row) for i in found]


def _trades(call: Call) -> list[str]:
    name = call.board().instrument.id
    return [fill_row(name, fill) for fill in islice(_backwards(call, name, _EVER), call.limit(100, 500))]


def _history_trades(call: Call) -> list[str]:
    """Type 1 (default) pages by id, type 2 by time with `after` only. `before` without `after` gives the latest page."""
    name = call.board().instrument.id
    after, before = call.number("after", _EVER), call.number("before", -1)
    match call.query.get("type") or "1":
        case "1":
            pass
        case "2":
            after, before = call.truth.trades[name].id_at(after), -1
        case _:
            raise RefusedError("51000", "Parameter type error")
    page = islice(_backwards(call, name, after), call.limit(100, 100))
    return [fill_row(name, fill) for fill in page if fill.id > before]


def _backwards(call: Call, name: str, before_id: int) -> Iterator[Fill]:
    """The fills that REST returns, from the newest below `before_id` on."""
    history = call.truth.trades[name]
    end = min(before_id, history.last_id + 1 - call.request.lag)
    for first, last in reversed(call.view.gaps):
        yield from history.backwards(end, last + 1)
        end = min(end, first)
    yield from history.backwards(end, 0)


def fill_row(instrument: str, fill: Fill) -> str:
    """The row of a single fill, without `count`."""
    row = fill.row
    return (
        f'{{"instId":"{instrument}","side":"{row.side}","sz":"{fill.size}","px":"{row.price}",'
        f'"source":"{row.source}","tradeId":"{fill.id}","ts":"{row.ts_ms}"}}'
    )


def _books(call: Call) -> list[str]:
    board, size = call.board(), call.number("sz", 1)
    if not 1 <= size <= 400:
        raise RefusedError("51000", "Parameter sz error")
    name = board.instrument.id
    old = call.truth.books[name].before(call.request.lag) if call.request.lag else None
    row = okx.book_row(old, old.bids[:size], old.asks[:size]) if old else call.publications.of[name].shallow(size)
    return [] if row is None else [row]


def _ticker(call: Call) -> list[str]:
    row = _ticker_row(call, call.board())
    return [] if row is None else [row]


def _tickers(call: Call) -> list[str]:
    kind = call.required("instType")
    listed = (board for board in call.venue.boards.values() if board.instrument.id not in call.view.delisted)
    boards = [board for board in listed if board.instrument.kind == kind]
    rows = [_ticker_row(call, board) for board in boards]
    return [row for row in rows if row is not None]


def _ticker_row(call: Call, board: Board) -> str | None:
    name = board.instrument.id
    return call.publications.of[name].row(Key("tickers", name))


def _candles(call: Call) -> list[str]:
    return _candle_rows(call, _RECENT_BARS)


def _history_candles(call: Call) -> list[str]:
    return _candle_rows(call, None)


def _candle_rows(call: Call, bars_back: int | None) -> list[str]:
    """Bars older than `after` and newer than `before`, at most `bars_back` bars old."""
    board, limit = call.board(), call.limit(100, 300)
    bar = BARS.get(call.query.get("bar") or "1m")
    if bar is None:
        raise RefusedError("51000", "Parameter bar error")
    oldest = call.number("before", 0) + 1 if call.query.get("before") else 0
    newest = min(call.number("after", call.now_ms + 1) - 1, call.now_ms - call.request.lag * bar.length_ms)
    if bars_back is not None:
        oldest = max(oldest, bar.open_ms(call.now_ms) - bars_back * bar.length_ms)
    page_start = bar.open_ms(newest) - (limit - 1) * bar.length_ms
    candles = board.candles.history(bar, max(oldest, page_start), newest)
    page = [candle for candle in candles if oldest <= candle.open_ms]
    until_ms = board.candles_until_ms - bar.length_ms
    return [okx.compact(row(candle, candle.open_ms <= until_ms)) for candle in page]


def _contract_row(channel: str, call: Call) -> list[str]:
    """The present state of a derivative."""
    board = call.board()
    row = contracts.row(board, channel, call.request.lag)
    return [] if row is None else [row]


_TEN: Final = Limit(10, 2.0)
_TWENTY: Final = Limit(20, 2.0)
_FORTY: Final = Limit(40, 2.0)

ENDPOINTS: Final[dict[str, Endpoint]] = {
    "/api/v5/public/time": Endpoint(_time, Limit(10, 2.0)),
    "/api/v5/public/instruments": Endpoint(_instruments, _TWENTY, "instType"),
    "/api/v5/public/funding-rate": Endpoint(partial(_contract_row, "funding-rate"), _TEN, "instId"),
    "/api/v5/public/mark-price": Endpoint(partial(_contract_row, "mark-price"), _TEN, "instId"),
    "/api/v5/public/open-interest": Endpoint(partial(_contract_row, "open-interest"), _TWENTY, "instId"),
    "/api/v5/market/trades": Endpoint(_trades, Limit(100, 2.0)),
    "/api/v5/market/history-trades": Endpoint(_history_trades, _TWENTY),
    "/api/v5/market/books": Endpoint(_books, _FORTY),
    "/api/v5/market/ticker": Endpoint(_ticker, _TWENTY),
    "/api/v5/market/tickers": Endpoint(_tickers, _TWENTY),
    "/api/v5/market/candles": Endpoint(_candles, _FORTY),
    "/api/v5/market/history-candles": Endpoint(_history_candles, _TWENTY),
}
