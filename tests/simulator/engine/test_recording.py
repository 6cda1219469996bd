import json
from pathlib import Path

import pytest

from market_simulator.dialects.okx.recording import read_frame
from market_simulator.engine.recording import (
    Push,
    RecordedBase,
    RecordedTrade,
    Recording,
    RecordingError,
    read_recording,
    rest_replies_beside,
    steps,
)

RECORDINGS = Path(__file__).parents[2] / "recordings" / "okx"


def recording(path: Path) -> Recording:
    return read_recording(path, read_frame, "OKX v5")


def line(raw: object, at: float | None = 1.0, direction: str = "in", url: str = "wss://x/ws/v5/public") -> str:
    text = raw if isinstance(raw, str) else json.dumps(raw)
    return json.dumps({"t": at, "dir": direction, "url": url, "raw": text}) + "\n"


def trade(trade_id: int, ts: int) -> dict[str, object]:
    row = {"instId": "A-B", "tradeId": str(trade_id), "px": "1", "sz": "1", "side": "buy", "ts": str(ts)}
    return {"arg": {"channel": "trades", "instId": "A-B"}, "data": [row]}


def test_every_recorded_data_frame_of_the_replayed_channels_is_read() -> None:
    read = recording(RECORDINGS / "ws_public_2022-05-13_btc.jsonl")
    channels = [frame.channel for frame in read.frames]
    assert {name: channels.count(name) for name in sorted(set(channels))} == {"books": 197, "tickers": 27, "trades": 73}
    assert read.names == {"BTC-USDT", "BTC-USD-220527"}


def test_frame_without_any_time_follows_the_one_before(tmp_path: Path) -> None:
    def read(url: str, raw: str) -> Push:
        return Push("trades", "A-B", int(raw), RecordedBase((), ()))

    file = tmp_path / "timeless.jsonl"
    file.write_text(line("0", None) + line("1000", None) + line("3500", None) + line("0", None))
    found = read_recording(file, read, "anything")
    assert (found.zero_ms, [frame.offset_us for frame in found.frames]) == (1000, [0, 0, 2_500_000, 2_500_000])
    assert steps("A-B", [found]) == ("1", "1")


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.jsonl")), ids=lambda path: path.name)
def test_all_recordings_can_be_read(path: Path) -> None:
    read = recording(path)
    offsets = [frame.offset_us for frame in read.frames]
    assert offsets == sorted(offsets)


def test_recorded_instruments_are_found_beside_the_recording() -> None:
    (beside,) = rest_replies_beside([RECORDINGS / "a.jsonl", RECORDINGS / "b.jsonl"])
    names = {instrument.id for instrument in recording(beside).instruments}
    assert {"BTC-USDT", "BTC-USDT-SWAP"} <= names


def test_client_frames_and_replies_are_ignored(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text(
        line({"op": "subscribe"}, direction="out")
        + line("pong")
        + line({"event": "subscribe", "arg": {"channel": "trades", "instId": "A-B"}})
        + "\n"
        + line(trade(7, 1000), at=3.0)
    )
    (frame,) = recording(file).frames
    (row,) = frame.rows
    assert isinstance(row, RecordedTrade)
    assert (frame.channel, frame.offset_us, row.id) == ("trades", 0, 7)


def test_offsets_follow_the_exchanges_times_without_a_recorders_clock(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text("".join(line(trade(n, ts), at=None) for n, ts in ((1, 5000), (2, 5250), (3, 5100))))
    read = recording(file)
    assert [frame.offset_us for frame in read.frames] == [0, 250_000, 250_000]
    assert read.zero_ms == 5000


@pytest.mark.parametrize(
    ("second_line", "why"),
    [
        ('{"t": 1, "dir": "in", "ur', "not a recorded frame"),
        ("[1, 2]", "not a recorded frame"),
        (line("{half a fra"), "raw is not a frame of OKX v5"),
        (line({"e": "trade", "s": "BTCUSDT"}), "raw is not a frame of OKX v5"),
        (
            line(
                {"arg": {"channel": "books", "instId": "A-B"}, "data": [{"bids": [["x", "1", "0", "1"]], "asks": []}]}
            ),
            "raw",
        ),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(tmp_path: Path, second_line: str, why: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(line(trade(1, 1)) + second_line)
    with pytest.raises(RecordingError, match=rf"bad\.jsonl:2: {why}"):
        recording(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"absent\.jsonl: cannot be read"):
        recording(tmp_path / "absent.jsonl")
