"""Bybit's REST calls that a collector needs: paging, limits and errors in the envelope."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from market_simulator.dialects.bybit import account, frames, tickers
from market_simulator.dialects.bybit.frames import compact
from market_simulator.dialects.bybit.publications import Publisher
from market_simulator.dialects.bybit.symbols import LINEAR, SPOT, category, native
from market_simulator.dialects.bybit.trade_ids import id_of
from market_simulator.engine.account import Account
from market_simulator.engine.candles import Candle
from market_simulator.engine.dialect import Reply, RestRequest
from market_simulator.engine.faults.calls import ErrorCode, How, Page, Status
from market_simulator.engine.limits import Limit, Limiter
from market_simulator.engine.publications import Publications
from market_simulator.engine.quantities import plain
from market_simulator.engine.truth import Fill, Truth
from market_simulator.engine.venue import Board, Venue

_LIMIT: Final = Limit(600, 5.0)
BAN_S: Final = 600
"""Seconds without an answer after too many calls."""
FREQUENT: Final = "access too frequent"
EXCLUSION: Final = Reply(
    403,
    "<HTML><HEAD><TITLE>ERROR: The request could not be satisfied</TITLE></HEAD><BODY>\n<H1>403 ERROR</H1>\n"
    "<H2>The request could not be satisfied.</H2>\n"
    "The Amazon CloudFront distribution is configured to block access from your country.\n</BODY></HTML>",
)
"""The answer to clients in the USA and mainland China: CloudFront's page."""
ERROR_MESSAGES: Final[Mapping[str, str]] = {
    "10000": "Server Timeout",
    "10001": "params error",
    "10002": "invalid request, please check your server timestamp or recv_window param.",
    "10003": "API key is invalid.",
    "10004": "error sign! please check your signature generation algorithm.",
    "10005": "Permission denied, please check your API key permissions.",
    "10006": "Too many visits!",
    "10009": "IP has been banned.",
    "10016": "Internal server error.",
    "10024": "The product or service you are seeking to access is not available to you due to regulatory restrictions.",
    "33004": "Your api key has expired.",
}


class RefusedError(Exception):
    """The call is answered with an error."""

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class ForbiddenError(Exception):
    """The call is answered with HTTP 403 and a reason, not with the envelope."""


@dataclass(frozen=True, slots=True)
class Call:
    """One GET call and the data that it reads. `symbols` has the symbols by category and native name."""

    request: RestRequest
    venue: Venue
    publications: Publications[Publisher]
    truth: Truth
    account: Account
    symbols: Mapping[tuple[str, str], str]

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters."""
        return self.request.query

    @property
    def category(self) -> str:
        """The required parameter `category`."""
        if (name := self.query.get("category", "")) not in (SPOT, LINEAR):
            raise RefusedError("10001", "params error: Category is invalid")
        return name

    def number(self, name: str, default: int) -> int:
        """An integer parameter, 0 or larger."""
        text = self.query.get(name, "")
        if text and not (text.isascii() and text.isdigit()):
            raise RefusedError("10001", f"params error: {name} is invalid")
        return int(text) if text else default

    def limit(self, default: int, largest: int) -> int:
        """Number of rows, at most `largest`."""
        return max(1, min(self.number("limit", default), largest))

    def board(self) -> Board:
        """The board of `symbol`."""
        symbol = self.symbols.get((self.category, self.query.get("symbol", "")))
        if symbol is None or symbol in self.request.view.delisted:
            raise RefusedError("10001", "params error: symbol invalid")
        return self.venue.boards[symbol]

    def boards(self) -> list[Board]:
        """The boards of the category, or that of `symbol`."""
        if self.query.get("symbol"):
            return [self.board()]
        listed = [board for name, board in self.venue.boards.items() if name not in self.request.view.delisted]
        return [board for board in listed if category(board.instrument.id) == self.category]

    def publisher(self, board: Board) -> Publisher:
        """The state of the topics of an instrument."""
        return self.publications.of[board.instrument.id]

    def rows(self, rows: list[str]) -> str:
        """A list as JSON, without the rows that a fault removes."""
        how = self.request.how
        return f"[{','.join(how.rows(rows) if isinstance(how, Page) else rows)}]"

    def listed(self, rows: list[str], symbol: str = "") -> str:
        """A result with a category and a list."""
        named = f'"symbol":"{symbol}",' if symbol else ""
        return f'{{{named}"category":"{self.category}","list":{self.rows(rows)}}}'


class Rates:
    """The calls of each IP. Too many of them are a ban of ten minutes."""

    def __init__(self, is_limited: bool) -> None:
        self._is_limited = is_limited
        self._limiter = Limiter()
        self._banned_until: dict[str, float] = {}

    def check(self, request: RestRequest) -> None:
        """Count the call.

        Raises:
            ForbiddenError: The IP is banned, or exceeds the limit and is banned from now on.
        """
        if not self._is_limited:
            return
        is_banned = request.now < self._banned_until.get(request.ip, request.now)
        if not is_banned and not self._limiter.allows(_LIMIT, request.ip, request.now):
            self._banned_until[request.ip] = request.now + BAN_S
            is_banned = True
        if is_banned:
            raise ForbiddenError(FREQUENT)


def answer(call: Call, rates: Rates) -> Reply:
    """Answer one GET."""
    endpoint, how = ENDPOINTS.get(call.request.path, _unknown), call.request.how
    try:
        rates.check(call.request)
        _check(how)
        return Reply(200, _envelope(call, "0", "OK", endpoint(call)))
    except RefusedError as refused:
        return Reply(refused.status, _envelope(call, refused.code, refused.message, "{}"))
    except ForbiddenError as forbidden:
        return Reply(403, str(forbidden))


def _envelope(call: Call, code: str, message: str, result: str) -> str:
    head = f'"retCode":{code},"retMsg":{compact(message)},"result":{result}'
    return f'{{{head},"retExtInfo":{{}},"time":{call.request.now_ms}}}'


def _check(how: How | None) -> None:
    """Raise the error of a fault."""
    match how:
        case Status(status=403):
            raise ForbiddenError(FREQUENT)
        case Status(status=429):
            raise RefusedError("10006", ERROR_MESSAGES["10006"], 429)
        case Status():
            raise RefusedError("10016", ERROR_MESSAGES["10016"], how.status)
        case ErrorCode():
            raise RefusedError(how.code, how.message)


# -- the calls -----------------------------------------------------------------------------------------------------


def _unknown(call: Call) -> str:
    raise RefusedError("10017", "Route not found.", 404)


def _time(call: Call) -> str:
    """The time. A shift of the clock is added to `timeNano` later, since its first 13 digits are milliseconds."""
    now_ms = call.request.now_ms
    seconds = (now_ms + call.request.skew_ms) // 1000
    return f'{{"timeSecond":"{seconds}","timeNano":"{now_ms}000000"}}'


def _instruments(call: Call) -> str:
    """Spot has no pages. Those of linear have a cursor, which is the number of the rows before."""
    rows = [compact(_instrument(call, board)) for board in call.boards()]
    if call.category == SPOT:
        return call.listed(rows)
    first, limit = call.number("cursor", 0), call.limit(500, 1000)
    cursor = str(first + limit) if first + limit < len(rows) else ""
    page = call.rows(rows[first : first + limit])
    return f'{{"category":"{LINEAR}","list":{page},"nextPageCursor":"{cursor}"}}'


def _instrument(call: Call, board: Board) -> Mapping[str, Any]:
    is_auction = board.instrument.id in call.request.view.preopen
    return {**board.instrument.row, **({"status": "PreLaunch"} if is_auction else {})}


def _orderbook(call: Call) -> str:
    """The window of the topic with 1,000 levels, with its update number, or an older book (`stale`)."""
    board = call.board()
    publisher, limit = call.publisher(board), call.limit(1 if call.category == SPOT else 25, 1000)
    topic, listing = publisher.books["orderbook.1000"], publisher.listing
    (bids, asks), sequence, ts_ms = topic.window, topic.sequence, topic.ts_ms
    old = call.truth.books[board.instrument.id].before(call.request.lag) if call.request.lag else None
    if old is not None:
        bids, asks, sequence, ts_ms = old.bids, old.asks, old.sequence, old.ts_ms
    sides = f'"b":{frames.levels(bids[:limit])},"a":{frames.levels(asks[:limit])}'
    update = max(1, topic.update - call.request.lag)
    numbers = f'"ts":{call.request.now_ms},"u":{update},"seq":{sequence},"cts":{ts_ms}'
    return f'{{"s":"{listing.name}",{sides},{numbers}}}'


def _recent_trades(call: Call) -> str:
    """The newest trades, newest first. There are no older pages."""
    board = call.board()
    symbol, limit = board.instrument.id, call.limit(60, 60) if call.category == SPOT else call.limit(500, 1000)
    history = call.truth.trades[symbol]
    found = _offered(call, history.backwards(history.last_id + 1 - call.request.lag, 0))
    return call.listed([fill_row(symbol, fill) for fill in islice(found, limit)])


def _offered(call: Call, fills: Iterator[Fill]) -> Iterator[Fill]:
    gaps = call.request.view.gaps
    return (fill for fill in fills if not any(first <= fill.id <= last for first, last in gaps))


def fill_row(symbol: str, fill: Fill) -> str:
    """The row of a fill."""
    row = fill.row
    return (
        f'{{"execId":"{id_of(symbol, row, fill.id - row.first_id)}","symbol":"{native(symbol)}","price":"{row.price}",'
        f'"size":"{fill.size}","side":"{frames.side(row)}","time":"{row.ts_ms}","isBlockTrade":{frames.flag(row, "BT")},'
        f'"isRPITrade":{frames.flag(row, "RPI")},"seq":"{row.sequence}"}}'
    )


def _klines(call: Call) -> str:
    """The candles that open from `start` to `end`, newest first, and the newest of them if they are too many."""
    board, limit, bar = call.board(), call.limit(200, 1000), frames.BARS.get(call.query.get("interval", ""))
    if bar is None:
        raise RefusedError("10001", "params error: interval invalid")
    now_ms, listing = call.request.now_ms, call.publisher(board).listing
    newest = min(call.number("end", now_ms), now_ms - call.request.lag * bar.length_ms)
    oldest = max(call.number("start", 0), bar.open_ms(newest) - (limit - 1) * bar.length_ms)
    first = bar.open_ms(oldest + bar.length_ms - 1)
    candles = board.candles.history(bar, first, newest) if newest >= first else []
    return call.listed([_kline_row(candle) for candle in candles], listing.name)


def _kline_row(candle: Candle) -> str:
    prices = (candle.open, candle.high, candle.low, candle.close)
    return compact([str(candle.open_ms), *prices, plain(candle.volume), plain(candle.turnover[1])])


def _tickers(call: Call) -> str:
    rows = [(call.publisher(board), board) for board in call.boards() if board.last is not None]
    return call.listed([compact(_ticker(publisher, board)) for publisher, board in rows])


def _ticker(publisher: Publisher, board: Board) -> dict[str, str]:
    """Unlike on the socket, spot has the best bid and ask."""
    listing = publisher.listing
    if listing.category == SPOT:
        return tickers.spot_row(listing, board) | tickers.best(board)
    return {"symbol": listing.name} | tickers.linear_row(board, publisher.direction)


def _wallet_balance(call: Call) -> str:
    request = call.request
    now_ms = request.now_ms + request.skew_ms
    refused = account.call_refusal(call.account.key, request.query_string, request.headers, now_ms)
    if refused:
        raise RefusedError(*refused)
    if call.query.get("accountType") != "UNIFIED":
        raise RefusedError("10001", "accountType only support UNIFIED.")
    return compact(account.balances(call.account, call.query.get("coin", "")))


API: Final = "/v5/"
ENDPOINTS: Final[dict[str, Callable[[Call], str]]] = {
    API + "market/time": _time,
    API + "market/instruments-info": _instruments,
    API + "market/orderbook": _orderbook,
    API + "market/recent-trade": _recent_trades,
    API + "market/kline": _klines,
    API + "market/tickers": _tickers,
    API + "account/wallet-balance": _wallet_balance,
}
