"""An exchange that only sends: a TLS WebSocket server on loopback with frames that are encoded in advance.

A program gets the tape's first loop of each stream when it subscribes to it, over one or several connections. After
it has subscribed to all streams, it gets further loops on orders of the parent, as fast as it reads or evenly spaced.
Each program has its own child process with this server.
"""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bench import frames, worker
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

CHUNK_BYTES = 64 * 1024
READ_BYTES = 64 * 1024
LONGEST_S = 60.0
"""Time limit of an order."""

Key = tuple[str, str]
"""Channel and instrument."""


class Client:
    """One client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = ServerProtocol()

    async def requests(self) -> AsyncIterator[set[Key]]:
        """Streams of each subscribe request until the client disconnects. Pings are answered."""
        while data := await self._reader.read(READ_BYTES):
            self._protocol.receive_data(data)
            for event in self._protocol.events_received():
                if isinstance(event, Request):
                    self._protocol.send_response(self._protocol.accept(event))
                elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    yield self._read_request(bytes(event.data))
            for out in self._protocol.data_to_send():
                self._writer.write(out)
            if self._protocol.state is not State.OPEN:
                break
        self._writer.close()

    def _read_request(self, text: bytes) -> set[Key]:
        if text == b"ping":
            self._protocol.send_text(b"pong")
            return set()
        request = json.loads(text)
        return {_key(arg) for arg in request["args"]} if request["op"] == "subscribe" else set()

    async def send(self, data: bytes) -> None:
        """Send bytes, and return once there is room for more."""
        self._writer.write(data)
        await self._writer.drain()


class Addressed(NamedTuple):
    """A framed message."""

    key: Key
    frame: bytes


class Blaster:
    """The server for one program with one or more connections."""

    def __init__(self, books: int) -> None:
        self._books = books
        self._streams = books * len(frames.CHANNELS)
        self._readers: dict[Key, Client] = {}
        self._loops_sent = 0
        self._subscribed = asyncio.Event()

    async def listen(self, certificate: str, key: str) -> worker.Answer:
        """Listen on a free port of loopback."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        return {"port": self._server.sockets[0].getsockname()[1]}

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(reader, writer)
        try:
            async for asked in client.requests():
                new = asked - self._readers.keys()
                self._readers |= dict.fromkeys(asked, client)
                if new:
                    await self._send_at_once([each for each in self._tape(range(1)) if each.key in new])
                if new and len(self._readers) == self._streams:
                    self._loops_sent = 1
                    self._subscribed.set()
        except ConnectionError:
            pass  # a terminated client sends no close frame
        self._readers = {key: reader for key, reader in self._readers.items() if reader is not client}

    async def served(self) -> worker.Answer:
        """Wait until the next program has subscribed to all streams and got the first loop."""
        await asyncio.wait_for(self._subscribed.wait(), LONGEST_S)
        self._subscribed.clear()
        return {"messages": self._loop_length()}

    async def blast(self, loops: int) -> worker.Answer:
        """Send the next loops as fast as the program reads."""
        messages = self._next(loops)
        started = time.monotonic()
        async with asyncio.timeout(LONGEST_S):
            await self._send_at_once(messages)
        return {"messages": len(messages), "seconds": time.monotonic() - started}

    async def _send_at_once(self, messages: Sequence[Addressed]) -> None:
        """Send to all connections in parallel, each connection's messages in order."""
        by_client: dict[Client, list[bytes]] = {}
        for message in messages:
            by_client.setdefault(self._readers[message.key], []).append(message.frame)
        await asyncio.gather(*(_send_chunks(client, list(_chunks(held))) for client, held in by_client.items()))

    async def pace(self, loops: int, per_second: float) -> worker.Answer:
        """Send the next loops at even intervals, one message at a time."""
        messages = self._next(loops)
        started = time.monotonic()
        async with asyncio.timeout(LONGEST_S):
            for number, message in enumerate(messages, 1):
                await self._readers[message.key].send(message.frame)
                await asyncio.sleep(max(0.0, started + number / per_second - time.monotonic()))
        return {"messages": len(messages), "seconds": time.monotonic() - started}

    def _next(self, loops: int) -> list[Addressed]:
        assert len(self._readers) == self._streams, "no program has subscribed yet"
        first, self._loops_sent = self._loops_sent, self._loops_sent + loops
        return self._tape(range(first, first + loops))

    def _tape(self, loops: range) -> list[Addressed]:
        trades: frames.Trades = "trades-all" if any(name == "trades-all" for name, _ in self._readers) else "trades"
        tape = frames.messages("sequence", loops, books=self._books, trades=trades)
        return [Addressed(_key(message["arg"]), _framed(message)) for message in tape]

    def _loop_length(self) -> int:
        return len(frames.tape("sequence", range(1), books=self._books))


def _key(arg: Mapping[str, str]) -> Key:
    return arg["channel"], arg["instId"]


def _framed(message: frames.Message) -> bytes:
    return Frame(Opcode.TEXT, frames.text(message).encode()).serialize(mask=False)


async def _send_chunks(client: Client, chunks: Sequence[bytes]) -> None:
    for chunk in chunks:
        await client.send(chunk)


def _chunks(messages: Sequence[bytes]) -> Iterator[bytes]:
    """Join messages to writes of about `CHUNK_BYTES`."""
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
    """Carry out orders until standard input ends."""
    blaster = Blaster(books)
    orders: dict[str, Callable[..., Awaitable[worker.Answer]]]
    orders = {"listen": blaster.listen, "served": blaster.served, "blast": blaster.blast, "pace": blaster.pace}
    while line := await asyncio.to_thread(sys.stdin.readline):
        arguments = json.loads(line)
        worker.send(await orders[arguments.pop("order")](**arguments))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
