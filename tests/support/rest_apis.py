"""Imaginary REST APIs of exchanges, and servers that answer for them."""

import json
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from urllib.parse import parse_qs, parse_qsl, urlsplit

from market_collector.exchanges.http_status import problem_of_status
from market_collector.exchanges.interface import Budget, History, HistoryRange, ProblemKind, Request, RestProblem
from market_collector.exchanges.okx.rest import OkxRestApi
from market_collector.model.events import Candle, Trade
from market_collector.model.streams import Stream

TEAPOT = 418


class Weighing(OkxRestApi):
    """Counts weights like Binance, and reports errors with HTTP 200 like Kraken."""

    budgets: Mapping[str, Budget] = {
        "": Budget(1000.0, 1000.0),
        "weight": Budget(10.0, 20.0),
        "paced": Budget(20.0),
        **OkxRestApi.budgets,
    }

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> RestProblem | None:
        """418 is a ban; an answer with ``error`` is one."""
        if status == TEAPOT:
            return RestProblem(ProblemKind.BANNED, float(headers["retry-after"]))
        if status != 200:
            return problem_of_status(status, headers, 2.0)
        if b"EAPI:Invalid" in body:
            return RestProblem(ProblemKind.CLOCK if b"timestamp" in body else ProblemKind.KEY)
        return RestProblem(ProblemKind.BUSY, 0.3) if b"Rate limit exceeded" in body else None

    def used_share(self, bucket: str, headers: Mapping[str, str]) -> float:
        """Of 6000 a minute."""
        return float(headers.get("x-mbx-used-weight-1m", 0)) / 6000


API = Weighing()


class HistoryApi(Weighing):
    """An imaginary history of trades, and the exchange's side of it: rows of id and time, the oldest first."""

    history_page = 10

    def __init__(self, *trades: tuple[int, int]) -> None:
        self.trades = list(trades)
        self.paths: list[str] = []
        """Requests so far."""

    def answer(self, path: str) -> bytes:
        """The exchange's answer to a request."""
        self.paths.append(path)
        return json.dumps(self.page(**dict(parse_qsl(urlsplit(path).query)))).encode()

    def page(self, **query: str) -> object:
        raise NotImplementedError

    def read_history(self, stream: Stream, body: bytes, receive_time_ns: int) -> History:
        answer = json.loads(body)
        rows = answer["rows"]
        records = [
            Trade("imaginary", stream.symbol, time_ns, 1, str(number), str(number), 1, "buy", "1", "1", backfilled=True)
            for number, time_ns in rows
        ]
        return History(records, 0, self.covers([number for number, _ in rows]), answer.get("next"))

    def covers(self, numbers: Sequence[int]) -> tuple[int | None, int | None]:
        """A full page leaves out newer records."""
        return None, numbers[-1] if len(numbers) == self.history_page else None


class ByNumber(HistoryApi):
    """Like Binance: from an id, as many as requested, ascending."""

    def history(self, stream: Stream, missing: HistoryRange) -> Request:
        limit = min(missing.last - missing.first + 1, self.history_page)
        return Request(f"/trades?fromId={missing.first}&limit={limit}")

    def page(self, **query: str) -> object:
        rows = [row for row in self.trades if row[0] >= int(query["fromId"])]
        return {"rows": rows[: int(query["limit"])]}

    def covers(self, numbers: Sequence[int]) -> tuple[int | None, int | None]:
        return None, numbers[-1] if numbers else None


class ByTime(HistoryApi):
    """Like Kraken: strictly after a time, or where a cursor continues."""

    def history(self, stream: Stream, missing: HistoryRange) -> Request | None:  # type: ignore[override]
        if missing.cursor is not None:
            return Request(f"/trades?cursor={missing.cursor}")
        return None if missing.after_ns is None else Request(f"/trades?since={missing.after_ns - 1}")

    def page(self, **query: str) -> object:
        start = bisect_right(self.trades, int(query.get("since", 0)), key=lambda row: row[1])
        start = int(query.get("cursor", start))
        rows = self.trades[start : start + self.history_page]
        return {"rows": rows, "next": str(start + len(rows))}


class SparseCandles(HistoryApi):
    """Candles of one minute that had trades, ascending, from the one before the missing ones."""

    history_page = 100

    def history(self, stream: Stream, missing: HistoryRange) -> Request:
        return Request(f"/candles?from={missing.first - 1}")

    def page(self, **query: str) -> object:
        return {"rows": [row for row in self.trades if row[0] >= int(query["from"])]}

    def read_history(self, stream: Stream, body: bytes, receive_time_ns: int) -> History:
        rows = json.loads(body)["rows"]
        return History([minute(number, backfilled=True) for number, _ in rows], 0)


def minute(number: int, *, closed: bool = True, backfilled: bool = False) -> Candle:
    """A candle by its number."""
    return Candle(
        "imaginary", "BTC-USDT", None, 1, "1m", number * 60_000_000_000, "1", "2", "3", "4", "5", None, None, closed,
        backfilled=backfilled,
    )  # fmt: skip


class NewestOnly(HistoryApi):
    """Like Bybit: the newest page, whatever is missing."""

    def history(self, stream: Stream, missing: HistoryRange) -> Request:
        return Request("/trades")

    def page(self, **query: str) -> object:
        return {"rows": self.trades[-self.history_page :]}

    def covers(self, numbers: Sequence[int]) -> tuple[int | None, int | None]:
        return numbers[0] if numbers else None, None


Scripted = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body."""


class Received(list[tuple[str, str, bytes]]):
    """Method, path and body of each request."""


def scripted(answers: Sequence[Scripted], received: Received | None = None) -> AbstractContextManager[str]:
    """Serve these answers, the last one again and again; yields the base address."""
    script = chain(answers, repeat(answers[-1]))
    return served(lambda _: next(script), received)


def answering(status: int, headers: Mapping[str, str], body: bytes) -> AbstractContextManager[str]:
    """Serve one answer."""
    return scripted([(status, headers, body)])


@contextmanager
def served(answer: Callable[[str], Scripted], received: Received | None = None) -> Iterator[str]:
    """Serve the answers of a function of the path; yields the base address."""
    with serving(lambda path, headers, body: answer(path), received) as base:
        yield base


@contextmanager
def serving(
    answer: Callable[[str, dict[str, str], bytes], Scripted], received: Received | None = None
) -> Iterator[str]:
    """Serve the answers of a function of path, headers by lower-case name, and body; yields the base address."""
    requests = Received() if received is None else received

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            requests.append((self.command, self.path, content))
            named = {name.lower(): value for name, value in self.headers.items()}
            status, headers, body = answer(self.path, named, content)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def pages_of_bybit(path: str) -> Scripted:
    """Bybit's lists of instruments in pages of two: C0 and C1 of spot, contracts of C0 to C5."""
    query = parse_qs(urlsplit(path).query)
    (category,), first = query["category"], int(query.get("cursor", ["0"])[0])
    contract = {"contractType": "LinearPerpetual", "settleCoin": "USDT"} if category == "linear" else {}
    rows = [
        {"symbol": f"{base}USDT", "baseCoin": base, "quoteCoin": "USDT", "status": "Trading"} | contract
        for base in (f"C{first}", f"C{first + 1}")
    ]
    cursor = str(first + 2) if first < 4 and contract else ""
    result = {"category": category, "list": rows, "nextPageCursor": cursor}
    return 200, {}, json.dumps({"retCode": 0, "result": result}).encode()
