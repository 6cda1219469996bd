"""Our program at the exchange that only sends, as in the benchmark."""

import socket
import subprocess
from pathlib import Path

import msgspec
import pytest
from bench import frames, subjects

import tls
from market_collector.config.settings import load, read_settings
from records import gap, repeat, snapshot, trade, update


def test_the_collector_document_asks_for_everything_on_the_tape(tmp_path: Path) -> None:
    import json

    file = tmp_path / "collector.json"
    file.write_text(json.dumps(subjects.document(8443, 3, tmp_path / "data")))
    (found,) = load(str(file))
    settings = read_settings(found)
    assert settings.symbols == frames.instruments(3)
    assert len(settings.data_types) == len(frames.CHANNELS)


def test_a_free_port_can_be_listened_on() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", subjects.free_port()))


def test_a_repeated_book_is_no_message(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    book = snapshot(1)
    records = [book, update(1, 2), repeat(book), repeat(book, cause="interval"), trade(7), gap("g", 1)]
    file.write_bytes(msgspec.json.encode(records).replace(b"},{", b"}\n{"))
    assert subjects.market_data(file) == 3


def test_records_wait_for_those_that_a_minute_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = dict.fromkeys(("gapsDetected", "resyncs", "reconnections", "droppedRecords"), 0) | {"records": 7}
    sinks = [{"queued": 6, "acknowledged": 1}, {"queued": 0, "acknowledged": 7}, {"queued": 0, "acknowledged": 6}]
    answers = [msgspec.json.encode({"counters": counters, "sinks": [sink]}) for sink in sinks]
    monkeypatch.setattr(subjects.Collector, "get", lambda *_: answers.pop(0))
    with subprocess.Popen(["true"]) as process:
        collector = subjects.Collector(process, "http://127.0.0.1:1", tmp_path)
        assert collector.records() == 0
        with pytest.raises(subjects.SubjectError, match="complete tape"):
            collector.records()


@pytest.mark.simulator
@pytest.mark.alone
def test_a_collector_handles_every_message_of_a_blast_and_of_a_pace(tmp_path: Path) -> None:
    authority = tls.authority(tmp_path)
    start = subjects.collector(authority.file)
    with subjects.side(start, 3, authority.issue("localhost"), tmp_path / "run") as side:
        assert 0 < side.blast(1) < 10_000
        assert 0 < side.pace(1, per_second=10_000.0) < 200
        assert 10 < side.memory().resident < 200
        pid = side.subject.process.pid
    assert not Path(f"/proc/{pid}").exists()
