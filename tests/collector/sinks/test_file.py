"""The file sink on real file systems: full and read-only disks, removed files, rotation, compression, kills."""

import asyncio
import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard
from msgspec.structs import replace

from imaginary_exchange import NAME, ImaginaryExchange
from limits import files_of_at_most
from market_collector.config.settings import FileSinkSettings
from market_collector.errors import SinkError
from market_collector.exchanges import EXCHANGES
from market_collector.model.events import Header, Record, Trade
from market_collector.model.moment import Moment
from market_collector.sinks.encode import line
from market_collector.sinks.fanout import Fanout
from market_collector.sinks.file import HEADER, FileSink
from market_collector.sinks.interface import Origin
from record_lines import lines
from records import header

OKX = Origin("okx-btc", 0, "pod-1")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> Moment:
        return Moment(self.now, int((1_795_341_600 + self.now) * 1e9))


def trades(first: int, last: int) -> list[Record]:
    return [
        Trade("okx", "BTC-USDT", None, number, str(number), str(number), 1, "buy", "1", "1")
        for number in range(first, last + 1)
    ]


def packed(first: int, last: int) -> list[bytes]:
    return list(map(line, trades(first, last)))


async def put(sink: FileSink, first: int, last: int) -> bool:
    """Write trades, after a header if the sink needs one."""
    return await sink.write([*([line(header())] if sink.needs_header else []), *packed(first, last)])


def headers(directory: Path) -> list[Header]:
    """The first line of each file, in order."""
    return [msgspec.json.decode(unpacked(path).split(b"\n")[0], type=Header) for path in files(directory)]


def data(directory: Path) -> bytes:
    """The lines of all files except headers."""
    return b"".join(each for each in content(directory).splitlines(keepends=True) if not each.startswith(HEADER))


def make(
    directory: Path,
    clock: Clock | None = None,
    *,
    size: int = 1 << 20,
    compression: str = "none",
    interval_s: float = 3600,
) -> FileSink:
    settings = FileSinkSettings("archive", directory, size, interval_s, compression, 1.0)
    return FileSink(settings, OKX, clock or Clock())


def names(directory: Path) -> list[str]:
    return sorted(path.name.partition("Z_")[2] for path in directory.iterdir())


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir(), key=lambda path: path.name)


def only_file(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


def remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


def content(directory: Path) -> bytes:
    return b"".join(unpacked(path) for path in files(directory))


def unpacked(path: Path) -> bytes:
    match path.suffix:
        case ".gz":
            return gzip.decompress(path.read_bytes())
        case ".zst":
            return zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
        case _:
            return path.read_bytes()


async def until_names_are(directory: Path, wanted: list[str]) -> None:
    async with asyncio.timeout(10):
        while names(directory) != wanted:
            await asyncio.sleep(0.001)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB. Needs the right to mount; without it these tests are skipped."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small file system (root)")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_records_become_lines_of_a_file_below_the_directory(tmp_path: Path) -> None:
    sink = make(tmp_path / "deep" / "data")
    await sink.open()
    assert await sink.write(packed(1, 2)) is False
    assert await sink.write(packed(3, 3)) is False
    await sink.sync()
    await sink.close()
    path = only_file(tmp_path / "deep" / "data")
    assert path.name == "okx-btc_0_pod-1_20261122T100140.000Z_000001.jsonl"
    assert path.read_bytes() == lines(trades(1, 3))


async def test_without_records_there_is_no_file(tmp_path: Path) -> None:
    sink = make(tmp_path)
    await sink.open()
    await sink.sync()
    await sink.close()
    assert names(tmp_path) == []


async def test_a_large_file_is_followed_by_a_new_one(tmp_path: Path) -> None:
    """Each starts with its header. Without one, the file grows on: the queue may have records from before."""
    sink = make(tmp_path, size=1500)
    await sink.open()
    assert await put(sink, 1, 3) is False
    assert await put(sink, 4, 6) is True
    await sink.sync()
    assert sink.needs_header
    await sink.write(packed(7, 9))
    await sink.sync()
    assert names(tmp_path) == ["000001.jsonl"]
    await put(sink, 10, 12)
    await sink.sync()
    assert not sink.needs_header
    await sink.close()
    assert names(tmp_path) == ["000001.jsonl", "000002.jsonl"]
    first, _ = paths = files(tmp_path)
    assert headers(tmp_path) == [
        replace(header(), file=1),
        replace(header(), file=2, previous_file=first.name),
    ]
    assert [len(path.read_bytes().splitlines()) for path in paths] == [10, 4]
    assert data(tmp_path) == lines(trades(1, 12))


async def test_file_that_had_to_start_without_a_header_has_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lacks the snapshots, so it asks for another header at once."""

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    clock = Clock()
    sink = make(tmp_path, clock)
    await sink.open()
    await put(sink, 1, 2)
    await sink.sync()
    await sink.write(packed(3, 4))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(SinkError):
            await sink.sync()
    await sink.write(packed(3, 4))
    assert sink.needs_header
    await sink.sync()
    await sink.close()
    first, second = headers(tmp_path)
    now_ns = clock().wall_ns
    last = files(tmp_path)[0].name
    assert second == replace(first, file=2, previous_file=last, receive_time_ns=now_ns, start_time_ns=now_ns)
    assert data(tmp_path) == lines(trades(1, 4))


async def test_failed_write_of_a_header_starts_only_one_file(tmp_path: Path) -> None:
    sink = make(tmp_path, size=1)
    await sink.open()
    await put(sink, 1, 1)
    await sink.sync()
    batch = [line(header()), *packed(2, 9)]
    with files_of_at_most(1000), pytest.raises(SinkError, match="File too large"):
        await sink.write(batch)
    await sink.write(batch)
    await sink.sync()
    await sink.close()
    assert [each.file for each in headers(tmp_path)] == [1, 2]
    assert data(tmp_path) == lines(trades(1, 9))


async def test_old_file_is_finished_without_new_records(tmp_path: Path) -> None:
    clock = Clock()
    sink = make(tmp_path, clock, interval_s=60, compression="gzip")
    await sink.open()
    await put(sink, 1, 2)
    clock.now += 59
    await sink.sync()
    assert not sink.needs_header
    clock.now += 1
    await sink.sync()
    await sink.write([line(header())])
    await until_names_are(tmp_path, ["000001.jsonl.gz", "000002.jsonl"])
    await sink.close()
    assert data(tmp_path) == lines(trades(1, 2))


@pytest.mark.parametrize(("compression", "ending"), [("gzip", ".gz"), ("zstd", ".zst")])
async def test_finished_files_are_compressed_beside_the_writing(tmp_path: Path, compression: str, ending: str) -> None:
    sink = make(tmp_path, size=1, compression=compression)
    await sink.open()
    for number in range(1, 4):
        assert await put(sink, number, number)
        await sink.sync()
        await sink.sync()
    await until_names_are(tmp_path, [f"000001.jsonl{ending}", f"000002.jsonl{ending}", "000003.jsonl"])
    await sink.close()
    assert data(tmp_path) == lines(trades(1, 3))


async def test_the_last_file_of_a_run_is_compressed_by_the_next(tmp_path: Path) -> None:
    first = make(tmp_path, compression="zstd")
    await first.open()
    await first.write(packed(1, 2))
    await first.sync()
    await first.close()
    assert names(tmp_path) == ["000001.jsonl"]
    second = make(tmp_path, compression="zstd")
    await second.open()
    await until_names_are(tmp_path, ["000001.jsonl.zst"])
    await second.close()
    assert content(tmp_path) == lines(trades(1, 2))


async def test_closing_breaks_off_a_compression_and_keeps_the_data(tmp_path: Path) -> None:
    sink = make(tmp_path, size=1, compression="gzip")
    await sink.open()
    await put(sink, 1, 50_000)
    await sink.sync()
    await put(sink, 50_001, 50_001)
    await sink.close()
    assert names(tmp_path) in (["000001.jsonl", "000002.jsonl"], ["000001.jsonl.gz", "000002.jsonl"])
    assert data(tmp_path) == lines(trades(1, 50_001))


async def test_data_is_kept_and_the_error_logged_when_compression_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = make(tmp_path, size=1, compression="gzip")
    await sink.open()
    await put(sink, 1, 2)
    path = only_file(tmp_path)
    path.with_name(path.name + ".gz.part").mkdir()
    await sink.sync()
    await put(sink, 3, 3)
    async with asyncio.timeout(10):
        while "stays uncompressed until the next start" not in caplog.text:
            await asyncio.sleep(0.001)
    await sink.close()
    assert path.read_bytes().endswith(lines(trades(1, 2)))


async def test_new_run_starts_new_files_and_recovers_old_ones(tmp_path: Path) -> None:
    first = make(tmp_path)
    await first.open()
    await first.write(packed(1, 2))
    await first.close()
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes() + b'{"type": "tra')
    clock = Clock()
    clock.now += 1
    second = make(tmp_path, clock)
    await second.open()
    await second.write(packed(3, 4))
    await second.close()
    assert len(names(tmp_path)) == 2
    assert content(tmp_path) == lines(trades(1, 4))


async def test_two_writers_at_the_same_place_and_moment_do_not_collide(tmp_path: Path) -> None:
    one, other = make(tmp_path), make(tmp_path)
    await one.open()
    await one.write(packed(1, 1))
    await other.open()
    await other.write(packed(2, 2))
    await one.write(packed(3, 3))
    await one.close()
    await other.close()
    assert names(tmp_path) == ["000001.jsonl", "000002.jsonl"]
    assert sorted(content(tmp_path).splitlines()) == sorted(lines(trades(1, 3)).splitlines())


async def test_open_fails_until_a_file_in_place_of_the_directory_is_removed(tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.write_text("in the way")
    sink = make(place)
    for _ in range(2):
        with pytest.raises(SinkError, match="data: File exists; a file stands where a directory should be"):
            await sink.open()
    place.unlink()
    await sink.open()
    await sink.close()


async def test_a_directory_that_vanishes_is_made_again(tmp_path: Path) -> None:
    place = tmp_path / "data"
    sink = make(place)
    await sink.open()
    place.rmdir()
    await sink.write(packed(1, 1))
    await sink.sync()
    await sink.close()
    assert content(place) == lines(trades(1, 1))


async def test_trade_without_dense_id_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXCHANGES, NAME, ImaginaryExchange(has_dense_trade_ids=False))
    rows = [Trade(NAME, "A-B", 5, 1, name, name, 1, "buy", "1", "1") for name in ("u1", "u2")]
    sink = make(tmp_path)
    await sink.open()
    await sink.write([line(header()), line(rows[0])])
    await sink.sync()
    await sink.close()
    again = make(tmp_path)
    await again.recall(None, keep=True)
    await again.open()
    await again.write([line(header()), *map(line, rows)])
    await again.sync()
    await again.close()
    assert sorted(data(tmp_path).splitlines()) == sorted(line(row).strip() for row in rows)


async def test_a_file_that_is_removed_while_it_is_written_is_not_acknowledged(tmp_path: Path) -> None:
    sink = make(tmp_path)
    await sink.open()
    await sink.write(packed(1, 2))
    path = only_file(tmp_path)
    path.unlink()
    with pytest.raises(SinkError, match="removed while it was written"):
        await sink.sync()
    await sink.write(packed(1, 2))
    await sink.sync()
    await sink.close()
    assert content(tmp_path) == lines(trades(1, 2))


async def test_file_keeps_only_durable_records_after_a_failed_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    sink = make(tmp_path)
    await sink.open()
    await sink.write(packed(1, 2))
    await sink.sync()
    await sink.write(packed(3, 4))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(SinkError, match=r"000001.jsonl: Input/output error; check the disk"):
            await sink.sync()
    assert content(tmp_path) == lines(trades(1, 2))
    await sink.write(packed(3, 4))
    await sink.sync()
    await sink.close()
    assert content(tmp_path) == lines(trades(1, 4))


async def test_a_file_that_may_not_grow_is_followed_by_a_new_one(tmp_path: Path) -> None:
    sink = make(tmp_path)
    await sink.open()
    await sink.write(packed(1, 4))
    with files_of_at_most(1000):
        with pytest.raises(SinkError, match="File too large; the file has reached the size that is allowed"):
            await sink.write(packed(5, 8))
        await sink.sync()
        await sink.write(packed(5, 8))
        await sink.sync()
    await sink.close()
    assert names(tmp_path) == ["000001.jsonl", "000002.jsonl"]
    assert content(tmp_path) == lines(trades(1, 8))


async def test_files_that_stayed_empty_are_not_left_behind(tmp_path: Path) -> None:
    sink = make(tmp_path)
    await sink.open()
    with files_of_at_most(20):
        for _ in range(2):
            with pytest.raises(SinkError, match="File too large"):
                await sink.write(packed(1, 1))
            await sink.sync()
            assert names(tmp_path) == []
        with pytest.raises(SinkError, match="File too large"):
            await sink.write(packed(1, 1))
        await sink.close()
    assert names(tmp_path) == []


async def test_closing_does_not_wait_for_a_call_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answer = threading.Event()
    monkeypatch.setattr("market_collector.sinks.file.CLOSE_S", 0.01)
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: answer.wait())
    sink = make(tmp_path / "data")
    opening = asyncio.create_task(sink.open())
    await asyncio.sleep(0.01)
    opening.cancel()
    await sink.close()
    answer.set()
    assert "a call hangs in the file system" in caplog.text


async def test_write_fails_and_leaves_complete_lines_when_the_disk_is_full(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 200_000)
    sink = make(small_disk / "data")
    await sink.open()
    await sink.write(packed(1, 10))
    with pytest.raises(SinkError, match="No space left on device; make room on the volume"):
        await sink.write(packed(11, 1000))
    await sink.sync()
    assert content(small_disk / "data") == lines(trades(1, 10))
    ballast.unlink()
    await sink.write(packed(11, 1000))
    await sink.sync()
    await sink.close()
    assert content(small_disk / "data") == lines(trades(1, 1000))


async def test_open_fails_when_the_disk_is_read_only(small_disk: Path) -> None:
    remount(small_disk, "ro")
    sink = make(small_disk)
    with pytest.raises(SinkError, match="Read-only file system; mount the volume writable"):
        await sink.open()
    remount(small_disk, "rw")
    await sink.open()
    await sink.close()


async def test_every_record_is_written_once_when_the_disk_was_full(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 150_000)
    fanout = Fanout([make(small_disk / "data")], lambda: Moment(time.monotonic(), time.time_ns()))
    running = asyncio.create_task(fanout.run())
    for start in range(1, 1000, 10):
        fanout.emit(trades(start, start + 9))
        await asyncio.sleep(0.002)
    async with asyncio.timeout(10):
        while "No space left" not in fanout.status()[0].error:
            await asyncio.sleep(0.001)
    ballast.unlink()
    assert await fanout.drain(10.0) == 0
    await running
    assert content(small_disk / "data") == lines(trades(1, 1000))
    assert fanout.status()[0].healthy


CHILD = """
import asyncio, sys, time
from pathlib import Path
from market_collector.config.settings import FileSinkSettings
from market_collector.model.events import Trade
from market_collector.model.moment import Moment
from market_collector.sinks.fanout import Fanout
from market_collector.sinks.file import FileSink
from market_collector.sinks.interface import Origin
from records import header

async def main():
    clock = lambda: Moment(time.monotonic(), time.time_ns())
    settings = FileSinkSettings("archive", Path(sys.argv[1]), 200_000, 3600.0, "zstd", 0.02)
    sink = FileSink(settings, Origin("okx-btc", 0, "pod-1"), clock)
    fanout = Fanout([sink], clock, start_file=lambda now: [header()])
    fanout.start_files()
    running = asyncio.create_task(fanout.run())
    for number in range(1, 10**9):
        text = str(number)
        fanout.emit([Trade("okx", "BTC-USDT", None, number, text, text, 1, "buy", "1", "1")])
        if number % 50 == 0:
            print(fanout.status()[0].acknowledged, flush=True)
            await asyncio.sleep(0.001)

asyncio.run(main())
"""


def kill_while_it_writes(directory: Path, after: int) -> int:
    """Runs a collector's sink in a process of its own and kills it; returns how many records it had acknowledged."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(directory)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert child.stdout is not None
    acknowledged = 0
    for text in child.stdout:
        acknowledged = int(text)
        if acknowledged >= after:
            child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    return acknowledged


@pytest.mark.parametrize("after", [1, 3000, 9000])
async def test_acknowledged_records_survive_a_kill(tmp_path: Path, after: int) -> None:
    acknowledged = await asyncio.to_thread(kill_while_it_writes, tmp_path, after)
    sink = make(tmp_path, compression="zstd")
    await sink.open()
    async with asyncio.timeout(10):
        while any(not name.endswith(".jsonl.zst") for name in names(tmp_path)):
            await asyncio.sleep(0.001)
    await sink.close()
    numbers = [int(json.loads(line)["trade_id"]) for line in data(tmp_path).splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= acknowledged >= after
