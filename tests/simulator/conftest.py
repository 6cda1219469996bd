"""Starts the simulator as a separate process, and connects to it as an ordinary client."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect

RECORDINGS = Path(__file__).parents[1] / "recordings" / "okx"


@dataclass
class Program:
    """A running simulator."""

    process: subprocess.Popen[str]
    listen: str
    rest: str
    control: str
    log: Path


@dataclass
class Client:
    """One WebSocket connection, and the frames received so far."""

    socket: ClientConnection
    frames: list[str] = field(default_factory=list)

    async def subscribe(self, *streams: str, op: str = "subscribe", request_id: str = "t1") -> None:
        """Subscribe to streams named `channel:instrument` in one request."""
        args = [dict(zip(("channel", "instId"), stream.split(":"), strict=True)) for stream in streams]
        await self.socket.send(json.dumps({"id": request_id, "op": op, "args": args}))

    async def text(self, timeout: float = 5.0) -> str:
        async with asyncio.timeout(timeout):  # wait_for of Python 3.11 can lose a cancellation
            frame = await self.socket.recv()
        assert isinstance(frame, str)
        self.frames.append(frame)
        return frame

    async def message(self, timeout: float = 5.0) -> Any:
        return json.loads(await self.text(timeout))

    async def messages(self, count: int) -> list[Any]:
        return [await self.message() for _ in range(count)]

    async def until(self, matches: Callable[[Any], bool], at_most: int = 50_000) -> Any:
        """The next message that matches; other messages are skipped (and kept in `frames`)."""
        for _ in range(at_most):
            if matches(message := await self.message()):
                return message
        raise AssertionError("no matching message arrived")


class Control:
    """The control address of one program."""

    def __init__(self, program: Program, http: aiohttp.ClientSession) -> None:
        self.url, self.http = program.control, http

    async def call(self, method: str, call: str, expected: int = 200, /, **body: Any) -> Any:
        async with self.http.request(method, f"{self.url}{call}", data=json.dumps(body) if body else None) as reply:
            text = await reply.text()
            assert reply.status == expected, text
            lines = [json.loads(line) for line in text.splitlines()]
        return lines if reply.content_type == "application/x-ndjson" else lines[0]

    async def get(self, call: str, expected: int = 200) -> Any:
        return await self.call("GET", call, expected)

    async def post(self, call: str, expected: int = 200, /, **body: Any) -> Any:
        return await self.call("POST", call, expected, **body)


@contextmanager
def programs(folder: Path) -> Iterator[Callable[..., Program]]:
    """Start simulators on free ports; each must end with exit code 0 and without a traceback in its log."""
    running: list[Program] = []

    def run(*arguments: str, hash_seed: str = "random") -> Program:
        log = folder / f"simulator-{len(running)}.log"
        command = [sys.executable, "-m", "market_simulator", "serve", "--exchange", "okx", *arguments]
        command += ["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]
        with log.open("w") as stderr:
            environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        running.append(Program(process, **json.loads(line), log=log))
        return running[-1]

    yield run
    for program in running:
        program.process.send_signal(signal.SIGTERM)
    for program in running:
        assert program.process.stdout is not None
        with program.process.stdout:
            assert program.process.wait(10) == 0
        assert "Traceback" not in program.log.read_text()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts simulators for one test."""
    with programs(tmp_path) as run:
        yield run


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One simulator for all tests of a file that do not change it. Its market is almost idle."""
    with programs(tmp_path_factory.mktemp("quiet")) as run:
        yield run("--market", "7", "--symbols", "BTC-USDT", "--rate", "0.001")


@pytest_asyncio.fixture
async def dial() -> AsyncIterator[Callable[..., Any]]:
    """Open WebSocket connections that are closed after the test."""
    open_ones: list[ClientConnection] = []

    async def open_one(program: Program, path: str = "public", **more: Any) -> Client:
        more = {"ping_interval": None, "close_timeout": 0.1, "compression": None, "max_size": None, **more}
        socket = await connect(f"{program.listen}/ws/v5/{path}", **more)
        open_ones.append(socket)
        return Client(socket)

    yield open_one
    for socket in open_ones:
        await socket.close()


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def control_of(http: aiohttp.ClientSession) -> Callable[[Program], Control]:
    """The control address of a program."""
    return lambda program: Control(program, http)


@pytest.fixture
def recording_2022() -> Path:
    """BTC-USDT and BTC-USD-220527: checksums, no sequence numbers."""
    return RECORDINGS / "ws_public_2022-05-13_btc.jsonl"


@pytest.fixture
def recording_2026() -> Path:
    """BTC-USDT-SWAP: sequence numbers, no checksums."""
    return RECORDINGS / "ws_public_2026-09-26_btc-usdt-swap_part1.jsonl"
