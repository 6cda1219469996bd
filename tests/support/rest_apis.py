"""Imaginary REST APIs of exchanges, and servers that answer for them."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat

from market_collector.exchanges.http_status import problem_of_status
from market_collector.exchanges.interface import Budget, ProblemKind, RestProblem
from market_collector.exchanges.okx.rest import OkxRestApi

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
        return RestProblem(ProblemKind.BUSY, 0.3) if b"Rate limit exceeded" in body else None

    def used_share(self, headers: Mapping[str, str]) -> float:
        """Of 6000 a minute."""
        return float(headers.get("x-mbx-used-weight-1m", 0)) / 6000


API = Weighing()

Scripted = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body."""


class Received(list[tuple[str, str, bytes]]):
    """Method, path and body of each request."""


@contextmanager
def scripted(answers: Sequence[Scripted], received: Received | None = None) -> Iterator[str]:
    """Serve these answers, the last one again and again; yields the base address."""
    script = chain(answers, repeat(answers[-1]))
    requests = Received() if received is None else received

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            requests.append((self.command, self.path, content))
            status, headers, body = next(script)
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


@contextmanager
def answering(status: int, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    """Serve one answer."""
    with scripted([(status, headers, body)]) as base:
        yield base
