"""An exchange that does nothing but send: a TLS WebSocket server on loopback whose frames are made beforehand.

It waits until a client has subscribed to everything on the tape, sends the tape's first loop, and then further loops
when its parent orders them: as fast as the client reads, or evenly spaced. A child process, one for each client.
"""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

from bench import frames, worker
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

CHUNK_BYTES = 64 * 1024
READ_BYTES = 64 * 1024
LONGEST_S = 60.0
"""No order keeps sending for longer."""


class Client:
    """One client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = ServerProtocol()
        self._asked: set[tuple[str, str]] = set()
        self.loops_sent = 0

    async def serve_until(self, arguments: int) -> bool:
        """Answers until the client has asked for so many streams; False when it left before."""
        while len(self._asked) < arguments:
            if not await self._step():
                return False
        return True

    async def serve(self) -> None:
        """Answers pings until the client leaves."""
        while await self._step():
            pass
        self._writer.close()

    async def _step(self) -> bool:
        data = await self._reader.read(READ_BYTES)
        if not data:
            return False
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._on_text(bytes(event.data))
        for out in self._protocol.data_to_send():
            self._writer.write(out)
        return self._protocol.state is State.OPEN

    def _on_text(self, text: bytes) -> None:
        if text == b"ping":
            self._protocol.send_text(b"pong")
            return
        request = json.loads(text)
        if request["op"] == "subscribe":
            self._asked |= {(arg["channel"], arg["instId"]) for arg in request["args"]}

    async def send(self, data: bytes) -> None:
        """Returns when the client's side has room for more."""
        self._writer.write(data)
        await self._writer.drain()


class Blaster:
    """The server and its newest client."""

    def __init__(self, books: int) -> None:
        self._books = books
        self._streams = books * len(frames.CHANNELS)
        self._client: Client | None = None
        self._subscribed = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, certificate: str, key: str) -> worker.Answer:
        """Starts to listen on a free port of loopback."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        return {"port": self._server.sockets[0].getsockname()[1]}

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(reader, writer)
        try:
            if await client.serve_until(self._streams):
                self._client = client
                await client.send(b"".join(self._next(client, 1)))
                self._subscribed.set()
                await client.serve()
        except ConnectionError:
            return  # a client under test was ended: it does not say goodbye

    async def served(self) -> worker.Answer:
        """Returns once the next client has subscribed and was sent the first loop."""
        await asyncio.wait_for(self._subscribed.wait(), LONGEST_S)
        self._subscribed.clear()
        return {"messages": self._loop_length()}

    async def blast(self, loops: int) -> worker.Answer:
        """Sends the next loops as fast as the client reads."""
        client = self._present()
        chunks = list(_chunks(self._next(client, loops)))
        began = time.monotonic()
        async with asyncio.timeout(LONGEST_S):
            for chunk in chunks:
                await client.send(chunk)
        return {"messages": loops * self._loop_length(), "seconds": time.monotonic() - began}

    async def pace(self, loops: int, per_second: float) -> worker.Answer:
        """Sends the next loops at even distances, one message a time."""
        client = self._present()
        messages = self._next(client, loops)
        began = time.monotonic()
        async with asyncio.timeout(LONGEST_S):
            for number, message in enumerate(messages, 1):
                await client.send(message)
                await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        return {"messages": len(messages), "seconds": time.monotonic() - began}

    def _present(self) -> Client:
        assert self._client is not None, "no client has subscribed yet"
        return self._client

    def _next(self, client: Client, loops: int) -> list[bytes]:
        first, client.loops_sent = client.loops_sent, client.loops_sent + loops
        tape = frames.tape("sequence", range(first, first + loops), books=self._books)
        return [Frame(Opcode.TEXT, text.encode()).serialize(mask=False) for text in tape]

    def _loop_length(self) -> int:
        return len(frames.tape("sequence", range(1), books=self._books))


def _chunks(messages: Sequence[bytes]) -> Iterator[bytes]:
    """The messages joined to writes of about `CHUNK_BYTES`."""
    held: list[bytes] = []
    size = 0
    for message in messages:
        held.append(message)
        size += len(message)
        if size >= CHUNK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


async def main(books: int) -> None:
    """Carries out orders until standard input ends."""
    blaster = Blaster(books)
    orders: dict[str, Callable[..., Awaitable[worker.Answer]]]
    orders = {"listen": blaster.listen, "served": blaster.served, "blast": blaster.blast, "pace": blaster.pace}
    while line := await asyncio.to_thread(sys.stdin.readline):
        arguments = json.loads(line)
        worker.send(await orders[arguments.pop("order")](**arguments))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
