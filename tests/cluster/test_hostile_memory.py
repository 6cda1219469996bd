"""The operator's memory with everything that a tenant can put into it at once; honest resources beside it are served.

MC_MEMORY_RESOURCES is the number of honest ones. The default keeps the test below two minutes on two shared cores. Each
costs the operator 3.4 kB.
"""

import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import count, cycle
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from loopback import new_address
from unmeasured import NOT_MEASURED

Api = Any
Pod = Any
Eventually = Callable[..., None]
Answer = tuple[bytes, dict[str, str]]

RESOURCES = int(os.environ.get("MC_MEMORY_RESOURCES", "200"))
LIMIT_MB = 256
"""The chart's memory limit of the operator."""
LABELS = {"app.kubernetes.io/managed-by": "market-operator", "marketcollector.dev/collector": "hostile"}
CONFIGMAPS = 100
HALF_REQUESTS = 1_000
SYMBOLS = [f"S{number:02d}-USDT" for number in range(10)]
REPLICAS = 4
PODS = len(SYMBOLS) * REPLICAS
PROBES = PODS * 3 // 2


def bomb(_: str) -> Answer:
    """0.25 MB that becomes 256 MB."""
    return _bomb(), {"Content-Encoding": "gzip"}


@cache
def _bomb() -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(b" " * 2**20) for _ in range(256)), packer.flush()])


def many_values(uid: str) -> Answer:
    """Objects that take twenty times as much memory as their JSON."""
    return filled(uid, b"{}", 4 * 2**20)


def as_many_values_as_allowed(uid: str) -> Answer:
    return filled(uid, b'{"a":"' + b"b" * 20 + b'"}', 4_200_000)


def filled(uid: str, value: bytes, size: int) -> Answer:
    head = json.dumps({"contract": 1, "epoch": f"{uid}/1", "x": []}).encode()
    return head[:-2] + b",".join([value] * (size // (len(value) + 1))) + head[-2:], {}


def all_different(uid: str) -> Answer:
    """A report that is kept: no two strings are equal."""
    strings = (f"{uid}{number}".ljust(100, "x") for number in count())
    streams = [
        {"stream": next(strings), "state": "stale", "reason": next(strings), "message": next(strings)}
        for _ in range(9_000)
    ]
    gaps = [{"id": next(strings), "stream": next(strings), "state": "open"} for _ in range(5_000)]
    positions = {next(strings): {"line": {"last": number}} for number in range(6_000)}
    document = {"contract": 1, "epoch": f"{uid}/1", "streams": streams, "gaps": gaps, "positions": positions}
    return json.dumps(document, separators=(",", ":")).encode(), {}


def too_long(uid: str) -> Answer:
    return filled(uid, b"1" * 100, 40 * 2**20)


ANSWERS = (bomb, many_values, as_many_values_as_allowed, all_different, all_different, all_different, too_long)


@contextmanager
def answering(address: str, answer: Answer) -> Iterator[None]:
    """A pod's server that gives the same bytes to each request."""
    body, headers = answer

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the operator has read enough

        def log_message(self, *_: object) -> None:
            """Nothing to log."""

    server = http.server.ThreadingHTTPServer((address, 8080), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class Operator:
    """The program as in its image, not measured for coverage."""

    def __init__(self, log: Path, namespaces: list[str]) -> None:
        self.address, self._log = new_address(), log
        scope = [argument for name in namespaces for argument in ("--namespace", name)]
        command = [sys.executable, "-m", "market_operator", "run", "--http", self.address, "--health-via", "direct"]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, *scope, "--sweep-interval", "5s"],
                stdout=output,
                stderr=output,
                env={**os.environ, **NOT_MEASURED},
            )

    def check(self) -> None:
        assert self._process.poll() is None, self._log.read_text()[-5_000:]

    @property
    def peak_mb(self) -> float:
        """The largest resident memory so far, in MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        assert found
        return int(found[1]) / 1024

    def metric(self, name: str) -> float:
        try:
            with urlopen(f"http://{self.address}/metrics", timeout=30) as answer:
                lines = answer.read().decode().splitlines()
        except URLError as error:
            raise AssertionError(str(error)) from error
        found = [line for line in lines if line.startswith(f"market_operator_{name}")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@contextmanager
def half_requests(address: str) -> Iterator[None]:
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        for _ in range(HALF_REQUESTS):
            client = stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
            client.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 4_000)
        yield


@pytest.fixture
def honest(api: Api, new_ground: Callable[[], Any]) -> Iterator[Any]:
    """Another namespace with resources whose pods no node takes."""
    with new_ground() as ground, ThreadPoolExecutor(8) as threads:
        list(threads.map(ground.place.create, (f"okx-{number}" for number in range(RESOURCES))))
        yield ground.place


def fill(place: Any) -> None:
    """Creates ConfigMaps of 1 MB that look like the operator's."""
    with ThreadPoolExecutor(4) as threads:
        data = {"x": "y" * 950_000}
        documents = [{"metadata": {"name": f"cm-{n}", "labels": LABELS}, "data": data} for n in range(CONFIGMAPS)]
        list(threads.map(lambda document: place.api.create("configmaps", place.namespace, document), documents))


@pytest.mark.alone
@pytest.mark.quiet
@pytest.mark.long
@pytest.mark.timeout(300 if RESOURCES <= 200 else 1800)
def test_hostile_tenant_cannot_fill_the_operator_s_memory(
    place: Any, kubelet: Any, honest: Any, eventually: Eventually, tmp_path: Path
) -> None:
    place.create("hostile", symbols=SYMBOLS, shards=len(SYMBOLS), replicas=REPLICAS, healthCheckInterval="1s")
    operator = Operator(tmp_path / "log", [place.namespace, honest.namespace])

    def is_served() -> None:
        operator.check()
        states = [each["status"] for each in honest.api.all("mcol", honest.namespace)]
        assert len(states) == RESOURCES
        assert {each.get("observedGeneration") for each in states} == {1}

    def is_probed_and_listed(sweeps: float) -> None:
        operator.check()
        assert operator.metric("health_looks_total") > PROBES
        assert operator.metric("sweeps_total") > sweeps

    with ThreadPoolExecutor(1) as beside, ExitStack() as stack:
        stack.callback(operator.end)
        filled = beside.submit(fill, place)
        pods = kubelet.run_all(PODS)
        for pod, answer in zip(pods, cycle(ANSWERS), strict=False):
            pod.close()
            stack.enter_context(answering(pod.address, answer(pod.uid)))
        filled.result()
        sweeps = operator.metric("sweeps_total")
        stack.enter_context(half_requests(operator.address))
        eventually(is_served, 180 + RESOURCES)
        eventually(lambda: is_probed_and_listed(sweeps + 1))
        print(f"peak {operator.peak_mb:.0f} MiB with {RESOURCES} honest resources")
        assert operator.peak_mb < LIMIT_MB
