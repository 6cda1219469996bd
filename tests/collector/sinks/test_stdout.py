"""Lines on a descriptor: whole, in order, once, and never in the event loop's way."""

import asyncio
import errno
import os
import resource
import sys
import threading
from pathlib import Path

import pytest

from market_collector.errors import SinkError, SinkGoneError
from market_collector.model.events import Record, Trade
from market_collector.sinks.encode import line
from market_collector.sinks.stdout import StdoutSink
from record_lines import lines
from records import header


def trades(first: int, last: int) -> list[Record]:
    return [
        Trade("okx", "BTC-USDT", None, number, str(number), str(number), 1, "buy", "1", "1")
        for number in range(first, last + 1)
    ]


def packed(first: int, last: int) -> list[bytes]:
    return list(map(line, trades(first, last)))


class Reader:
    """The read end of a pipe. Its thread reads to the end once it is started."""

    def __init__(self) -> None:
        self.descriptor, self.writer = os.pipe()
        self.content = b""
        self.thread = threading.Thread(target=self.read)

    def read(self) -> None:
        while block := os.read(self.descriptor, 1 << 20):
            self.content += block

    def finish(self) -> bytes:
        os.close(self.writer)
        self.thread.join()
        os.close(self.descriptor)
        return self.content


async def test_records_become_lines() -> None:
    reader = Reader()
    sink = StdoutSink("out", reader.writer)
    await sink.open()
    assert await sink.write(packed(1, 3)) is False
    await sink.sync()
    await sink.close()
    reader.thread.start()
    assert reader.finish() == lines(trades(1, 3))


async def test_only_the_first_write_needs_a_header() -> None:
    reader = Reader()
    sink = StdoutSink("out", reader.writer)
    assert sink.needs_header
    await sink.write([line(header())])
    assert not sink.needs_header
    reader.thread.start()
    assert reader.finish() == lines([header()])


async def test_a_full_pipe_does_not_stop_the_event_loop() -> None:
    reader = Reader()
    sink = StdoutSink("out", reader.writer)
    writing = asyncio.create_task(sink.write(packed(1, 5000)))  # a megabyte into a pipe of 64 kB
    for _ in range(100):
        await asyncio.sleep(0)
    assert not writing.done()
    reader.thread.start()
    await writing
    assert reader.finish() == lines(trades(1, 5000))


async def test_closing_ends_a_write_that_waits_for_a_reader() -> None:
    reader = Reader()
    sink = StdoutSink("out", reader.writer)
    writing = asyncio.create_task(sink.write(packed(1, 5000)))
    await asyncio.sleep(0)
    await sink.close()
    with pytest.raises(SinkError, match="closed while its reader was not reading"):
        await writing
    reader.thread.start()
    content = reader.finish()
    assert lines(trades(1, 5000)).startswith(content)
    assert content


async def test_write_fails_when_the_reader_has_gone() -> None:
    reader = Reader()
    os.close(reader.descriptor)
    with pytest.raises(SinkGoneError, match="its reader has gone"):
        await StdoutSink("out", reader.writer).write(packed(1, 1))
    os.close(reader.writer)
    with pytest.raises(SinkGoneError, match="its reader has gone"):
        await StdoutSink("out", reader.writer).write(packed(1, 1))  # the descriptor is closed


async def test_write_fails_when_the_terminal_is_closed() -> None:
    """As when an SSH session ends under ``nohup``."""
    terminal, descriptor = os.openpty()
    sink = StdoutSink("out", descriptor)
    await sink.write(packed(1, 1))
    os.close(terminal)
    with pytest.raises(SinkGoneError, match="its reader has gone"):
        await sink.write(packed(2, 2))
    os.close(descriptor)


async def test_reader_of_a_named_pipe_may_come_back(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY)
    os.close(reader)
    sink = StdoutSink("out", writer)
    with pytest.raises(SinkError, match="its reader has gone; start one again"):
        await sink.write(packed(1, 1))
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    await sink.write(packed(1, 1))
    assert os.read(reader, 10_000) == lines(trades(1, 1))
    os.close(reader)
    os.close(writer)


async def test_process_without_a_standard_output_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file may have its number by then."""
    monkeypatch.setattr(sys, "__stdout__", None)
    with pytest.raises(SinkGoneError, match="standard output is closed"):
        await StdoutSink("out").open()


async def test_cancelled_write_is_finished() -> None:
    """Otherwise the next write would repeat lines, or tear them."""
    reader = Reader()
    sink = StdoutSink("out", reader.writer)
    writing = asyncio.create_task(sink.write(packed(1, 5000)))
    await asyncio.sleep(0)
    writing.cancel()
    reader.thread.start()
    await writing
    assert reader.finish() == lines(trades(1, 5000))


async def test_write_fails_when_the_disk_is_full() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(SinkError, match="standard output: No space left on device; make room"):
        await StdoutSink("out", descriptor).write(packed(1, 1))
    os.close(descriptor)


async def test_write_is_tried_again_after_an_error_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    sink = StdoutSink("out", descriptor)

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("market_collector.sinks.stdout.os.write", fail)
        with pytest.raises(SinkError, match="Input/output error; make room") as raised:
            await sink.write(packed(1, 1))
    assert not isinstance(raised.value, SinkGoneError)
    await sink.write(packed(1, 1))
    os.close(descriptor)
    assert (tmp_path / "out").read_bytes() == lines(trades(1, 1))


async def test_after_a_failure_writing_goes_on_where_it_stopped(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    sink = StdoutSink("out", descriptor)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(SinkError, match="File too large"):
            await sink.write(packed(1, 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "out").stat().st_size == 5000
    await sink.write(packed(1, 1000))
    await sink.write(packed(1001, 1002))
    os.close(descriptor)
    assert (tmp_path / "out").read_bytes() == lines(trades(1, 1002))


async def test_a_descriptor_that_others_made_non_blocking_is_waited_for() -> None:
    reader = Reader()
    os.set_blocking(reader.writer, False)
    sink = StdoutSink("out", reader.writer)
    writing = asyncio.create_task(sink.write(packed(1, 5000)))
    await asyncio.sleep(0)
    reader.thread.start()
    await writing
    assert reader.finish() == lines(trades(1, 5000))
